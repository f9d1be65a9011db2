"""What else happens to an organization while it moves, or has a way back."""

from datetime import timedelta
from itertools import permutations

import pytest

from portal import clock
from portal.database.clusters import forget_registry
from portal.doctor.moves import find_stuck
from portal.documents.clusters import Cluster
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Failure, Organization, Strategy
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.moving import ending, mover, starting
from portal.organizations.moving.errors import BoundElsewhere, NotMovable
from portal.organizations.moving.managing import abort_move, pause_move, resume_move, switch_move
from portal.organizations.moving.options import Options, Switch
from portal.organizations.moving.planning import plan_move
from portal.organizations.moving.starting import start_move
from portal.organizations.moving.stopping import MOST_TRIES
from portal.organizations.moving.ways_back import end_way_back, go_back
from portal.organizations.moving.wishes import Wish
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
each_pair = pytest.mark.parametrize(("source", "target"), [*permutations(Strategy, 2)])


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


@pytest.mark.parametrize(
    ("source", "target"),
    [(Strategy.COLLECTION, Strategy.DATABASE), (Strategy.SHARED, Strategy.COLLECTION)],
)
def test_bound_to_a_region_at_the_last_moment_it_neither_moves_nor_goes_back_outside(
    app, source, target
):
    """As by a version that looked at no copy before it bound an organization."""
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
    go_back(str(ready.id), a_context())
    Organization.objects(id=acme.id).update(set__region="eu")
    run_movers()
    way_back = Move.objects.get(way_back_of=ready.id)
    assert (way_back.state, way_back.cause) == (MoveState.SHADOW, Failure.OUTSIDE_REGION)
    assert fresh(acme).placement.strategy == target


def test_a_way_back_out_of_its_region_is_refused_when_it_is_asked_for(app):
    acme = an_acme(Strategy.COLLECTION)
    moved = move(acme, Strategy.DATABASE)
    acme.update(set__region="eu")
    with pytest.raises(NotMovable) as refused:
        go_back(str(moved.id), a_context())
    assert "bound to the region eu, and its old place is on main, outside" in refused.value.words
    way_back = Move.objects.get(way_back_of=moved.id)
    assert (way_back.state, way_back.switch_wanted) == (MoveState.SHADOW, None)
    Cluster(name="main", region="eu", added_at=clock.now()).save()
    forget_registry()
    assert go_back(str(moved.id), a_context()).switch_wanted


def test_a_plan_out_of_a_strange_region_says_that_nothing_leads_back(app):
    acme = an_acme(Strategy.COLLECTION)
    wish = Wish(Strategy.DATABASE, "main")
    assert not [each for each in plan_move(acme, wish).left_behind if each.warning]
    acme.region = "eu"
    [told] = [each for each in plan_move(acme, wish).left_behind if each.warning]
    assert (told.what, "outside of eu" in told.note) == ("A way back to main", True)


def test_bound_to_a_region_since_the_plan_it_does_not_begin_to_move_out_of_it(app, monkeypatch):
    acme = an_acme(Strategy.COLLECTION)
    planned = plan_move(acme, Wish(Strategy.DATABASE, "main")).planned
    monkeypatch.setattr(
        starting,
        "_plan_as",
        lambda planned, organization, options: plan_move(organization, planned.wish),
    )
    acme.update(set__region="eu")
    with pytest.raises(BoundElsewhere):
        start_move(acme, planned, Options(), a_context())
    assert Move.objects.count() == 0


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


AT_THE_LAST_MOMENT = {
    "paused": lambda ready: pause_move(str(ready.id), a_context()),
    "switched later": lambda ready: switch_move(
        str(ready.id), a_context(), switch=Switch.AT, at=clock.now() + timedelta(days=1)
    ),
    "with a way back": lambda ready: switch_move(
        str(ready.id), a_context(), without_way_back=False
    ),
}


@pytest.fixture
def before_the_intent(monkeypatch):
    """Has something be done once, when all is ready for the intent to switch."""

    def set_up(do):
        def once(*arguments):
            if pending:
                pending.pop()()
            return begin_switch(*arguments)

        pending, begin_switch = [do], mover.begin_switch
        monkeypatch.setattr(mover, "begin_switch", once)

    return set_up


@pytest.mark.parametrize("when", AT_THE_LAST_MOMENT)
def test_what_a_person_wants_at_the_last_moment_before_the_fence_is_done(
    tenant_db, before_the_intent, when
):
    acme = an_acme(Strategy.COLLECTION)
    ready = a_ready_move(acme, Strategy.DATABASE, without_way_back=True)
    switch_move(str(ready.id), a_context())
    before_the_intent(lambda: AT_THE_LAST_MOMENT[when](ready))
    run_due_movers(2)
    if when != "with a way back":
        assert now(ready).state == MoveState.READY
        assert fresh(acme).operation is None
        assert fresh(acme).placement.strategy == Strategy.COLLECTION
        if when == "paused":
            resume_move(str(ready.id), a_context())
        switch_move(str(ready.id), a_context())
        run_due_movers(2)
    assert now(ready).outcome == Outcome.MOVED
    way_back = Move.objects(way_back_of=ready.id).first()
    assert bool(way_back) == (when == "with a way back")
    if way_back:
        assert "_data" in way_back.token
    else:
        assert not Move.objects(open=True)
    assert documents_of(acme) == SOME


def test_the_end_of_a_move_that_fails_is_tried_until_it_works(tenant_db, monkeypatch):
    acme = an_acme(Strategy.COLLECTION)

    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(ending, "end_users_at", fail)
    moved = move(acme, Strategy.DATABASE, without_way_back=True)
    run_due_movers(MOST_TRIES)
    assert "a person, since an error" in now(moved).waits_for
    [told] = find_stuck()
    assert told.subject == str(moved.id)
    monkeypatch.undo()
    # As an earlier version left it.
    now(moved).update(set__paused=True)
    run_due_movers(1)
    assert not Move.objects(open=True)
    assert left_over(tenant_db) == []


def test_without_a_way_back_the_old_copy_goes(tenant_db):
    acme = an_acme(Strategy.COLLECTION)
    moved = move(acme, Strategy.DATABASE, without_way_back=True)
    run_due_movers()
    assert now(moved).outcome == Outcome.MOVED
    assert not Move.objects(open=True)
    assert left_over(tenant_db) == []
