"""A process dies at every point of every lifecycle operation, and another carries it on."""

import random
from collections import Counter

import pytest

from portal.accounts.documents import Account
from portal.database import client, tenant_database
from portal.organizations import lifecycle, runner
from portal.settings import current
from tests.factories import an_account, an_organization
from tests.faults import doomed, invariant
from tests.faults.lapse import let_leases_run_out, let_transactions_run_out
from tests.faults.scenarios import SCENARIOS

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=str)


def uuid_of(collection):
    [found] = collection.database.list_collections(filter={"name": collection.name})
    return found["info"]["uuid"].as_uuid()


class World:
    """The databases of this test, where others die and this process carries on."""

    def __init__(self, empty, settings):
        self.empty, self.settings = empty, settings

    def begin(self, scenario):
        """What the scenario wants, and somebody who has nothing to do with it."""
        self.empty()
        bystander = an_organization("Bystander", an_account("bystander@else.example"))
        tenant_database()[bystander.placement.collection].insert_one({"_id": "the bystander's"})
        self.arguments = scenario.given()
        self.idle = {account for account in self.arguments if Account.objects(id=account)}
        self.strangers = {}
        if scenario.stranger:
            stranger = tenant_database()[scenario.stranger.format(*self.arguments)]
            stranger.insert_one({"_id": "a stranger's"})
            self.strangers = {stranger.name: uuid_of(stranger)}

    def live(self, scenario, end=None):
        life = doomed.live(self.settings, scenario.deed, *self.arguments, end=end)
        self._let_time_pass(life, end)
        return life

    def recover_and_die(self, end=None):
        life = doomed.live(self.settings, runner.recover_due_operations, end=end)
        self._let_time_pass(life, end)
        return life

    def replay(self, scenario, *ends):
        """Begin, and die at each of the points: in the operation, in its recovery, in the next."""
        self.begin(scenario)
        first, *others = ends
        self.live(scenario, end=first)
        for end in others:
            self.recover_and_die(end=end)

    def recover(self):
        """Carry on what is left, in this process; what the databases say then."""
        runner.recover_due_operations()
        return self.picture()

    def check_whole(self):
        master, tenant = client()[current().master_db], tenant_database()
        invariant.check_whole(master, tenant, idle_accounts=self.idle, strangers=self.strangers)
        for name, uuid in self.strangers.items():
            assert uuid_of(tenant[name]) == uuid

    def picture(self):
        return invariant.picture(client()[current().master_db], tenant_database())

    def _let_time_pass(self, life, end):
        assert end is None or life.points[-1] == end, f"it never came to {end}: {life}"
        let_transactions_run_out(client())
        let_leases_run_out(client()[current().master_db])


@pytest.fixture
def world(empty_database, settings):
    return World(empty_database, settings)


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


def test_each_kind_of_operation_has_its_scenarios(whole_lives):
    """Each step of each plan, forward and back, is passed in one of them."""
    passed = {}
    for scenario in SCENARIOS:
        life, _, _ = whole_lives(scenario)
        passed.setdefault(scenario.kind, set()).update(life.steps)
    for kind, plan in lifecycle.PLANS.items():
        steps = {step.__name__ for step in (*plan.forward, *plan.back)}
        missed = {name for name in steps if f"before {name} #1" not in passed.get(kind, ())}
        assert not missed, f"no scenario of {kind} comes to these steps"


@each_scenario
def test_a_crash_at_any_step_leaves_nothing_half(world, whole_lives, scenario, figure):
    """Row F1 of the attacks."""
    life, before, after = whole_lives(scenario)
    assert life.steps
    for point in life.steps:
        check_crash(world, scenario, [point], before, after)
    figure(f"{len(life.steps)} points between steps, each died at once")


def test_crashes_in_the_recovery_from_crashes_leave_nothing_half(world, whole_lives):
    """Row F1 of the attacks; a sample, ``make faults`` tries all."""
    for scenario in random.sample(SCENARIOS, 4):
        life, before, after = whole_lives(scenario)
        ends = [random.choice(life.points)]
        world.replay(scenario, *ends)
        for _ in range(2):
            if not (ways := world.recover_and_die().points):
                break
            ends.append(random.choice(ways))
            check_crash(world, scenario, ends, before, after)
            world.replay(scenario, *ends)


@pytest.mark.full
@pytest.mark.timeout(1800)
@each_scenario
def test_crashes_at_any_command_however_often_leave_nothing_half(
    world, whole_lives, scenario, figure
):
    """Row F1 of the attacks.

    What a crash leaves is in the databases alone, so where two leave the same, what follows is
    the same: from each state that crashes can lead to, every point of the recovery is tried once,
    until no new state is found. That covers crashes in the recovery from crashes, without end.
    """
    life, before, after = whole_lives(scenario)
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
