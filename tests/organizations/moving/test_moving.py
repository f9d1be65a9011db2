"""Moving organizations from one place to another."""

from itertools import permutations

import bson
import pytest

from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Strategy
from portal.organizations.moving.managing import switch_move
from portal.organizations.moving.ways_back import go_back
from portal.organizations.storage import tenant_of
from tests.factories import a_context, an_organization, fresh
from tests.organizations.moving.carrying import (
    a_ready_move,
    documents_of,
    left_over,
    move,
    now,
    run_due_movers,
)
from tests.tenants.moving.contents import of_size

LARGEST = 16 * 1024 * 1024
# Where its _id is longer.
LARGEST_SHARED = LARGEST - 23
SOME = [{"_id": number, "text": f"document {number}"} for number in range(50)]


def place(organization):
    placement = fresh(organization).placement
    return placement.strategy, placement.cluster


@pytest.mark.parametrize(("source", "target"), list(permutations(Strategy, 2)))
def test_an_organization_moves_and_goes_back_with_all_that_was_written(tenant_db, source, target):
    acme = an_organization("Acme Corp", strategy=source)
    tenant_of(acme).insert_many(SOME)
    moved = move(acme, target)
    assert (moved.state, moved.outcome) == (MoveState.DONE, Outcome.MOVED), repr(moved.to_mongo())
    assert moved.verification.documents == 50
    assert place(acme) == (target, "main")
    assert fresh(acme).operation is None
    assert documents_of(acme) == SOME

    tenant_of(fresh(acme)).insert_one({"_id": 50})
    tenant_of(fresh(acme)).delete_one({"_id": 0})
    tenant_of(fresh(acme)).update_one({"_id": 1}, {"$set": {"text": "another"}})
    before = documents_of(acme)
    go_back(str(moved.id), a_context())
    run_due_movers()
    way_back = Move.objects.get(way_back_of=moved.id)
    told = repr(way_back.to_mongo())
    assert (way_back.state, way_back.outcome) == (MoveState.DONE, Outcome.WENT_BACK), told
    assert place(acme) == (source, "main")
    assert documents_of(acme) == before
    assert left_over(tenant_db) == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("source", "target", "size"),
    [
        (Strategy.COLLECTION, Strategy.DATABASE, LARGEST),
        (Strategy.SHARED, Strategy.COLLECTION, LARGEST_SHARED),
    ],
)
def test_documents_of_16_mb_move_and_go_back_as_they_are(tenant_db, source, target, size):
    acme = an_organization("Acme Corp", strategy=source)
    documents = tenant_of(acme)
    for number in range(3):
        documents.insert_one(bson.decode(of_size(number, size)))
    ready = a_ready_move(acme, target)
    documents.update_one({"_id": 1}, {"$set": {"pad": "y" * len(documents.find_one()["pad"])}})
    before = documents_of(acme)
    switch_move(str(ready.id), a_context())
    run_due_movers(1)
    assert now(ready).outcome == Outcome.MOVED, repr(now(ready).to_mongo())
    assert documents_of(acme) == before
    tenant_of(fresh(acme)).delete_one({"_id": 0})
    go_back(str(ready.id), a_context())
    run_due_movers()
    assert place(acme) == (source, "main")
    assert documents_of(acme) == before[1:]
