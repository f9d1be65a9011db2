"""What others left behind is finished, and one that can't be doesn't stop the rest."""

import pytest

from portal.documents.organizations import Failure, OperationKind, Organization, Slug
from portal.organizations.lifecycle import engine, runner
from portal.organizations.lifecycle.engine import acquire_lease, run_now
from portal.organizations.lifecycle.errors import SlugTaken
from portal.organizations.lifecycle.trashing import trash_organization
from tests.factories import a_context, a_plan, an_organization, fresh, steps_of
from tests.processes import wait_until

TEXT_OF_AN_EARLIER_VERSION = "the collection org_other exists already"


def an_unfinished_rename(master_db, organization, slug):
    """As a process leaves it that dies right after the intent."""
    operation = {
        "id": organization.id,
        "kind": "rename",
        "attempt": 1,
        "started_at": organization.created_at,
        "lease_until": organization.created_at,
        "origin": {"email": "mara@acme.example"},
        "collection": "org_" + slug,
        "name": slug.title(),
        "slug": slug,
    }
    master_db.organizations.update_one({"_id": organization.id}, {"$set": {"operation": operation}})
    master_db.slugs.insert_one({"_id": slug, "organization": organization.id, "state": "target"})


def test_an_operation_whose_lease_ran_out_is_finished(master_db):
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    assert runner.recover_due_operations() == 1
    assert (fresh(organization).slug, fresh(organization).operation) == ("other", None)
    assert runner.recover_due_operations() == 0


def test_an_operation_with_a_lease_is_left_to_its_holder(master_db):
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    assert acquire_lease().id == organization.id
    assert acquire_lease() is None
    assert fresh(organization).operation.attempt == 2


def test_one_that_fails_does_not_stop_the_others(master_db, monkeypatch):
    broken, sound = an_organization("Broken"), an_organization("Sound")
    an_unfinished_rename(master_db, broken, "one")
    an_unfinished_rename(master_db, sound, "two")
    first, *rest = steps_of(OperationKind.RENAME)

    def breaking(organization):
        if organization.id == broken.id:
            raise RuntimeError("a bug")
        return first(organization)

    plan = a_plan(OperationKind.RENAME, breaking, *rest)
    monkeypatch.setitem(engine.PLANS, OperationKind.RENAME, plan)
    assert runner.recover_due_operations() == 2
    assert fresh(sound).slug == "two"
    [put_off] = Organization.objects(id=broken.id, operation__attempt=2)
    assert put_off.operation.last_error == "RuntimeError: a bug"
    assert acquire_lease() is None  # for a while


def test_what_is_due_is_found_by_an_index_of_running_operations_alone(master_db):
    for n in range(20):
        an_organization(f"Org {n}")
    due = {
        "operation.lease_until": {"$exists": True},
        "$expr": {"$lt": ["$operation.lease_until", "$$NOW"]},
    }
    explained = master_db.command(
        "explain", {"find": "organizations", "filter": due}, verbosity="executionStats"
    )
    assert explained["executionStats"]["totalDocsExamined"] == 0


def test_an_attempt_that_was_overtaken_does_not_drag_the_collection_away(master_db, tenant_db):
    """Stopped past its lease, a process wakes after the organization went to the trash."""
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    asleep = fresh(organization)
    runner.recover_due_operations()
    trash_organization(fresh(organization), "Other", a_context())
    run_now(asleep)
    assert tenant_db.list_collection_names() == [f"trash_{organization.id}"]


@pytest.mark.parametrize("reason", [Failure.NAME_TAKEN, TEXT_OF_AN_EARLIER_VERSION])
def test_what_an_overtaken_attempt_moved_is_moved_back_with_the_rename(
    master_db, tenant_db, reason
):
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    master_db.organizations.update_one({}, {"$set": {"operation.failure": reason}})
    tenant_db.org_acme_corp.rename("org_other")
    runner.recover_due_operations()
    assert (fresh(organization).slug, fresh(organization).operation) == ("acme-corp", None)
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
    assert an_organization("Other").slug == "other"


def test_an_overtaken_attempt_takes_an_unknown_reason_for_a_taken_name(master_db):
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    asleep = fresh(organization)
    rolled_back = {
        "operation": asleep.operation.id,
        "kind": "rename",
        "failure": TEXT_OF_AN_EARLIER_VERSION,
        "at": organization.created_at,
    }
    written = {"$unset": {"operation": ""}, "$set": {"turned_back": rolled_back}}
    master_db.organizations.update_one({}, written)
    with pytest.raises(SlugTaken):
        run_now(asleep)


def test_a_creation_is_undone_wherever_its_collection_stands(master_db, tenant_db):
    organization = an_organization("Acme Corp")
    operation = {
        "id": organization.id,
        "kind": "create",
        "attempt": 1,
        "started_at": organization.created_at,
        "lease_until": organization.created_at,
        "origin": {},
        "collection": "org_acme_corp",
        "slug": "acme-corp",
        "failure": Failure.NAME_TAKEN,
        "unknown": "to this version",
    }
    tenant_db.org_acme_corp.rename("elsewhere")
    master_db.organizations.update_one({}, {"$set": {"operation": operation, "newer": 1}})
    runner.recover_due_operations()
    assert tenant_db.list_collection_names() == []
    assert not Organization.objects()
    assert not Slug.objects()


def test_a_definite_error_after_the_intent_is_left_to_the_runner(visitor, bare_client, master_db):
    """Once the intent is committed the answer is success, with the running operation shown."""
    failing = {"failCommands": ["renameCollection"], "errorCode": 13, "appName": "portal"}
    fail_point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": failing}
    bare_client.admin.command(fail_point)
    answer = visitor.sign_up("Acme Corp")
    assert answer.status == 303
    assert "Creating the collection" in visitor.get("/organizations/acme-corp").text
    expired = [{"$set": {"operation.lease_until": "$created_at"}}]
    master_db.organizations.update_one({}, expired)
    assert runner.recover_due_operations() == 1
    assert fresh(Organization.objects.get()).operation is None


def test_what_could_not_be_put_off_is_due_as_soon_as_the_database_takes_it(bare_client, master_db):
    an_unfinished_rename(master_db, an_organization("Acme Corp"), "other")
    organization = acquire_lease()
    faults = {"failCommands": ["renameCollection", "update"], "errorCode": 13, "appName": "portal"}
    fail_point = {"configureFailPoint": "failCommand", "data": faults}
    bare_client.admin.command({**fail_point, "mode": "alwaysOn"})
    try:
        assert run_now(organization).operation
        assert acquire_lease() is None
    finally:
        bare_client.admin.command({**fail_point, "mode": "off"})
    assert wait_until(acquire_lease, 5).id == organization.id  # its lease lasts 30


def test_an_operation_of_a_newer_version_is_left_to_that(master_db):
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    master_db.organizations.update_one({}, {"$set": {"operation.kind": "unheard of"}})
    assert runner.recover_due_operations() == 0
    assert fresh(organization).operation.attempt == 1
