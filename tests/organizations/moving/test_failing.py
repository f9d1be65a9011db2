"""What goes wrong while an organization moves, and what becomes of it."""

import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from pymongo.errors import AutoReconnect

from portal.database.clusters import database_of
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Failure, Organization, Strategy
from portal.organizations.lifecycle import engine, moves, moving
from portal.organizations.moving import ending, exercising, managing, mover, ways_back
from portal.organizations.moving.explaining import progress_of
from portal.organizations.moving.managing import abort_move, switch_move
from portal.organizations.moving.stopping import MOST_TRIES
from portal.organizations.moving.ways_back import go_back
from portal.organizations.storage import tenant_of
from portal.tenants import collections
from portal.tenants.moving import following
from portal.tenants.moving.errors import ClusterTimeUnknown, StreamLost
from portal.tenants.moving.following import Follower
from portal.tenants.moving.writing import Target
from tests.factories import a_context, an_organization, fresh
from tests.organizations.moving.carrying import (
    a_ready_move,
    begin,
    documents_of,
    left_over,
    make_due,
    move,
    now,
    run_due_movers,
    run_movers,
)
from tests.processes import wait_until

SOME = [{"_id": number} for number in range(20)]
STEPS = [step.__name__ for step in moving.MOVE.ways[Strategy.COLLECTION].forward]
UNTIL_SWITCH = STEPS[: STEPS.index("_switch")]


class Killed(BaseException):
    """Somebody killed the process."""


@pytest.fixture
def acme(app):
    organization = an_organization("Acme Corp")
    tenant_of(organization).insert_many(SOME)
    return organization


@pytest.fixture
def at_step(monkeypatch):
    """Has an error be raised once, before or after a step of the switch."""

    def set_up(name, error, *, after):
        def once(organization, step):
            result = step(organization) if after else organization
            if not raised:
                raised.append(error)
                raise error
            return result if after else step(result)

        def wrapped(step):
            if step.__name__ != name:
                return step
            return lambda organization: once(organization, step)

        raised = []
        way = moving.MOVE.ways[Strategy.COLLECTION]
        way = replace(way, forward=tuple(map(wrapped, way.forward)))
        plan = replace(moving.MOVE, ways=dict.fromkeys(Strategy, way))
        monkeypatch.setitem(engine.PLANS, "move", plan)
        return raised

    return set_up


def as_if_leases_ran_out():
    Organization._get_collection().update_many(
        {"operation": {"$exists": True}}, [{"$set": {"operation.lease_until": "$$NOW"}}]
    )
    make_due()


# What is left after a step is what is there before the next one.
KILLS = [
    *((step, False) for step in STEPS),
    *(pytest.param(step, True, marks=pytest.mark.full) for step in STEPS[:-1]),
    (STEPS[-1], True),
]


@pytest.mark.parametrize(("step", "after"), KILLS)
def test_whoever_takes_over_a_switch_finishes_it(acme, tenant_db, at_step, step, after):
    ready = a_ready_move(acme, Strategy.DATABASE)
    at_step(step, Killed(), after=after)
    switch_move(str(ready.id), a_context())
    make_due()
    with pytest.raises(Killed):
        run_movers()
    as_if_leases_ran_out()
    run_movers()
    assert now(ready).outcome == Outcome.MOVED, repr(now(ready).to_mongo())
    assert fresh(acme).operation is None
    assert fresh(acme).placement.collection == "portal_tenant_documents"
    tenant_of(fresh(acme)).insert_one({"_id": 20})
    go_back(str(ready.id), a_context())
    run_due_movers()
    assert documents_of(acme) == [*SOME, {"_id": 20}]
    assert left_over(tenant_db) == []


def test_a_rename_of_the_fence_that_arrives_after_its_connection_broke_is_undone(acme, monkeypatch):
    ready = a_ready_move(acme, Strategy.DATABASE)
    rename_collection, on_its_way = collections.rename_collection, []

    def arrive(*_):
        while on_its_way:
            rename_collection(*on_its_way.pop())

    def break_once(*arguments):
        if not broken:
            broken.append(True)
            on_its_way.append(arguments)
            raise AutoReconnect("gone")
        rename_collection(*arguments)

    broken = []
    monkeypatch.setattr(collections, "rename_collection", break_once)
    waiting = SimpleNamespace(sleep=arrive, monotonic=time.monotonic)
    monkeypatch.setattr(moving, "time", waiting)
    switch_move(str(ready.id), a_context())
    make_due()
    run_movers()
    arrive()
    assert (now(ready).state, now(ready).cause) == (MoveState.READY, Failure.PLACE_FAILED)
    assert fresh(acme).operation is None
    placement = fresh(acme).placement
    names = collections.names_of(database_of(placement), [placement.uuid])
    assert names == {placement.uuid: "org_acme_corp"}


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
@pytest.mark.parametrize("step", ["_fence", "_drain"])
def test_a_failure_before_the_switch_gives_the_source_its_name_back(
    app, monkeypatch, strategy, step
):
    acme = an_organization("Acme Corp", strategy=strategy)
    tenant_of(acme).insert_many(SOME)
    ready = a_ready_move(acme, Strategy.DATABASE)
    failing = {"_fence": "reach", "_drain": "reach"}[step]
    fenced = []

    def fail(self, *_):
        if fresh(acme).operation:
            fenced.append(True)
            raise AutoReconnect("gone")
        return reach(self, *_)

    reach = getattr(Follower, failing)
    monkeypatch.setattr(Follower, failing, fail)
    switch_move(str(ready.id), a_context())
    make_due()
    run_movers()
    assert fenced
    assert fresh(acme).operation is None
    tenant_of(fresh(acme)).insert_one({"_id": 20})
    waiting = now(ready)
    assert (waiting.state, waiting.fences_failed) == (MoveState.READY, 1)
    assert "did not do its part" in waiting.waits_for
    monkeypatch.undo()
    waiting.update(unset__next_fence_at=True)
    run_due_movers(1)
    assert now(ready).outcome == Outcome.MOVED
    assert documents_of(acme) == [*SOME, {"_id": 20}]


