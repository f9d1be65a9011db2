"""A process dies at every point of every lifecycle operation, and another carries it on."""

import random
from collections import Counter

import pytest

from portal.documents.organizations import OperationKind
from portal.organizations.lifecycle import engine
from tests.faults.scenarios import EVERY, SCENARIOS

# One for each kind of operation, one that is turned back, and one in a shared collection.
DAILY = (
    "sign-up",
    "rename",
    "rename turned back",
    "trash",
    "restore",
    "purge",
    "repair",
    "purge, shared",
    "lock",
)
each_scenario = pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, marks=() if scenario.name in DAILY else pytest.mark.full)
        for scenario in EVERY
    ],
    ids=str,
)


_whole_lives = {}


@pytest.fixture
def whole_lives(world):
    """What a scenario passes when nobody dies, and what the databases say before and after; the
    same each time."""

    def live_whole(scenario):
        if scenario not in _whole_lives:
            world.begin(scenario)
            before = world.picture()
            life = world.live(scenario)
            after = world.picture()
            world.check_whole()
            assert world.recover() == after, "it left something to be done"
            _whole_lives[scenario] = life, before, after
        return _whole_lives[scenario]

    return live_whole


def check_crash(world, scenario, ends, before, after):
    """After crashes at ``ends`` and one recovery all is as if it had never been begun, or as if
    nobody had died. What the databases said between crashes and recovery."""
    try:
        world.replay(scenario, *ends)
        left = world.picture()
        recovered = world.recover()
        if left == before:
            assert recovered == before
        else:
            assert recovered == after
            world.check_whole()
    except Exception as error:
        error.add_note(f"{scenario}: died at {', then at '.join(ends)}")
        raise
    return left


@pytest.mark.full
def test_each_kind_of_operation_has_its_scenarios(whole_lives):
    """Each step of each plan, forward and back, is passed in one of them."""
    passed = {}
    for scenario in EVERY:
        life, _, _ = whole_lives(scenario)
        passed.setdefault(scenario.kind, set()).update(life.steps)
    # Those of a move are passed in tests/organizations/moving/test_failing.py.
    others = {kind: plan for kind, plan in engine.PLANS.items() if kind != OperationKind.MOVE}
    assert {s.kind for s in SCENARIOS if s.name in DAILY} == set(others)
    for kind, plan in others.items():
        steps = {step.__name__ for way in plan.ways.values() for step in (*way.forward, *way.back)}
        missed = {name for name in steps if f"before {name} #1" not in passed.get(kind, ())}
        assert not missed, f"no scenario of {kind} comes to these steps"


@pytest.mark.attack("F1")
@each_scenario
def test_a_crash_at_any_step_leaves_nothing_half(world, whole_lives, scenario, figure):
    life, before, after = whole_lives(scenario)
    # Without steps it is one transaction.
    for point in life.steps or life.points:
        check_crash(world, scenario, [point], before, after)
    figure(f"{len(life.steps)} points between steps, each died at once")


@pytest.mark.attack("F1")
@pytest.mark.parametrize("point", ["create to be sent #1", "commitTransaction to be sent #1"])
def test_a_sign_up_that_dies_in_its_transaction_leaves_nothing(world, whole_lives, point):
    sign_up = SCENARIOS[0]
    _, before, after = whole_lives(sign_up)
    assert check_crash(world, sign_up, [point], before, after) == before


@pytest.mark.attack("F1")
def test_crashes_in_the_recovery_from_crashes_leave_nothing_half(world, whole_lives):
    """A sample, ``make faults`` tries all."""
    for scenario in random.sample(EVERY, 2):
        life, before, after = whole_lives(scenario)
        ends = [random.choice(life.points)]
        world.replay(scenario, *ends)
        for _ in range(2):
            if not (ways := world.recover_and_die().points):
                break
            ends.append(random.choice(ways))
            check_crash(world, scenario, ends, before, after)
            world.replay(scenario, *ends)


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(1800)
@each_scenario
def test_crashes_at_any_command_however_often_leave_nothing_half(
    world, whole_lives, scenario, figure
):
    crash_everywhere(world, scenario, *whole_lives(scenario), figure)


def crash_everywhere(world, scenario, life, before, after, figure):
    """What a crash leaves is in the databases alone, so where two leave the same, what follows is
    the same: from each state that crashes can lead to, every point of the recovery is tried once,
    until no new state is found. That covers crashes in the recovery from crashes, without end.
    """
    ways = {(): life.points}
    states, tried, together = [], 0, Counter()
    while ways:
        path, points = ways.popitem()
        for point in points:
            left = check_crash(world, scenario, [*path, point], before, after)
            tried += 1
            together[len(path) + 1] += 1
            if left not in states:
                states.append(left)
                world.replay(scenario, *path, point)
                ways[*path, point] = world.recover_and_die().points
    deepest = max(together)
    figure(f"{tried} crashes, up to {deepest} in a row, led to {len(states)} states, 0 half")
