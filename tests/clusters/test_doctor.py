"""What the doctor compares on another cluster than the first: pools, and databases of their own."""

from uuid import uuid4

import pytest
from bson import ObjectId

from portal.database.portal_role import OWN_COLLECTION
from portal.doctor.examination import CHECKS, examine
from portal.documents.organizations import Organization, Strategy
from portal.documents.pools import Pool
from portal.organizations.lifecycle import pools
from portal.settings import current
from tests.factories import an_organization, collections_in

pytestmark = pytest.mark.slow


@pytest.fixture
def tenants_there(europe, there):
    """The second cluster’s tenant database, with an organization in a pool of its."""
    an_organization("Acme Corp", strategy=Strategy.SHARED, cluster="europe")
    Pool.objects.update(unset__counted_at=True)
    pools.count_due()
    return there[current().tenant_db]


def found(*, repair=False):
    outcomes = [outcome for check in CHECKS for outcome in examine(check, repair=repair)]
    return [(each.finding.kind.name, each.finding.subject, each.repaired) for each in outcomes]


def check_mended(*expected):
    assert [(kind, subject) for kind, subject, _ in found()] == [each[:2] for each in expected]
    assert found(repair=True) == list(expected)
    assert found() == []


def an_index(tenants):
    tenants.shared_1_1.create_index("email", unique=True)


def another_name(tenants):
    tenants.shared_1_1.rename("by_hand")


def half_a_fence(_):
    Pool.objects.update(set__next_generation=2)


def half_a_pool(_):
    Pool(id=2, cluster="europe", next_generation=1).save()


def no_record(_):
    Pool.objects.delete()


@pytest.mark.parametrize(
    ("damage", "mended"),
    [
        (an_index, ("pool_index", "shared_1_1", "dropped")),
        (another_name, ("pool_behind", "shared_1_1", "renamed to shared_1_2")),
        (half_a_fence, ("pool_behind", "shared_1_1", "renamed to shared_1_3")),
        (half_a_pool, ("half_open_pool", "2", "opened as shared_2_1")),
        (no_record, ("unrecorded_pool", "pool 1", "recorded as shared_1_1")),
    ],
)
def test_a_pool_there_is_mended_there(tenants_there, tenant_db, damage, mended):
    damage(tenants_there)
    check_mended(mended)
    assert collections_in(tenant_db) == []


def test_what_it_can_t_mend_there_is_told(tenants_there, there):
    tenants_there.shared_1_1.insert_one({"_id": {"o": ObjectId(), "i": 1}})
    tenants_there.command("collMod", "shared_1_1", validator={"x": 1})
    nobodys = f"t_{ObjectId()}"
    there[nobodys].some.insert_one({})
    own = an_organization("Own", strategy=Strategy.DATABASE, cluster="europe")
    there[own.placement.database].others.insert_one({})
    there.strange[OWN_COLLECTION].insert_one({})
    try:
        told = {(kind, subject) for kind, subject, repaired in found(repair=True) if not repaired}
    finally:
        there.drop_database("strange")
    assert told == {
        ("pool_options", "shared_1_1"),
        ("unowned_documents", "shared_1_1"),
        ("stray_database", nobodys),
        ("other_collections", "own"),
        ("own_collection_outside", "strange"),
    }


def test_a_pool_that_was_dropped_there_is_told(tenants_there):
    tenants_there.shared_1_1.drop()
    assert found(repair=True) == [("missing_pool", "shared_1_1", None)]


def test_a_collection_there_with_another_name_or_uuid_is_told(tenants_there):
    own = an_organization("Own", cluster="europe")
    other = an_organization("Other", cluster="europe")
    tenants_there.org_own.rename("elsewhere")
    Organization.objects(id=other.id).update(set__placement__uuid=uuid4())
    kinds = {kind: subject for kind, subject, _ in found()}
    assert kinds["misnamed_collection"] == own.slug
    assert kinds["restored_collection"] == other.slug
