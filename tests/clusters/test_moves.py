"""Moves of organizations between clusters."""

from itertools import product

import pytest

from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Strategy
from portal.organizations.moving.managing import go_back
from portal.organizations.storage import tenant_of
from tests.factories import a_context, an_organization, fresh
from tests.organizations.moving.carrying import make_due, move, run_movers

SOME = [{"_id": number, "text": f"document {number}"} for number in range(50)]
TYPICAL = (Strategy.COLLECTION, Strategy.COLLECTION)
PAIRS = [
    pytest.param(*pair, marks=() if pair == TYPICAL else pytest.mark.full)
    for pair in product(Strategy, Strategy)
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_an_organization_moves_to_another_cluster_and_goes_back(europe, there, source, target):
    acme = an_organization("Acme Corp", strategy=source)
    tenant_of(acme).insert_many(SOME)
    moved = move(acme, target, "europe")
    assert (moved.state, moved.outcome) == (MoveState.DONE, Outcome.MOVED), repr(moved.to_mongo())
    here = fresh(acme)
    assert (here.placement.strategy, here.placement.cluster) == (target, "europe")
    assert list(tenant_of(here).find(sort=[("_id", 1)])) == SOME

    tenant_of(here).insert_one({"_id": 50})
    tenant_of(here).delete_one({"_id": 0})
    go_back(str(moved.id), a_context())
    for _ in range(2):
        make_due()
        run_movers()
    way_back = Move.objects.get(way_back_of=moved.id)
    told = repr(way_back.to_mongo())
    assert (way_back.state, way_back.outcome) == (MoveState.DONE, Outcome.WENT_BACK), told
    back = fresh(acme)
    assert (back.placement.strategy, back.placement.cluster) == (source, "main")
    assert [each["_id"] for each in tenant_of(back).find(sort=[("_id", 1)])] == list(range(1, 51))
