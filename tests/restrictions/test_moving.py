"""Moves of organizations that are suspended, or held."""

import pytest
from pymongo.errors import OperationFailure

from portal.documents.moves import Move, MoveState
from portal.documents.organizations import OperationKind, Organization, Restriction, Strategy
from portal.organizations.access.errors import OrganizationLocked, OrganizationReadOnly
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.restricting import lift_suspension
from portal.organizations.lifecycle.retrying import retry_operation
from portal.organizations.moving.managing import switch_move
from portal.organizations.restrictions.holding import release_hold
from portal.organizations.storage import tenant_of
from tests.factories import (
    a_context,
    a_hold,
    a_plan,
    a_suspension,
    an_organization,
    fresh,
    steps_of,
)
from tests.operators.conftest import desk, desk_of, program_of  # noqa: F401
from tests.organizations.moving.carrying import a_ready_move, move, now, run_due_movers
from tests.program import fault

WAYS = [
    (Strategy.COLLECTION, Strategy.DATABASE),
    (Strategy.COLLECTION, Strategy.SHARED),
    (Strategy.SHARED, Strategy.DATABASE),
]


@pytest.mark.parametrize(("source", "target"), WAYS)
@pytest.mark.parametrize("kind", [Restriction.READ_ONLY, Restriction.LOCKED])
def test_one_that_is_suspended_moves_and_stays_so(source, target, kind):
    organization = an_organization("Acme Corp", strategy=source)
    tenant_of(organization).insert_one({"_id": 1})
    suspension = a_suspension(organization, kind)
    move(fresh(organization), target)
    moved = fresh(organization)
    assert (moved.placement.strategy, moved.restricted) == (target, kind)
    if kind == Restriction.READ_ONLY:
        assert tenant_of(moved).find_one({"_id": 1})
        with pytest.raises(OrganizationReadOnly):
            tenant_of(moved).insert_one({"_id": 2})
    else:
        with pytest.raises(OrganizationLocked):
            tenant_of(moved).find_one({})
    lift_suspension(moved, suspension.id, a_context())
    tenant_of(fresh(organization)).insert_one({"_id": 2})
    assert tenant_of(fresh(organization)).count_documents({}) == 2


@pytest.mark.parametrize("kind", [Restriction.READ_ONLY, Restriction.LOCKED])
def test_a_suspension_while_it_is_copied_is_there_after_the_switch(kind):
    organization = an_organization("Acme Corp")
    tenant_of(organization).insert_one({"_id": 1})
    ready = a_ready_move(organization, Strategy.DATABASE)
    suspension = a_suspension(organization, kind)
    switch_move(str(ready.id), a_context())
    run_due_movers()
    moved = fresh(organization)
    assert (moved.placement.strategy, moved.restricted) == (Strategy.DATABASE, kind)
    lift_suspension(moved, suspension.id, a_context())
    tenant_of(fresh(organization)).insert_one({"_id": 2})


def test_a_way_back_does_not_end_under_a_hold():
    organization = an_organization("Acme Corp")
    tenant_of(organization).insert_one({"_id": 1})
    move(organization, Strategy.DATABASE)
    way_back = Move.objects.get(organization=organization.id, way_back_of__exists=True)
    hold = a_hold(organization)
    way_back.modify(set__until=hold.at)
    run_due_movers()
    assert Move.objects.get(id=way_back.id).state == MoveState.SHADOW
    release_hold(fresh(organization), hold.id, a_context())
    run_due_movers()
    assert Move.objects.get(id=way_back.id).state == MoveState.DONE


@pytest.fixture
def failing(monkeypatch):
    """Suspends an organization by an operation that fails at its last step, as it will again."""

    def suspend(organization):
        def full(organization):
            raise OperationFailure("a disk is full")

        kind, way = OperationKind.RESTRICT, steps_of(OperationKind.RESTRICT)
        back = engine.PLANS[kind].ways[Strategy.COLLECTION].back
        doing = engine.PLANS[kind].doing
        with monkeypatch.context() as patched:
            broken = a_plan(kind, *way[:-1], full, back=back, doing=doing)
            patched.setitem(engine.PLANS, kind, broken)
            a_suspension(organization)
        return fresh(organization).operation.id

    return suspend


def test_while_a_suspension_fails_nobody_moves_it_and_each_way_says_what_to_do(
    desk,  # noqa: F811
    program_of,  # noqa: F811
    command,
    failing,
):
    organization = an_organization("Acme Corp")
    operation = failing(organization)
    there = f"organizations/{organization.id}/move"
    wish = {"strategy": "database", "cluster": "main"}
    page = desk.get(f"/operator/{there}/new?strategy=database&cluster=main")
    answer = program_of().post(f"/admin/{there}", wish)
    printed = command("moves", "plan", "acme-corp", "--to", "database")
    assert (page.status, fault(answer)[:2]) == (409, (409, "not_movable"))
    assert printed.returncode == 2
    for words in (page.text, answer.json["error"]["message"], printed.stderr):
        told = " ".join(words.split())
        assert "being suspended, or freed again, which failed 1 time" in told
        assert "a disk is full" in told
        assert "flask lifecycle retry" in told
    assert not Move.objects
    retry_operation(organization.id, operation, a_context())
    assert desk.get(f"/operator/{there}/new?strategy=database&cluster=main").status == 200


def test_a_move_waits_for_a_suspension_that_fails_and_says_so(failing):
    organization = an_organization("Acme Corp")
    tenant_of(organization).insert_one({"_id": 1})
    ready = a_ready_move(organization, Strategy.DATABASE)
    operation = failing(organization)
    switch_move(str(ready.id), a_context())
    run_due_movers()
    assert now(ready).state == MoveState.READY
    assert "being suspended, or freed again" in now(ready).waits_for
    retry_operation(organization.id, operation, a_context())
    run_due_movers()
    moved = Organization.objects.get(id=organization.id)
    assert (moved.placement.strategy, moved.restricted) == (
        Strategy.DATABASE,
        Restriction.READ_ONLY,
    )
    assert tenant_of(moved).find_one({"_id": 1})
