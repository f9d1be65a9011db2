"""An operation that doesn't get done by itself is tried again, or undone, by an operator."""

from threading import Barrier, Thread

import pytest
from pymongo.errors import AutoReconnect

from portal.documents.audit import AuditEvent
from portal.documents.organizations import (
    Failure,
    OperationKind,
    Organization,
    Restriction,
    Slug,
    Strategy,
)
from portal.documents.restrictions import Suspension
from portal.mail import sender
from portal.organizations.lifecycle import engine, runner
from portal.organizations.lifecycle.engine import acquire_lease
from portal.organizations.lifecycle.errors import OperationOver, OperationStays, OperationUndone
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.restricting import lift_suspension
from portal.organizations.lifecycle.retrying import retry_operation, undo_operation, why_it_stays
from portal.organizations.lifecycle.trashing import trash_organization
from portal.web.context import OPERATOR, RequestContext
from tests.factories import (
    a_context,
    a_plan,
    a_suspension,
    an_organization,
    collections_in,
    fresh,
    steps_of,
)

BY_OPERATOR = RequestContext(OPERATOR)
STARTS = {
    OperationKind.RENAME: lambda it: rename_organization(it, "Other", a_context()),
    OperationKind.TRASH: lambda it: trash_organization(it, None, a_context()),
    OperationKind.RESTORE: lambda it: restore_organization(it, "Other", a_context()),
    OperationKind.RESTRICT: lambda it: a_suspension(it, Restriction.LOCKED),
}


@pytest.fixture
def stuck(monkeypatch, tenant_db):
    """Begins an operation that fails behind as many of its steps: its organization, its id, and how
    all was before."""

    def begin(kind, behind):
        organization = an_organization("Acme Corp")
        if kind == OperationKind.RESTORE:
            organization = trash_organization(organization, None, a_context())
        steps, before = steps_of(kind), state_of(organization, tenant_db)

        def failing(organization):
            raise ConnectionError("a disk is full")

        way = engine.PLANS[kind].ways[Strategy.COLLECTION]
        broken = a_plan(kind, *steps[:behind], failing, *steps[behind:], back=way.back)
        with monkeypatch.context() as patched:
            patched.setitem(engine.PLANS, kind, broken)
            with pytest.raises(ConnectionError):
                STARTS[kind](organization)
        return organization, fresh(organization).operation.id, before

    return begin


def state_of(organization, tenant_db):
    """All that an operation changes."""
    now = fresh(organization)
    slugs = {slug.id: slug.state for slug in Slug.objects(organization=organization.id)}
    kept = now.name, now.slug, now.state, now.restricted, now.operation, now.placement.collection
    return (*kept, slugs), sorted(collections_in(tenant_db))


def test_what_waits_for_its_next_try_is_tried_at_once(stuck, master_db):
    organization, operation, _ = stuck(OperationKind.RENAME, 1)
    assert acquire_lease() is None  # nobody else would by now
    renamed = retry_operation(organization.id, operation, BY_OPERATOR)
    assert (renamed.slug, renamed.operation) == ("other", None)
    event = AuditEvent.objects.get(action="organization.operation_retried")
    assert (event.chain, event.actor_kind) == (organization.id, "operator")


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("behind", [0, 1, 2])
def test_wherever_it_stopped_all_is_as_before(stuck, tenant_db, kind, behind):
    organization, operation, before = stuck(kind, behind)
    undone = undo_operation(organization.id, operation, BY_OPERATOR)
    assert undone.operation is None
    assert state_of(organization, tenant_db) == before
    assert AuditEvent.objects(action="organization.operation_undone").count() == 1


def test_owners_are_told_that_a_suspension_was_undone(app, office, stuck):
    organization, operation, _ = stuck(OperationKind.RESTRICT, 1)
    undo_operation(organization.id, operation, BY_OPERATOR)
    assert Suspension.objects.get().failure == Failure.ABORTED
    sender.send_due_mails(app)
    assert [mail["Subject"] for mail in office.messages] == ["A suspension of Acme Corp was lifted"]


