"""What else happens to an organization while it moves, or has a way back."""

from itertools import product

import pytest

from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Failure, Organization, Strategy
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.moving.managing import abort_move, pause_move, resume_move, switch_move
from portal.organizations.moving.ways_back import end_way_back, go_back
from portal.organizations.storage import tenant_of
from tests.factories import a_context, an_organization, collections_in, fresh
from tests.organizations.moving.carrying import (
    a_ready_move,
    begin,
    documents_of,
    left_over,
    move,
    now,
    run_due_movers,
    run_movers,
)

SOME = [{"_id": number} for number in range(20)]
TYPICAL = (Strategy.COLLECTION, Strategy.DATABASE), (Strategy.SHARED, Strategy.COLLECTION)
PAIRS = [
    pytest.param(*pair, marks=() if pair in TYPICAL else pytest.mark.full)
    for pair in product(Strategy, Strategy)
    if pair[0] != pair[1]
]
each_pair = pytest.mark.parametrize(("source", "target"), PAIRS)


def an_acme(strategy):
    organization = an_organization("Acme Corp", strategy=strategy)
    tenant_of(organization).insert_many(SOME)
    return organization


@each_pair
def test_renamed_trashed_and_restored_while_it_is_ready_it_still_moves(app, source, target):
    acme = an_acme(source)
    ready = a_ready_move(acme, target)
    rename_organization(fresh(acme), "Globex", a_context())
    run_due_movers(1)
    trash_organization(fresh(acme), None, a_context())
    run_due_movers(1)
    restore_organization(fresh(acme), "Initech", a_context())
    tenant_of(fresh(acme)).insert_one({"_id": 20})
    switch_move(str(ready.id), a_context())
    run_due_movers(1)
    assert now(ready).outcome == Outcome.MOVED, repr(now(ready).to_mongo())
    assert fresh(acme).placement.strategy == target
    assert documents_of(acme) == [*SOME, {"_id": 20}]
    if target == Strategy.COLLECTION:
        assert fresh(acme).placement.collection == "org_initech"


@each_pair
def test_in_the_trash_it_moves_too_and_comes_back_from_there(app, source, target):
    acme = an_acme(source)
    trash_organization(fresh(acme), None, a_context())
    moved = move(fresh(acme), target)
    assert moved.outcome == Outcome.MOVED, repr(moved.to_mongo())
    restore_organization(fresh(acme), None, a_context())
    assert documents_of(acme) == SOME


@pytest.mark.parametrize(("source", "target"), TYPICAL)
def test_bound_to_a_region_meanwhile_it_neither_moves_nor_goes_back_outside(app, source, target):
    """Its cluster was in the region when it was bound, and left it when the other took it."""
    acme = an_acme(source)
    ready = a_ready_move(acme, target)
    Organization.objects(id=acme.id).update(set__region="eu")
    switch_move(str(ready.id), a_context())
    run_movers()
    assert (now(ready).state, now(ready).cause) == (MoveState.READY, Failure.OUTSIDE_REGION)
    assert fresh(acme).placement.strategy == source
    assert documents_of(acme) == SOME
    Organization.objects(id=acme.id).update(unset__region=True)
    switch_move(str(ready.id), a_context())
    run_due_movers(1)
    assert now(ready).outcome == Outcome.MOVED
    Organization.objects(id=acme.id).update(set__region="eu")
    go_back(str(ready.id), a_context())
    run_movers()
    way_back = Move.objects.get(way_back_of=ready.id)
    assert (way_back.state, way_back.cause) == (MoveState.SHADOW, Failure.OUTSIDE_REGION)
    assert fresh(acme).placement.strategy == target


