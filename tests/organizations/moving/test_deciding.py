"""Moves that are planned, asked for, approved and declined."""

from datetime import timedelta

import pytest

from portal import clock
from portal.clusters.managing import Changes, change_cluster
from portal.documents.mails import Mail
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Strategy
from portal.organizations.lifecycle.trashing import purge_organization
from portal.organizations.moving import mover
from portal.organizations.moving.errors import (
    InvalidMoveOption,
    MoveImpossible,
    MoveNotFound,
    MoveOpen,
    MovesNotOffered,
    NotMovable,
    PlanChanged,
    UnreadablePlan,
    WrongMoveState,
)
from portal.organizations.moving.finding import find_move
from portal.organizations.moving.managing import give_moves_up, switch_move, throttle_move
from portal.organizations.moving.options import Options, Switch, Throttle
from portal.organizations.moving.planning import Planned, Wish, plan_move
from portal.organizations.moving.starting import (
    approve_move,
    decline_move,
    on_requested_day,
    request_move,
    start_move,
    withdraw_request,
)
from portal.organizations.moving.ways_back import extend_way_back
from portal.organizations.storage import tenant_of
from portal.tenants.moving import verifying
from portal.web.context import RequestContext
from tests.clusters.conftest import europe, there  # noqa: F401
from tests.factories import a_context, an_access, an_organization, fresh
from tests.moving.records import a_move
from tests.organizations.moving.carrying import begin, move, now, run_due_movers, run_movers
from tests.placement.conftest import in_force  # noqa: F401

OFFERED = 'place = [{strategy = "collection"}]\n[moves]\noffered_regions = ["eu-central"]\n'
IN_DATABASE = Wish(Strategy.DATABASE, "main")


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


def test_a_plan_says_what_will_be_done(acme):
    tenant_of(acme).insert_many([{"_id": number, "text": "x" * 1000} for number in range(100)])
    plan = plan_move(acme, IN_DATABASE)
    assert plan.documents == 100
    assert plan.bytes > 100_000
    assert plan.obstacles == ()
    assert plan.seconds > 0
    assert plan.pause_ms < plan.longest_pause_ms
    assert ("Placement", "a collection of its own", "a database of its own") in [
        (change.what, change.now, change.after) for change in plan.changes
    ]
    assert Planned.loads(plan.planned.dumps()) == plan.planned


@pytest.mark.parametrize("text", ["", "x", "bnVsbA==", "WzEsMl0=", "WyJzaGFyZWQiLCJhIiwiYiIsMV0="])
def test_what_is_no_plan_is_told_so(text):
    with pytest.raises(UnreadablePlan):
        Planned.loads(text)


def test_a_plan_that_the_world_left_behind_is_refused_with_the_difference(acme):
    planned = plan_move(acme, IN_DATABASE).planned
    tenant_of(acme).create_index("n")
    tenant_of(acme).insert_many([{} for _ in range(1001)])
    with pytest.raises(PlanChanged) as refused:
        start_move(acme, planned, Options(), a_context())
    assert "the number of indexes is 1, and was 0" in refused.value.words
    assert "there are 1,001 documents, and were 0" in refused.value.words
    assert not Move.objects


def test_what_speaks_against_it_is_told_before_it_begins(acme, tenant_db):
    assert plan_move(acme, Wish(Strategy.COLLECTION, "main")).obstacles == (
        "It already has a collection of its own on main",
    )
    tenant_of(acme).create_index("n")
    [told] = plan_move(acme, Wish(Strategy.SHARED, "main")).obstacles
    assert "indexes of its own (n_1)" in told
    planned = plan_move(acme, Wish(Strategy.SHARED, "main")).planned
    with pytest.raises(MoveImpossible):
        start_move(acme, planned, Options(), a_context())


def test_one_that_is_purged_or_moves_is_not_planned(acme):
    begin(acme, Strategy.DATABASE)
    with pytest.raises(MoveOpen):
        plan_move(acme, IN_DATABASE)
    other = an_organization("Globex")
    purge_organization(other, None, a_context())
    with pytest.raises(NotMovable):
        plan_move(fresh(other), IN_DATABASE)


def test_of_two_moves_at_once_one_begins(acme):
    planned = plan_move(acme, IN_DATABASE).planned
    plans = [planned, planned]
    first = start_move(acme, plans[0], Options(), a_context())
    with pytest.raises(MoveOpen):
        start_move(acme, plans[1], Options(), a_context())
    assert find_move("acme-corp").id == first.id == find_move(str(first.id)).id
    with pytest.raises(MoveNotFound):
        find_move("globex")


@pytest.mark.parametrize(
    "options",
    [
        Options(switch=Switch.AT),
        Options(at=clock.now()),
        Options(switch=Switch.AT, at=clock.now() + timedelta(days=400)),
        Options(throttle=Throttle(documents_per_second=0)),
        Options(throttle=Throttle(neighbours_p99_ms=-1)),
        Options(way_back_days=31),
    ],
)
def test_options_out_of_bounds_are_refused(acme, options):
    with pytest.raises(InvalidMoveOption):
        start_move(acme, plan_move(acme, IN_DATABASE).planned, options, a_context())