def test_an_open_transaction_holds_the_fence_up_and_is_named(acme, tenant_db):
    ready = a_ready_move(acme, Strategy.DATABASE)
    switch_move(str(ready.id), a_context())
    for failed in (1, 2, 3):
        # One for each fence: the server ends those that take long.
        with tenant_db.client.start_session() as session, session.start_transaction():
            tenant_db.org_acme_corp.update_one({"_id": 1}, {"$set": {"n": 1}}, session=session)
            assert now(ready).switch_wanted
            Move.objects.update(unset__next_fence_at=True)
            make_due()
            run_movers()
            session.abort_transaction()
        assert now(ready).fences_failed == failed
    assert "a transaction" in now(ready).waits_for
    assert not now(ready).switch_wanted  # a person decides
    assert fresh(acme).operation is None
    run_due_movers(1)
    assert now(ready).state == MoveState.READY
    switch_move(str(ready.id), a_context())
    run_due_movers(1)
    assert now(ready).outcome == Outcome.MOVED


def test_a_collection_in_the_way_is_waited_for(acme, tenant_db):
    moved = move(acme, Strategy.SHARED)
    tenant_db.create_collection("org_acme_corp")
    Move.objects(way_back_of=moved.id).update(set__switch_wanted=True)
    run_due_movers()
    way_back = Move.objects.get(way_back_of=moved.id)
    assert way_back.state == MoveState.SHADOW
    assert "org_acme_corp" in way_back.waits_for
    tenant_db.drop_collection("org_acme_corp")
    run_due_movers()
    assert now(way_back).outcome == Outcome.WENT_BACK


@pytest.fixture
def lose_the_stream(monkeypatch):
    """As if the oplog no longer had what comes behind the token of the next stream."""

    def lose():
        def lost(self, *_):
            monkeypatch.setattr(Follower, "pump", pump)
            raise StreamLost(286)

        pump = Follower.pump
        monkeypatch.setattr(Follower, "pump", lost)

    return lose


def test_a_lost_stream_has_it_copied_again(acme, lose_the_stream):
    ready = a_ready_move(acme, Strategy.SHARED)
    tenant_of(acme).delete_one({"_id": 3})
    lose_the_stream()
    make_due()
    mover.run_due()
    again = now(ready)
    assert (again.state, again.cause) == (MoveState.COPYING, "StreamLost")
    assert "copied again" in again.waits_for
    run_due_movers(1)
    assert now(ready).state == MoveState.READY
    switch_move(str(ready.id), a_context())
    run_due_movers(1)
    assert documents_of(acme) == [one for one in SOME if one["_id"] != 3]


def test_an_id_that_no_stream_can_tell_stops_it_until_it_is_smaller(acme):
    ready = a_ready_move(acme, Strategy.DATABASE)
    documents = tenant_of(acme)
    documents.insert_one({"_id": "x" * 4 * 1024 * 1024})
    run_due_movers(MOST_TRIES)
    stopped = now(ready)
    assert stopped.paused
    assert "has an _id of several MB" in stopped.waits_for
    documents.delete_many({"_id": {"$gt": "x"}})
    managing.resume_move(str(ready.id), a_context())
    run_due_movers(2)
    assert now(ready).state == MoveState.READY
    switch_move(str(ready.id), a_context())
    run_due_movers(1)
    assert documents_of(acme) == SOME


def test_a_server_that_was_just_started_is_waited_for(acme, monkeypatch):
    begun = begin(acme, Strategy.DATABASE)

    def untimed(*_, **__):
        raise ClusterTimeUnknown("tenant_test")

    monkeypatch.setattr(Follower, "pump", untimed)
    run_due_movers(2 * MOST_TRIES)
    waiting = now(begun)
    assert not waiting.paused
    assert waiting.waits_for == "the database, which was just started"
    monkeypatch.undo()
    run_due_movers(1)
    assert now(begun).outcome == Outcome.MOVED


