"""Moving organizations from one place to another."""

import pytest

from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Strategy
from portal.organizations.storage import tenant_of
from tests.factories import an_organization, fresh
from tests.organizations.moving.conftest import make_due, move, run_movers

SOME = [{"_id": number, "text": f"document {number}"} for number in range(50)]


def documents_of(organization):
    return list(tenant_of(fresh(organization)).find(sort=[("_id", 1)]))


def test_an_organization_moves_to_a_database_of_its_own_and_can_go_back(app):
    acme = an_organization("Acme Corp")
    tenant_of(acme).insert_many(SOME)
    moved = move(acme, Strategy.DATABASE)
    assert (moved.state, moved.outcome) == (MoveState.DONE, Outcome.MOVED), repr(moved.to_mongo().to_dict())
    here = fresh(acme)
    assert here.placement.strategy == Strategy.DATABASE
    assert here.operation is None
    assert documents_of(acme) == SOME
    assert moved.verification.documents == 50
    [way_back] = Move.objects(open=True)
    assert way_back.state == MoveState.SHADOW
