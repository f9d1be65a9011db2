"""Moves of organizations that are suspended, or held."""

import pytest

from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Restriction, Strategy
from portal.organizations.access.errors import OrganizationLocked, OrganizationReadOnly
from portal.organizations.lifecycle.restricting import lift_suspension
from portal.organizations.moving.managing import switch_move
from portal.organizations.restrictions.holding import release_hold
from portal.organizations.storage import tenant_of
from tests.factories import a_context, a_hold, a_suspension, an_organization, fresh
from tests.organizations.moving.carrying import a_ready_move, move, run_due_movers

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
