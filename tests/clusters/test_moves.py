"""Moves of organizations between clusters."""

from itertools import product

import pytest

from portal.database.clusters import is_available
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Strategy
from portal.organizations.moving import mover
from portal.organizations.moving.managing import switch_move
from portal.organizations.moving.ways_back import go_back
from portal.organizations.storage import tenant_of
from tests.doctor.conftest import repair  # noqa: F401
from tests.factories import a_context, an_organization, collections_in, fresh
from tests.organizations.moving.carrying import (
    a_ready_move,
    begin,
    documents_of,
    make_due,
    move,
    now,
    run_due_movers,
    run_movers,
)
from tests.processes import wait_until

SOME = [{"_id": number, "text": f"document {number}"} for number in range(50)]


@pytest.mark.parametrize(("source", "target"), [*product(Strategy, Strategy)])
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
    run_due_movers()
    way_back = Move.objects.get(way_back_of=moved.id)
    told = repr(way_back.to_mongo())
    assert (way_back.state, way_back.outcome) == (MoveState.DONE, Outcome.WENT_BACK), told
    back = fresh(acme)
    assert (back.placement.strategy, back.placement.cluster) == (source, "main")
    assert [each["_id"] for each in tenant_of(back).find(sort=[("_id", 1)])] == list(range(1, 51))


@pytest.fixture
def acme(app):
    organization = an_organization("Acme Corp")
    tenant_of(organization).insert_many(SOME)
    return organization


def finished(a_move, outcome):
    """Tell whether the move has come to its outcome, with all that is due done once more."""
    run_due_movers(1)
    return now(a_move).outcome == outcome


@pytest.mark.usefixtures("real_limits")
def test_a_target_that_is_away_is_waited_for(europe, acme):
    begun = begin(acme, Strategy.COLLECTION, "europe")
    europe.kill()
    for _ in range(4):
        make_due()
        run_movers()
    waiting = now(begun)
    assert (waiting.state, waiting.paused) == (MoveState.COPYING, None)
    assert "europe" in waiting.waits_for
    europe.start_again()
    wait_until(lambda: is_available("europe"))
    wait_until(lambda: finished(begun, Outcome.MOVED))
    assert documents_of(acme) == SOME


@pytest.mark.usefixtures("real_limits")
def test_a_target_that_dies_behind_the_fence_leaves_nobody_unwritable(europe, acme, monkeypatch):
    ready = a_ready_move(acme, Strategy.COLLECTION, "europe")
    begin_switch = mover.begin_switch

    def and_die(*arguments):
        begun = begin_switch(*arguments)
        europe.kill()
        return begun

    monkeypatch.setattr(mover, "begin_switch", and_die)
    switch_move(str(ready.id), a_context())
    make_due()
    run_movers()
    monkeypatch.undo()
    assert fresh(acme).operation is None
    tenant_of(fresh(acme)).insert_one({"_id": 50})
    assert now(ready).state == MoveState.READY
    europe.start_again()
    wait_until(lambda: is_available("europe"))
    now(ready).update(unset__next_fence_at=True)
    wait_until(lambda: finished(ready, Outcome.MOVED))
    assert documents_of(acme) == [*SOME, {"_id": 50}]


@pytest.mark.usefixtures("real_limits")
@pytest.mark.parametrize("when", ["copying", "ready", "way back"])
def test_a_lost_cluster_ends_moves_and_ways_back(europe, acme, command, when):
    if when == "copying":
        open_move = begin(acme, Strategy.COLLECTION, "europe")
    elif when == "ready":
        open_move = a_ready_move(acme, Strategy.COLLECTION, "europe")
    else:
        moved = move(acme, Strategy.COLLECTION, "europe")
        assert move_back_and_end(acme, moved)
        open_move = move(fresh(acme), Strategy.DATABASE)
        open_move = Move.objects.get(way_back_of=open_move.id)
        Move.objects(id=open_move.id).update(set__target__cluster="europe")
    europe.kill()
    command("clusters", "lost", "europe", "--confirm", "europe")
    run_due_movers()
    assert (now(open_move).state, now(open_move).outcome) == (MoveState.DONE, Outcome.GIVEN_UP)
    assert documents_of(acme) == SOME
    assert not Move.objects(open=True)


def move_back_and_end(organization, moved):
    go_back(str(moved.id), a_context())
    run_due_movers()
    return fresh(organization).placement.cluster == "main"


@pytest.mark.usefixtures("real_limits")
@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_where_the_source_is_lost_the_copy_is_kept(
    europe,
    tenant_db,
    command,
    repair,  # noqa: F811
    strategy,
):
    acme = an_organization("Acme Corp", cluster="europe")
    tenant_of(acme).insert_many(SOME)
    ready = a_ready_move(acme, strategy)
    europe.kill()
    command("clusters", "lost", "europe", "--confirm", "europe")
    run_due_movers()
    assert now(ready).outcome == Outcome.GIVEN_UP
    assert_kept(tenant_db, repair)


@pytest.fixture
def an_ending_move(monkeypatch):
    """Makes a move without a way back whose old copy isn't removed yet."""

    def make(*arguments):
        with monkeypatch.context() as patched:
            patched.setattr(mover, "run_endings", lambda: 0)
            moved = move(*arguments, without_way_back=True)
        assert (moved.state, moved.outcome) == (MoveState.ENDING, Outcome.MOVED)
        return moved

    return make


@pytest.mark.usefixtures("real_limits")
@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_where_the_new_place_is_lost_the_old_copy_is_kept(
    europe,
    tenant_db,
    command,
    repair,  # noqa: F811
    an_ending_move,
    strategy,
):
    acme = an_organization("Acme Corp", strategy=strategy)
    tenant_of(acme).insert_many(SOME)
    moved = an_ending_move(acme, Strategy.COLLECTION, "europe")
    europe.kill()
    command("clusters", "lost", "europe", "--confirm", "europe")
    run_due_movers()
    assert (now(moved).state, now(moved).outcome) == (MoveState.DONE, Outcome.MOVED)
    assert_kept(tenant_db, repair)


def assert_kept(tenant_db, repair):  # noqa: F811
    """The documents are there, which the doctor tells, and leaves them there."""
    told = {
        kind: done for kind, _, done in repair() if kind in ("move_leftover", "unowned_documents")
    }
    assert list(told.values()) == [None]
    counts = [tenant_db[name].count_documents({}) for name in collections_in(tenant_db)]
    assert sum(counts) == len(SOME)


@pytest.mark.usefixtures("real_limits")
def test_where_the_old_place_is_lost_the_move_has_still_succeeded(europe, command, an_ending_move):
    acme = an_organization("Acme Corp", cluster="europe")
    tenant_of(acme).insert_many(SOME)
    moved = an_ending_move(acme, Strategy.COLLECTION)
    europe.kill()
    command("clusters", "lost", "europe", "--confirm", "europe")
    run_due_movers()
    assert (now(moved).state, now(moved).outcome) == (MoveState.DONE, Outcome.MOVED)
    assert documents_of(acme) == SOME
