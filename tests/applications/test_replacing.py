"""A tenant collection that an application replaced is told of, and taken over by who may say so."""

import pytest
from pymongo import MongoClient

from portal.applications import managing
from portal.database import directory
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Role
from portal.organizations.lifecycle.errors import TenantCollectionMissing
from portal.organizations.storage import tenant_of
from portal.tenants import collections
from portal.web.context import RequestContext
from tests.factories import a_member, an_account, an_organization, fresh
from tests.program import Program

pytestmark = pytest.mark.attack("X3")


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp", an_account("mara@acme.example"))


@pytest.fixture
def replace_by(app, admin, tenant_db, acme):
    """Have an application replace the collection, by documents with these ids."""
    uri = managing.add_application("shop", {"main": admin}, RequestContext()).uri

    def replace(*ids):
        with MongoClient(uri) as client:
            tenant = client[tenant_db.name]
            tenant.elsewhere.delete_many({})
            tenant.elsewhere.insert_many([{"_id": one} for one in ids])
            list(tenant.elsewhere.aggregate([{"$out": "org_acme_corp"}]))
        return collections.uuid_of(tenant_db, "org_acme_corp")

    return replace


@pytest.fixture
def program(app):
    program = Program(app)
    assert program.log_in().status_code == 200
    return program


def test_out_replaces_a_collection_and_nothing_is_read_or_written_there(acme, replace_by):
    """By its UUID, so that what an application made is never taken for the organization's."""
    assert replace_by("theirs") != acme.placement.uuid
    with pytest.raises(TenantCollectionMissing):
        tenant_of(acme).insert_one({"_id": "mine"})


def test_the_page_says_so_and_shows_owners_the_way(acme, replace_by, visitor):
    replace_by("theirs")
    a_member(acme, Role.VIEWER, "teo@acme.example")
    visitor.log_in("teo@acme.example")
    page = visitor.get("/organizations/acme-corp")
    assert "Its collection was replaced." in page.html.select_one(".flash.danger").get_text()
    assert not page.html.find("a", href="/organizations/acme-corp/adopt")
    visitor.log_out()
    visitor.log_in("mara@acme.example")
    page = visitor.get("/organizations/acme-corp")
    assert page.html.find("a", href="/organizations/acme-corp/adopt")


def test_programs_are_told(acme, replace_by, program):
    before = program.get("/org/acme-corp").json["organization"]
    assert (before["collection_state"], before["replacement"]) == ("present", None)
    found = replace_by("theirs", "too")
    told = program.get("/org/acme-corp").json["organization"]
    assert told["collection_state"] == "replaced"
    assert told["replacement"] == {"uuid": str(found), "documents": 2}
    assert told["documents"] is None


def test_a_collection_that_is_gone_is_told_apart(acme, program, tenant_db):
    tenant_db.drop_collection("org_acme_corp")
    told = program.get("/org/acme-corp").json["organization"]
    assert (told["collection_state"], told["replacement"]) == ("missing", None)


def test_the_doctor_tells_and_takes_nothing_over_by_itself(acme, replace_by, command):
    replace_by("theirs")
    told = command("doctor", "--repair")
    assert told.returncode == 1
    assert "an application's $out" in told.stdout
    assert fresh(acme).placement.uuid == acme.placement.uuid


def test_an_owner_takes_it_over_by_typing_its_name(acme, replace_by, visitor, master_db):
    found = replace_by("theirs")
    before = master_db[directory.ORGANIZATIONS].find_one(acme.id)
    visitor.log_in("mara@acme.example")
    page = visitor.get("/organizations/acme-corp/adopt")
    assert str(found) in page.html.get_text()
    refused = visitor.post("/organizations/acme-corp/adopt", {"confirm_name": "Other"})
    assert refused.status == 422
    assert fresh(acme).placement.uuid == acme.placement.uuid
    done = visitor.post("/organizations/acme-corp/adopt", {"confirm_name": "Acme Corp"})
    assert done.response.status_code == 303
    assert [d["_id"] for d in tenant_of(fresh(acme)).find({})] == ["theirs"]
    after = master_db[directory.ORGANIZATIONS].find_one(acme.id)
    assert after["placement"]["uuid"] == found
    assert after["version"] > before["version"]
    event = AuditEvent.objects(chain=acme.id).order_by("-seq").first()
    assert event.action == "organization.collection_adopted"
    assert event.personal["email"]["value"] == "mara@acme.example"


def test_a_program_takes_over_exactly_what_it_names(acme, replace_by, program, visitor):
    first = replace_by("first")
    second = replace_by("second")
    answer = program.post("/org/acme-corp/adopt", {"uuid": str(first)})
    assert (answer.status_code, answer.json["error"]["code"]) == (409, "not_replaced")
    for _ in range(2):  # once is enough, and twice no harm
        answer = program.post("/org/acme-corp/adopt", {"uuid": str(second)})
        assert answer.status_code == 200
        assert answer.json["organization"]["collection_state"] == "present"
    assert AuditEvent.objects(action="organization.collection_adopted").count() == 1
    visitor.log_in("mara@acme.example")
    assert visitor.get("/organizations/acme-corp/adopt").status == 409


def test_another_organizations_collection_is_never_offered(acme, tenant_db, program):
    other = an_organization("Other")
    tenant_db.org_acme_corp.drop()
    tenant_db[other.placement.collection].rename("org_acme_corp")
    told = program.get("/org/acme-corp").json["organization"]
    assert (told["collection_state"], told["replacement"]) == ("missing", None)
    answer = program.post("/org/acme-corp/adopt", {"uuid": str(other.placement.uuid)})
    assert answer.json["error"]["code"] == "not_replaced"
