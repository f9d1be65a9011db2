"""Collections that were restored without their UUIDs are taken over where somebody says so."""

import json

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.read_preferences import ReadPreference

from portal.doctor import placements
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.storage import tenant_of
from portal.tenants import collections
from tests.factories import a_context, an_organization, collections_in, fresh


def restore(source, target):
    """As mongodump and mongorestore do without --preserveUUID: BSON, name by name."""
    raw = source.codec_options.with_options(document_class=RawBSONDocument)
    for name in collections_in(source):
        target.create_collection(name)
        documents = list(source.get_collection(name, raw, ReadPreference.PRIMARY).find())
        if documents:
            target.get_collection(name, raw).insert_many(documents)


@pytest.fixture
def acme(tenant_db):
    """An organization with a document, restored in place without its UUID."""
    organization = an_organization("Acme Corp")
    tenant_db["org_acme_corp"].insert_one({"_id": "the organization's"})
    tenant_db.create_collection("copy")
    tenant_db["copy"].insert_one({"_id": "the organization's"})
    tenant_db.drop_collection("org_acme_corp")
    tenant_db["copy"].rename("org_acme_corp")
    return organization


def uuid_of(collection):
    return collections.uuid_of(collection.database, collection.name)


def test_a_portal_is_moved_to_another_server_by_a_copy_without_uuids(
    flask, master_db, tenant_db, bare_client
):
    names = ["Acme Corp", "Other", "In the trash"]
    organizations = [an_organization(name) for name in names]
    for organization in organizations:
        tenant_db[organization.placement.collection].insert_one({"of": organization.name})
    trash_organization(organizations[-1], None, a_context())
    moved = {"MASTER_DB": "master_moved", "TENANT_DB": "tenant_moved"}
    try:
        restore(master_db, bare_client["master_moved"])
        restore(tenant_db, bare_client["tenant_moved"])
        told = flask("doctor", "--json", "--repair", **moved)
        found = [json.loads(line) for line in told.stdout.splitlines()]
        assert [one["kind"] for one in found] == ["restored_collection"] * 3
        assert all(one["repaired"] is None for one in found)
        told = flask("doctor", "--adopt-restored", "--yes", **moved)
        assert told.returncode == 0
        assert "3 repaired, All well." in told.stdout
        for command in (("doctor",), ("doctor", "--adopt-restored"), ("audit", "verify")):
            assert flask(*command, **moved).returncode == 0
        for one in bare_client["master_moved"].organizations.find():
            collection = bare_client["tenant_moved"][one["placement"]["collection"]]
            assert one["placement"]["uuid"] == uuid_of(collection)
            assert collection.find_one()["of"] == one["name"]
    finally:
        for name in moved.values():
            bare_client.drop_database(name)


def test_it_shows_what_it_would_take_and_takes_nothing_before_yes(app, acme, tenant_db):
    refused = app.test_cli_runner().invoke(args=["doctor", "--adopt-restored"], input="n\n")
    assert refused.exit_code == 1
    assert "org_acme_corp has UUID" in refused.output
    assert "documents: 1" in refused.output
    assert fresh(acme).placement.uuid == acme.placement.uuid
    agreed = app.test_cli_runner().invoke(args=["doctor", "--adopt-restored"], input="y\n")
    assert agreed.exit_code == 0
    assert fresh(acme).placement.uuid == uuid_of(tenant_db["org_acme_corp"])


def test_the_organization_reads_its_documents_again_and_its_trail_tells(acme, command):
    assert command("doctor", "--adopt-restored", "--yes").returncode == 0
    found = tenant_of(fresh(acme)).find_one()
    assert found["_id"] == "the organization's"
    event = AuditEvent.objects(chain=acme.id).order_by("-seq").first()
    assert event.action == "organization.collection_adopted"
    assert event.details["uuid_before"] == str(acme.placement.uuid)
    assert event.details["uuid"] == str(fresh(acme).placement.uuid)
    assert command("audit", "verify").returncode == 0


def test_neither_the_doctor_nor_a_repair_takes_it_or_sets_it_aside(acme, command, tenant_db):
    for options in ((), ("--repair",)):
        told = command("doctor", *options)
        assert told.returncode == 1
        assert "flask doctor --adopt-restored" in told.stdout
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
    assert fresh(acme).placement.uuid == acme.placement.uuid


def test_what_is_another_organizations_is_never_taken(acme, command, tenant_db):
    other = an_organization("Other")
    Organization.objects(id=other.id).update_one(
        set__placement__uuid=uuid_of(tenant_db["org_acme_corp"])
    )
    told = command("doctor", "--adopt-restored", "--yes")
    assert told.stdout == "All well.\n"
    assert fresh(acme).placement.uuid == acme.placement.uuid
    assert "missing_collection" in command("doctor", "--json").stdout


@pytest.mark.parametrize("meanwhile", ["another collection", "an operation", "taken over"])
def test_only_what_was_shown_is_taken(acme, command, tenant_db, meanwhile):
    [shown] = placements.find_restored()
    if meanwhile == "another collection":
        tenant_db["org_acme_corp"].drop()
        tenant_db.create_collection("org_acme_corp")
    elif meanwhile == "an operation":
        Organization.objects(id=acme.id).update_one(__raw__={"$set": {"operation": {"id": 1}}})
    else:
        assert command("doctor", "--adopt-restored", "--yes").returncode == 0
    before = fresh(acme).placement.uuid if meanwhile != "an operation" else acme.placement.uuid
    assert shown.repair() is None
    Organization.objects(id=acme.id).update_one(unset__operation=True)
    assert fresh(acme).placement.uuid == before