@each_pair
def test_renamed_trashed_and_restored_since_it_goes_back(tenant_db, source, target):
    acme = an_acme(source)
    moved = move(acme, target)
    rename_organization(fresh(acme), "Globex", a_context())
    trash_organization(fresh(acme), None, a_context())
    run_due_movers(1)
    restore_organization(fresh(acme), "Initech", a_context())
    tenant_of(fresh(acme)).delete_one({"_id": 0})
    go_back(str(moved.id), a_context())
    run_due_movers()
    way_back = Move.objects.get(way_back_of=moved.id)
    assert way_back.outcome == Outcome.WENT_BACK, repr(way_back.to_mongo())
    assert documents_of(acme) == SOME[1:]
    assert left_over(tenant_db) == []


@each_pair
@pytest.mark.parametrize("when", ["copying", "ready", "shadow"])
def test_a_purge_ends_the_move_and_leaves_nothing(tenant_db, source, target, when):
    acme = an_acme(source)
    if when == "copying":
        begun = begin(acme, target)
    else:
        begun = a_ready_move(acme, target) if when == "ready" else move(acme, target)
    purge_organization(fresh(acme), None, a_context())
    run_due_movers()
    assert not Move.objects(open=True)
    outcome = Move.objects.order_by("-created_at").first().outcome
    assert outcome == (Outcome.ENDED if when == "shadow" else Outcome.ABORTED)
    assert begun
    left = [name for name in collections_in(tenant_db) if not name.startswith("shared_")]
    assert left == []
    assert left_over(tenant_db) == []
    for pool in (name for name in collections_in(tenant_db) if name.startswith("shared_")):
        assert tenant_db[pool].count_documents({}) == 0


@each_pair
@pytest.mark.parametrize("when", ["copying", "ready"])
def test_aborted_it_leaves_nothing_and_the_next_move_needs_no_cleaning(
    tenant_db, source, target, when
):
    acme = an_acme(source)
    begun = begin(acme, target) if when == "copying" else a_ready_move(acme, target)
    abort_move(str(begun.id), "changed our minds", a_context())
    run_due_movers()
    assert (now(begun).state, now(begun).outcome) == (MoveState.DONE, Outcome.ABORTED)
    assert fresh(acme).placement.strategy == source
    assert documents_of(acme) == SOME
    assert left_over(tenant_db) == []
    assert move(fresh(acme), target).outcome == Outcome.MOVED
    assert documents_of(acme) == SOME


def test_an_ended_way_back_leaves_nothing_and_another_move_may_begin(tenant_db):
    acme = an_acme(Strategy.SHARED)
    moved = move(acme, Strategy.COLLECTION)
    end_way_back(str(moved.id), a_context())
    run_due_movers()
    assert not Move.objects(open=True)
    counts = {name: tenant_db[name].count_documents({}) for name in collections_in(tenant_db)}
    assert sorted(counts.values()) == [0, 20]
    assert move(fresh(acme), Strategy.SHARED).outcome == Outcome.MOVED
    assert documents_of(acme) == SOME


def test_a_way_back_ends_by_itself_when_its_time_is_over(tenant_db):
    acme = an_acme(Strategy.COLLECTION)
    moved = move(acme, Strategy.DATABASE, way_back_days=1)
    way_back = Move.objects.get(way_back_of=moved.id)
    assert (way_back.until - way_back.created_at).days == 1
    way_back.update(set__until=way_back.created_at)
    run_due_movers()
    assert now(way_back).outcome == Outcome.ENDED
    assert left_over(tenant_db) == []


def test_a_paused_move_does_nothing_until_it_is_resumed(app):
    acme = an_acme(Strategy.COLLECTION)
    begun = begin(acme, Strategy.DATABASE)
    pause_move(str(begun.id), a_context())
    run_due_movers()
    assert now(begun).state == MoveState.COPYING
    resume_move(str(begun.id), a_context())
    run_movers()
    assert now(begun).outcome == Outcome.MOVED


def test_without_a_way_back_the_old_copy_goes(tenant_db):
    acme = an_acme(Strategy.COLLECTION)
    moved = move(acme, Strategy.DATABASE, without_way_back=True)
    run_due_movers()
    assert now(moved).outcome == Outcome.MOVED
    assert not Move.objects(open=True)
    assert left_over(tenant_db) == []
