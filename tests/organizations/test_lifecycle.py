"""The engine: a new kind of operation is its steps and nothing else."""

import contextlib
from datetime import timedelta

import pytest
from pymongo.errors import ConnectionFailure

from portal import clock
from portal.database.connection import server_time
from portal.database.errors import DatabaseUnavailable
from portal.documents.organizations import Operation, Organization, Strategy
from portal.errors import NotFound
from portal.organizations.access.errors import OrganizationRenamed
from portal.organizations.lifecycle import engine, runner
from portal.organizations.lifecycle.engine import (
    LeaseLost,
    RollBack,
    acquire_lease,
    repair_organization,
    reschedule,
    run,
    run_now,
    update_if_held,
)
from portal.organizations.lifecycle.errors import SlugTaken
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.tenants import collections
from tests.factories import (
    a_context,
    a_plan,
    an_account,
    an_organization,
    fresh,
    intend,
    steps_of,
)


@pytest.fixture
def copied(monkeypatch):
    """What was copied by a kind of operation that nobody else knows, and the lease meanwhile."""
    copied = []

    def copy(organization):
        for _ in range(3):
            copied.append(lease_of(organization))
            yield
        return update_if_held(organization, set__name="Copied")

    def finish(organization):
        return update_if_held(organization, unset__operation=True)

    plan = a_plan("copy", copy, finish, title="Copying to {name}", doing="being copied")
    monkeypatch.setitem(engine.PLANS, "copy", plan)
    return copied


def copying(organization):
    operation = Operation(
        kind="copy",
        started_at=clock.now(),
        origin=a_context().origin,
        collection="org_x",
        name="fra-1",
    )
    return intend(organization, operation)


def lease_of(organization):
    return fresh(organization).operation.lease_until


def test_a_new_kind_of_operation_is_carried_out_and_shown(visitor, copied):
    visitor.sign_up("Acme Corp")
    organization = copying(Organization.objects.get())
    page = visitor.get("/organizations/acme-corp")
    assert "Copying to fra-1" in page.text
    assert "Being copied" in visitor.get("/organizations").text
    answer = visitor.post("/organizations/acme-corp/rename", {"organization_name": "Third"})
    assert "Acme Corp is being copied since" in answer.text
    moved = run_now(organization)
    assert (moved.name, moved.operation, len(copied)) == ("Copied", None, 3)


def test_a_step_that_takes_long_keeps_its_lease(copied, monkeypatch):
    monkeypatch.setattr(engine, "_SPARED", 0)
    organization = copying(an_organization())
    begun = lease_of(organization)
    run(organization)
    assert begun < copied[0] < copied[1] < copied[2]


def test_a_step_that_takes_long_stops_where_it_was_overtaken(copied, monkeypatch, master_db):
    monkeypatch.setattr(engine, "_SPARED", 0)
    organization = copying(an_organization())
    master_db.organizations.update_one({}, {"$inc": {"operation.attempt": 1}})
    with pytest.raises(LeaseLost):
        run(organization)
    assert copied == []


def test_an_attempt_that_failed_is_tried_again_after_a_growing_pause(copied, master_db):
    organization = copying(an_organization())
    pauses = []
    for attempt in range(1, 9):
        master_db.organizations.update_one({}, {"$set": {"operation.attempt": attempt}})
        reschedule(fresh(organization), RuntimeError("the disk\nis full"))
        now = server_time()
        pauses.append(round((lease_of(organization) - now).total_seconds()))
    assert pauses == [2, 4, 8, 16, 32, 45, 45, 45]
    assert fresh(organization).operation.last_error == "RuntimeError: the disk\nis full"
    assert acquire_lease() is None


def test_who_was_overtaken_can_not_put_it_off(copied, master_db):
    organization = copying(an_organization())
    master_db.organizations.update_one({}, {"$inc": {"operation.attempt": 1}})
    before = lease_of(organization)
    reschedule(organization, RuntimeError())
    assert lease_of(organization) == before


def test_an_intent_is_written_once(copied):
    organization = an_organization()
    operation = Operation(
        kind="copy", started_at=clock.now(), origin=a_context().origin, collection="x"
    )
    assert engine.write_intent_where({"_id": organization.id}, operation)
    assert engine.write_intent_where({"_id": organization.id}, operation) is None


def test_a_rename_that_came_too_late_is_put_right_by_who_sent_it(tenant_db, monkeypatch):
    """A process that was stopped past its lease wakes and sends what no fence is against."""
    organization = an_organization("Acme Corp")
    finish = steps_of("rename")[-1]

    def overtaken(asleep):
        """Others finish it, and rename it once more, before the sleeper's command arrives."""
        monkeypatch.undo()
        Organization.objects(id=asleep.id).update(inc__operation__attempt=1)
        rename_organization(run_now(fresh(asleep)), "Third", a_context())
        tenant_db.org_third.rename("org_other")  # the late command, as the server takes it
        return asleep

    plan = a_plan("rename", overtaken, finish)
    monkeypatch.setitem(engine.PLANS, "rename", plan)
    assert rename_organization(organization, "Other", a_context()).slug == "third"
    assert tenant_db.list_collection_names() == ["org_third"]
    assert fresh(organization).operation is None


