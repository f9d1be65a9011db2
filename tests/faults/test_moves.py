"""Moves whose processes die, sleep and wake, and whose servers fail, while applications write."""

import random
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from portal.documents.moves import MoveState
from portal.documents.organizations import Strategy
from portal.organizations.moving.options import Switch
from tests.faults import moving
from tests.faults.servers import OneMember
from tests.processes import is_stopped, wait_until

ENDED_SECONDS = 60
AWAY_SECONDS = 60
AHEAD_SECONDS = 60
DOCUMENTS = 2000
# Where a step tells it; the others are seen in the record.
STEPS = {MoveState.FENCED: "after _fence", MoveState.SWITCHED: "after _switch"}
STATES = [
    MoveState.COPYING,
    MoveState.VERIFYING,
    MoveState.READY,
    MoveState.FENCED,
    MoveState.SWITCHED,
    MoveState.SHADOW,
    MoveState.ENDING,
]
STRATEGIES = [
    (Strategy.COLLECTION, Strategy.COLLECTION),
    (Strategy.SHARED, Strategy.DATABASE),
    (Strategy.DATABASE, Strategy.SHARED),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    server = OneMember(tmp_path_factory.mktemp("home"), "--setParameter", "enableTestCommands=1")
    yield server
    server.end()


@pytest.fixture(scope="module")
def europe(tmp_path_factory):
    server = OneMember(tmp_path_factory.mktemp("europe"), "--setParameter", "enableTestCommands=1")
    yield server
    server.end()


@pytest.fixture(scope="module")
def later(tmp_path_factory):
    """A server whose clock is a minute ahead."""
    folder = tmp_path_factory.mktemp("later")
    library = folder / "later.so"
    source = Path(__file__).with_name("later_clock.c")
    ahead = f"-DSECONDS_AHEAD={AHEAD_SECONDS}"
    subprocess.run(["cc", "-shared", "-fPIC", ahead, "-o", library, source, "-ldl"], check=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LD_PRELOAD", str(library))
        server = OneMember(folder)
    yield server
    server.end()


@pytest.fixture
def installed(home, europe):
    """Makes an installation for a block."""
    return partial(moving.installed, home, europe)


def stopped_in(installation, state, target):
    """Have a carrier of a move be stopped in that state."""
    at = STEPS.get(state)
    carrier = installation.carry(**({at: signal.SIGSTOP} if at else {}))
    on_command = state == MoveState.READY
    installation.do(moving.start, target, Switch.ON_COMMAND if on_command else Switch.VERIFIED)
    if state == MoveState.ENDING:
        wait_until(lambda: installation.moves(state="shadow"))
        installation.do(moving.end_way_back)
    if not at:
        seen = {"state": state} if state != MoveState.ENDING else {"way_back_of": {"$exists": True}}
        wait_until(lambda: installation.moves(**seen))
        carrier.send(signal.SIGSTOP)
    wait_until(lambda: is_stopped(carrier.process.pid))
    if on_command:
        installation.do(moving.switch)
    return carrier


def killed(installation, carrier):
    carrier.end()


def slept(installation, carrier):
    """Past its lease: it wakes when another has ended the move."""
    installation.carry()
    installation.wait_for_end(ENDED_SECONDS, way_back_of=None)
    carrier.send(signal.SIGCONT)


def both_killed(installation, carrier):
    other = installation.carry()
    wait_until(other.begun.is_set)
    carrier.end()
    other.end()


def restarted(server):
    def restart(installation, carrier):
        one = getattr(installation, server)
        one.kill()
        carrier.send(signal.SIGCONT)
        time.sleep(1)
        one.start_again()

    restart.__name__ = f"{server} killed"
    return restart


def target_away(installation, carrier):
    with installation.europe.stopped():
        carrier.send(signal.SIGCONT)
        time.sleep(AWAY_SECONDS)


def overrun(installation, carrier):
    """The oplog no longer reaches back to where the stream should go on."""
    lost = {"failCommands": ["getMore"], "errorCode": 286, "appName": "portal"}
    for client in (installation.client, installation.there):
        client.admin.command(
            {"configureFailPoint": "failCommand", "mode": {"times": 2}, "data": lost}
        )
    carrier.send(signal.SIGCONT)
    wait_until(lambda: lost_twice(installation) or installation.moves(open=True) == [])
    for client in (installation.client, installation.there):
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def lost_twice(installation):
    point = "failpoint.failCommand"
    told = [
        client.admin.command("getParameter", 1, **{point: 1})
        for client in (installation.client, installation.there)
    ]
    return any(each[point]["timesEntered"] == 2 for each in told)


def writers_stopped(installation, carrier):
    """Over the switch, with statements in hand."""
    installation.writers.send(signal.SIGSTOP)
    carrier.send(signal.SIGCONT)
    installation.wait_for_end(ENDED_SECONDS, way_back_of=None)
    installation.writers.send(signal.SIGCONT)


FAULTS = [
    killed,
    slept,
    both_killed,
    restarted("home"),
    restarted("europe"),
    target_away,
    overrun,
    writers_stopped,
]


def end_it(installation, goes_back):
    """Have the move end, and its way back; how many seconds each took."""
    forward = installation.wait_for_end(ENDED_SECONDS, way_back_of=None)
    if installation.moves(open=True, state="shadow"):
        installation.do(moving.go_back if goes_back else moving.end_way_back)
    return forward, installation.wait_for_end(ENDED_SECONDS)


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("time_", range(3))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("state", STATES)
def test_whatever_fails_in_a_state_nothing_is_lost(installed, figure, state, fault, time_):
    source, target = STRATEGIES[time_]
    with installed(source, DOCUMENTS) as installation:
        with installation.writers as writers:
            carrier = stopped_in(installation, state, target)
            fault(installation, carrier)
            installation.carry()
            forward, back = end_it(installation, goes_back=time_ != 1)
        total = installation.check()
    figure(
        f"{source} to {target}: {total} acknowledged, 0 lost, 0 doubled; "
        f"refused: {dict(writers.errors)}; ended {forward:.1f} s after the fault, and back {back:.1f} s"
    )


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(900)
def test_clusters_whose_clocks_are_a_minute_apart_lose_nothing(home, later, figure):
    """From one to the other, back by the way back, there again, and back by a move."""
    with moving.installed(home, later, Strategy.COLLECTION, DOCUMENTS) as installation:
        assert 50 < installation.seconds_ahead() < 70
        with installation.writers:
            installation.carry()
            installation.do(moving.start, Strategy.COLLECTION)
            taken = [*end_it(installation, goes_back=True)]
            installation.do(moving.start, Strategy.DATABASE)
            taken += end_it(installation, goes_back=False)
            installation.do(moving.start, Strategy.COLLECTION)
            taken += end_it(installation, goes_back=False)
        total = installation.check(f"clock is {AHEAD_SECONDS} s behind")
    longest = max(taken)
    figure(f"{total} acknowledged, 0 lost, 0 doubled; none took more than {longest:.1f} s")


def random_faults(installation, chance, *, servers):
    """One after the other, at any time."""

    def restart():
        one = chance.choice([installation.home, installation.europe])
        one.kill()
        one.start_again()

    def kill():
        installation.carriers[-1].end()
        installation.carry()

    def sleep():
        sleeper = installation.carriers[-1]
        sleeper.send(signal.SIGSTOP)
        installation.carry()
        waking = threading.Timer(chance.uniform(1, 4), sleeper.send, [signal.SIGCONT])
        waking.start()
        installation.waking.append(waking)

    for _ in range(chance.randint(1, 3)):
        time.sleep(chance.uniform(0, 1.5))
        chance.choice([kill, sleep, restart] if servers else [kill, sleep])()
        if not servers:
            installation.time_passes()


def run_schedule(installed, seed, *, servers):
    chance = random.Random(seed)
    source, target = chance.choice(STRATEGIES)
    documents = chance.choice([0, 100, 2000] if servers else [0, 100])
    with installed(source, documents) as installation:
        with installation.writers:
            installation.carry()
            installation.do(moving.start, target)
            random_faults(installation, chance, servers=servers)
            end_it(installation, goes_back=chance.random() < 0.5)
            for waking in installation.waking:
                waking.join()
        return installation.check()


@pytest.mark.attack("F1")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [*range(4), 9])
def test_a_schedule_loses_nothing(installed, seed):
    """The ninth has a death, a sleep and a way back, into an own database with documents there."""
    run_schedule(installed, seed, servers=False)


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(300))
def test_a_random_schedule_loses_nothing(installed, figure, seed):
    """Its seed repeats it."""
    total = run_schedule(installed, seed, servers=True)
    figure(f"{total} acknowledged, 0 lost, 0 doubled")