def test_a_lost_way_back_ends_at_once_and_a_fresh_move_may_begin(acme, tenant_db, lose_the_stream):
    moved = move(acme, Strategy.DATABASE)
    way_back = Move.objects.get(way_back_of=moved.id)
    lose_the_stream()
    run_due_movers()
    assert now(way_back).outcome == Outcome.LOST
    assert "oplog" in now(way_back).reason
    assert left_over(tenant_db) == []
    assert move(fresh(acme), Strategy.COLLECTION).outcome == Outcome.MOVED


def test_a_stream_that_is_read_and_is_behind_says_by_how_much(acme, monkeypatch):
    ready = a_ready_move(acme, Strategy.DATABASE)
    tenant_of(acme).insert_one({"_id": 20})
    monkeypatch.setattr(following, "_PUMP_SECONDS", -1)  # nothing is taken in
    monkeypatch.setattr(mover, "SLICE_SECONDS", 0)

    def is_behind():
        run_due_movers(1)
        return now(ready).progress.behind_seconds

    wait_until(is_behind)
    behind = progress_of(now(ready))
    assert behind.lag > timedelta(seconds=1)
    assert behind.last_change is None
    monkeypatch.undo()
    run_due_movers(2)
    assert now(ready).progress.behind_seconds == 0
    assert progress_of(now(ready)).last_change


def test_who_was_overtaken_writes_nothing(acme):
    begin(acme, Strategy.DATABASE)
    asleep = mover.QUEUE.acquire({"open": True})
    as_if_leases_ran_out()
    run_movers()
    mover.carry_on(asleep)
    assert now(asleep).outcome == Outcome.MOVED
    assert documents_of(acme) == SOME


def test_an_abort_that_comes_while_it_is_fenced_is_done_before_the_switch(acme, tenant_db, at_step):
    ready = a_ready_move(acme, Strategy.DATABASE)
    at_step("_switch", Killed(), after=False)
    switch_move(str(ready.id), a_context())
    make_due()
    with pytest.raises(Killed):
        run_movers()
    assert now(ready).state == MoveState.FENCED
    abort_move(str(ready.id), None, a_context())
    as_if_leases_ran_out()
    run_due_movers()
    assert now(ready).outcome == Outcome.ABORTED
    assert fresh(acme).placement.collection == "org_acme_corp"
    tenant_of(fresh(acme)).insert_one({"_id": 20})
    assert documents_of(acme) == [*SOME, {"_id": 20}]
    assert left_over(tenant_db) == []


def test_the_third_failure_for_one_cause_stops_and_says_it(acme, monkeypatch):
    begun = begin(acme, Strategy.DATABASE)

    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(mover, "copy", fail)
    run_due_movers(2)
    assert not now(begun).paused
    run_due_movers(1)
    stopped = now(begun)
    assert stopped.paused
    assert "a bug" in stopped.waits_for
    monkeypatch.undo()
    run_due_movers(1)
    assert now(begun).state == MoveState.COPYING
    managing.resume_move(str(begun.id), a_context())
    run_movers()
    assert now(begun).outcome == Outcome.MOVED


def test_what_is_written_faster_than_it_can_be_followed_stops_and_says_so(acme, monkeypatch):
    begun = begin(acme, Strategy.DATABASE)
    monkeypatch.setattr(mover, "MOST_DIRTY", -1)  # as if there were always more
    monkeypatch.setattr(mover, "PATIENCE_SECONDS", 0)
    run_movers()
    stopped = now(begun)
    assert stopped.paused
    assert "written faster than it can be followed" in stopped.waits_for
    assert documents_of(acme) == SOME
    monkeypatch.undo()
    managing.resume_move(str(begun.id), a_context())
    run_movers()
    assert now(begun).outcome == Outcome.MOVED


def test_a_way_back_that_does_not_work_stops_the_switch(acme, monkeypatch):
    ready = a_ready_move(acme, Strategy.DATABASE)
    monkeypatch.setattr(exercising, "SECONDS", 0.3)
    monkeypatch.setattr(Target, "exercise", lambda *_: None)  # nothing arrives
    switch_move(str(ready.id), a_context())
    for _ in range(moving.MOST_FENCES):
        now(ready).update(unset__next_fence_at=True)
        run_due_movers(1)
    stopped = now(ready)
    assert (stopped.state, stopped.switch_wanted) == (MoveState.READY, None)
    assert "the way back doesn't work" in stopped.waits_for
    switch_move(str(ready.id), a_context(), without_way_back=True)
    run_due_movers()
    assert now(ready).outcome == Outcome.MOVED
    assert not Move.objects(open=True)


def test_who_takes_over_an_end_that_was_nearly_done_writes_only_that(acme, monkeypatch):
    moved = move(an_organization("Globex", strategy=Strategy.SHARED), Strategy.COLLECTION)
    ways_back.end_way_back(str(moved.id), a_context())
    way_back = Move.objects.get(way_back_of=moved.id)
    cleared = []

    def die(*_):
        cleared.append(True)
        raise Killed

    close = ending.close_token
    monkeypatch.setattr(ending, "close_token", die)
    make_due()
    with pytest.raises(Killed):
        run_movers()
    monkeypatch.undo()
    for one in (way_back.id, moved.id):
        close(moves.internal_of("main"), one)
    run_due_movers()
    assert (cleared, now(way_back).state) == ([True], MoveState.DONE)