def test_a_repair_that_came_too_late_is_put_right_too(tenant_db, monkeypatch):
    organization = an_organization("Acme Corp")
    tenant_db.org_acme_corp.rename("by_hand")
    finish = steps_of("repair")[-1]

    def overtaken(asleep):
        monkeypatch.undo()
        Organization.objects(id=asleep.id).update(inc__operation__attempt=1)
        rename_organization(run_now(fresh(asleep)), "Other", a_context())
        tenant_db.org_other.rename("org_acme_corp")  # the late command
        return asleep

    plan = a_plan("repair", overtaken, finish)
    monkeypatch.setitem(engine.PLANS, "repair", plan)
    assert repair_organization(organization, a_context()).slug == "other"
    assert tenant_db.list_collection_names() == ["org_other"]


@pytest.fixture
def others_were_faster(monkeypatch):
    """Whatever a process begins with a kind of operation, others finish while it sleeps."""

    def prepare(kind):
        original = engine.PLANS[kind]

        def overtaken(asleep):
            monkeypatch.setitem(engine.PLANS, kind, original)
            Organization.objects(id=asleep.id).update(inc__operation__attempt=1)
            with contextlib.suppress(RollBack):
                run(fresh(asleep))
            raise LeaseLost

        monkeypatch.setitem(engine.PLANS, kind, a_plan(kind, overtaken))

    return prepare


def test_who_was_overtaken_by_others_who_turned_it_back_is_told_so(tenant_db, others_were_faster):
    organization = an_organization("Acme Corp")
    tenant_db.org_other.insert_one({"_id": "theirs"})
    others_were_faster("rename")
    with pytest.raises(SlugTaken):
        rename_organization(organization, "Other", a_context())
    assert fresh(organization).slug == "acme-corp"


def test_a_sign_up_that_others_turned_back_is_no_success(tenant_db, others_were_faster):
    tenant_db.org_acme_corp.insert_one({"_id": "theirs"})
    others_were_faster("create")
    with pytest.raises(SlugTaken):
        an_organization("Acme Corp")
    assert not Organization.objects()


def test_a_newborn_collection_that_was_dropped_by_hand_leaves_no_organization(
    tenant_db, monkeypatch
):
    def drop(organization):
        tenant_db.drop_collection(organization.placement.collection)
        return organization

    plan = engine.PLANS["create"]
    way = plan.ways[Strategy.COLLECTION]
    record_uuid, *rest = way.forward
    dropped = a_plan("create", record_uuid, drop, *rest, back=way.back)
    monkeypatch.setitem(engine.PLANS, "create", dropped)
    founder = an_account()
    with pytest.raises(DatabaseUnavailable):
        an_organization("Acme Corp", founder)
    assert not Organization.objects()
    monkeypatch.setitem(engine.PLANS, "create", plan)
    assert an_organization("Acme Corp", founder).slug == "acme-corp"


@pytest.fixture
def born_without(tenant_db, monkeypatch):
    """A sign-up as the first versions committed it: its collection is the first step's work."""

    def start(meanwhile=lambda organization: None):
        def bare(organization):
            tenant_db.drop_collection(organization.placement.collection)
            meanwhile(organization)
            return organization

        plan = engine.PLANS["create"]
        way = plan.ways[Strategy.COLLECTION]
        older = a_plan("create", bare, *way.forward, back=way.back)
        monkeypatch.setitem(engine.PLANS, "create", older)
        organization = an_organization("Acme Corp")
        monkeypatch.setitem(engine.PLANS, "create", plan)
        return organization

    return start


def test_a_sign_up_of_the_first_versions_gets_the_collection_that_it_lacks(born_without, tenant_db):
    organization = born_without()
    assert fresh(organization).operation is None
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
    assert organization.placement.uuid == collections.uuid_of(tenant_db, "org_acme_corp")


def test_a_late_attempt_at_such_a_sign_up_creates_no_second_collection(
    born_without, tenant_db, master_db
):
    def overtake(organization):
        engine.current_attempt(organization).update_one(inc__operation__attempt=1)

    organization = born_without(overtake)
    assert tenant_db.list_collection_names() == []
    master_db.organizations.update_one(
        {"_id": organization.id}, {"$set": {"operation.lease_until": clock.now() - timedelta(1)}}
    )
    assert runner.recover_due_operations() == 1
    assert tenant_db.list_collection_names() == ["org_acme_corp"]


def test_who_was_overtaken_is_told_of_success_although_mongodb_is_away_then(
    monkeypatch, others_were_faster
):
    def away(organization):
        raise ConnectionFailure

    organization = an_organization("Acme Corp")
    others_were_faster("rename")
    monkeypatch.setattr(engine, "_overtaken", away)
    assert rename_organization(organization, "Other", a_context()).operation.name == "Other"
    assert fresh(organization).slug == "other"


def test_the_runner_has_no_more_to_do_at_once_than_it_can(copied, monkeypatch, master_db):
    for n in range(3):
        copying(an_organization(f"Org {n}"))
    master_db.organizations.update_many({}, [{"$set": {"operation.lease_until": "$created_at"}}])
    monkeypatch.setattr(runner, "MAX_AT_ONCE", 2)
    assert [runner.recover_due_operations() for _ in range(3)] == [2, 1, 0]


def test_an_operation_is_refused_where_the_organization_is_not_in_its_state():
    trashed = trash_organization(an_organization("Acme Corp"), None, a_context())
    with pytest.raises(NotFound):
        rename_organization(trashed, "Other", a_context())
    with pytest.raises(NotFound):
        trash_organization(trashed, None, a_context())
    active = an_organization("Acme Corp")
    with pytest.raises(OrganizationRenamed):
        restore_organization(active, None, a_context())