def test_it_switches_at_its_date(acme):
    begun = begin(acme, Strategy.DATABASE, switch=Switch.AT, at=clock.now() + timedelta(days=1))
    run_due_movers(2)
    assert now(begun).state == MoveState.READY
    Move.objects.update(set__switch_at=clock.now() - timedelta(minutes=1))
    run_due_movers(1)
    assert now(begun).outcome == Outcome.MOVED


def test_it_switches_within_the_policys_hours(acme, in_force):  # noqa: F811
    hour = clock.now().hour
    closed = f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00"
    in_force(f'place = [{{strategy = "collection"}}]\n[moves]\nhours = "{closed}"\n')
    begun = begin(acme, Strategy.DATABASE, switch=Switch.IN_HOURS)
    run_due_movers(2)
    assert now(begun).state == MoveState.READY
    in_force('place = [{strategy = "collection"}]\n')
    run_due_movers(1)
    assert now(begun).outcome == Outcome.MOVED


def test_a_throttled_copy_takes_its_time(acme):
    tenant_of(acme).insert_many([{"_id": number} for number in range(300)])
    begun = begin(acme, Strategy.DATABASE, throttle=Throttle(documents_per_second=200))
    throttle_move(str(begun.id), Throttle(neighbours_p99_ms=10_000), a_context())
    run_movers()
    moved = now(begun)
    assert moved.outcome == Outcome.MOVED
    assert (moved.documents_per_second, moved.neighbours_p99_ms) == (None, 10_000)


def test_a_comparison_is_throttled_as_the_copy_is(acme, monkeypatch):
    rates = []

    def verify(*arguments, throttle, **options):
        rates.append(throttle())
        return verifying.verify(*arguments, throttle=throttle, **options)

    monkeypatch.setattr(mover, "verify", verify)
    moved = move(acme, Strategy.DATABASE, throttle=Throttle(documents_per_second=200))
    assert moved.outcome == Outcome.MOVED
    assert rates == [200]


def test_a_way_back_is_kept_for_thirty_days_at_most(acme):
    moved = move(acme, Strategy.DATABASE)
    extended = extend_way_back(str(moved.id), 30, a_context())
    assert 29 < (extended.until - clock.now()) / timedelta(days=1) < 31
    with pytest.raises(InvalidMoveOption):
        extend_way_back(str(moved.id), 31, a_context())
    with pytest.raises(WrongMoveState):
        switch_move(str(moved.id), a_context())


@pytest.fixture
def offered(europe, in_force):  # noqa: F811
    """Owners may ask to be moved to another region."""
    change_cluster("europe", Changes(region="eu-central"), RequestContext())
    in_force(OFFERED)


def test_an_owner_asks_and_an_operator_approves(acme, offered):
    day = clock.now() + timedelta(days=3)
    asked = request_move(an_access(acme), "eu-central", day, a_context())
    run_due_movers(1)
    assert (now(asked).state, asked.target.cluster) == (MoveState.REQUESTED, "europe")
    with pytest.raises(MoveOpen):
        request_move(an_access(acme), "eu-central", day, a_context())
    planned = plan_move(acme, Wish(Strategy.COLLECTION, "europe")).planned
    options = on_requested_day(asked, Options(way_back_days=2))
    approve_move(str(asked.id), planned, options, a_context())
    run_due_movers(1)
    approved = now(asked)
    assert (approved.state, approved.switch_at) == (MoveState.READY, approved.requested_for)
    switch_move(str(asked.id), a_context())
    run_due_movers(1)
    assert fresh(acme).placement.cluster == "europe"


def test_a_request_is_declined_or_withdrawn(acme, offered):
    day = clock.now() + timedelta(days=3)
    asked = request_move(an_access(acme), "eu-central", day, a_context())
    declined = decline_move(str(asked.id), "not this year", a_context())
    assert (declined.outcome, declined.reason) == (Outcome.DECLINED, "not this year")
    again = request_move(an_access(acme), "eu-central", day, a_context())
    assert withdraw_request(an_access(acme), again, a_context()).id == again.id
    assert not Move.objects(open=True)


def test_owners_are_told_where_their_request_ends_with_a_cluster(acme):
    asked = a_move(acme, MoveState.REQUESTED, due_at=None)
    assert give_moves_up("europe") == 1
    assert (now(asked).open, now(asked).outcome) == (None, Outcome.GIVEN_UP)
    [told] = Mail.objects(ids__move=asked.id)
    assert told.kind == "move_declined"


@pytest.mark.parametrize("days", [-2, 400])
def test_a_day_that_is_over_or_far_is_refused(acme, offered, days):
    day = clock.now() + timedelta(days=days)
    with pytest.raises(InvalidMoveOption):
        request_move(an_access(acme), "eu-central", day, a_context())


def test_without_an_offer_nobody_asks(acme, europe):  # noqa: F811
    with pytest.raises(MovesNotOffered):
        request_move(an_access(acme), "eu-central", clock.now(), a_context())
