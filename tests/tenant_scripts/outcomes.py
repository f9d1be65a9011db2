"""Scripts that tests apply, and what became of organizations."""

from portal.documents.jobs import JobItem
from portal.organizations.storage import tenant_of
from tests.factories import fresh

COUNT = """
    def apply(tenant):
        tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
"""
FAIL_FOR_GLOBEX = """
    def apply(tenant):
        if tenant.find_one({"_id": "globex"}):
            raise ValueError("no status")
        tenant.update_one({"_id": "runs"}, {"$inc": {"n": 1}}, upsert=True)
"""


def runs(organization):
    found = tenant_of(fresh(organization)).find_one({"_id": "runs"})
    return found["n"] if found else 0


def states():
    return {item.organization: item.state for item in JobItem.objects}