def test_a_lifting_that_is_undone_leaves_it_suspended(tenant_db, monkeypatch):
    organization = an_organization("Acme Corp")
    suspension = a_suspension(organization, Restriction.LOCKED)
    before, kind = state_of(organization, tenant_db), OperationKind.RESTRICT

    def failing(organization):
        raise ConnectionError("a disk is full")

    back = engine.PLANS[kind].ways[Strategy.COLLECTION].back
    with monkeypatch.context() as patched:
        broken = a_plan(kind, *steps_of(kind)[:2], failing, back=back)
        patched.setitem(engine.PLANS, kind, broken)
        with pytest.raises(ConnectionError):
            lift_suspension(fresh(organization), suspension.id, a_context())
    lifting = fresh(organization).operation
    undo_operation(organization.id, lifting.id, BY_OPERATOR)
    assert state_of(organization, tenant_db) == before
    assert Suspension.objects.get().open


def test_one_that_an_operator_undoes_writes_nothing_any_more(tenant_db, monkeypatch):
    """A process is amid its steps, and goes on when all was undone."""
    organization = an_organization("Acme Corp")
    amid, undone = Barrier(2, timeout=20), Barrier(2, timeout=20)
    steps, way = steps_of(OperationKind.RENAME), engine.PLANS[OperationKind.RENAME]

    def slow(organization):
        amid.wait()
        undone.wait()
        return organization

    back = way.ways[Strategy.COLLECTION].back
    raised = []

    def rename():
        try:
            rename_organization(organization, "Other", a_context())
        except OperationUndone as error:
            raised.append(error)

    monkeypatch.setitem(
        engine.PLANS, OperationKind.RENAME, a_plan(OperationKind.RENAME, slow, *steps, back=back)
    )
    before = state_of(organization, tenant_db)
    renaming = Thread(target=rename)
    renaming.start()
    amid.wait()
    running = fresh(organization).operation
    undo_operation(organization.id, running.id, BY_OPERATOR)
    undone.wait()
    renaming.join(20)
    assert state_of(organization, tenant_db) == before
    assert len(raised) == 1


def test_a_way_back_that_fails_is_gone_again_by_itself(stuck, tenant_db, monkeypatch):
    organization, operation, _ = stuck(OperationKind.RENAME, 2)
    plan = engine.PLANS[OperationKind.RENAME]
    back = plan.ways[Strategy.COLLECTION].back

    def unreachable(organization):
        raise AutoReconnect("connection closed")

    with monkeypatch.context() as patched:
        forward = steps_of(OperationKind.RENAME)
        broken = a_plan(OperationKind.RENAME, *forward, back=(unreachable, *back))
        patched.setitem(engine.PLANS, OperationKind.RENAME, broken)
        left = undo_operation(organization.id, operation, BY_OPERATOR)
    assert "connection closed" in left.operation.last_error
    assert why_it_stays(left) == "that is on its way already"
    with pytest.raises(OperationStays):
        undo_operation(organization.id, operation, BY_OPERATOR)
    Organization.objects(id=organization.id).update(set__operation__lease_until=left.created_at)
    runner.recover_due_operations()
    assert (fresh(organization).slug, fresh(organization).operation) == ("acme-corp", None)


def test_what_is_over_is_neither_tried_again_nor_undone(stuck):
    organization, operation, _ = stuck(OperationKind.RENAME, 0)
    retry_operation(organization.id, operation, BY_OPERATOR)
    for act in (retry_operation, undo_operation):
        with pytest.raises(OperationOver):
            act(organization.id, operation, BY_OPERATOR)
    assert fresh(organization).slug == "other"


def test_a_purge_has_no_way_back(master_db):
    organization = an_organization("Acme Corp")
    operation = {
        "id": organization.id,
        "kind": "purge",
        "attempt": 4,
        "started_at": organization.created_at,
        "lease_until": organization.created_at,
        "origin": {},
    }
    master_db.organizations.update_one({"_id": organization.id}, {"$set": {"operation": operation}})
    with pytest.raises(OperationStays):
        undo_operation(organization.id, organization.id, BY_OPERATOR)
    assert fresh(organization).operation.attempt == 4
