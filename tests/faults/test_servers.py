"""Servers that die or hang under people and programs at work."""

import os
import random
import statistics
import time
from contextlib import contextmanager

import pytest
from pymongo import MongoClient

from portal.organizations import runner
from tests.faults import doomed, invariant
from tests.faults.customers import Crowd, Writers
from tests.faults.lapse import let_leases_run_out
from tests.faults.servers import OneMember, ThreeMembers
from tests.processes import portal, wait_until


@pytest.fixture
def one_member(tmp_path):
    server = OneMember(tmp_path)
    yield server
    server.end()


@pytest.fixture
def three_members(tmp_path):
    server = ThreeMembers(tmp_path)
    yield server
    server.end()


@contextmanager
def storm(server, figure, *, in_haste=False):
    """Customers and writers at work on a portal. After the block, when they are done with what
    they had begun, nothing that was acknowledged is lost, and all is whole."""
    active = server.settings_of("storm")
    with (
        MongoClient(
            server.uri, uuidRepresentation="standard", tz_aware=True, timeoutMS=2000
        ) as client,
        open(os.devnull, "w") as nowhere,
        portal(server, "storm", stderr=nowhere) as running,
    ):
        master, tenant = client[active.master_db], client[active.tenant_db]

        def hasten():
            """A while passes every moment."""
            let_leases_run_out(master)
            doomed.live(active, runner.recover_due_operations)

        with Crowd(running.url, master) as crowd:
            with Writers(active) as writers:
                yield crowd
            crowd.stop()
            crowd.join(hasten if in_haste else None)
        statuses = crowd.check(master)
        writers.check(master, tenant)
        invariant.check_whole(master, tenant)
        figure(crowd.figures(statuses))
        figure(writers.figure)


def work_for(seconds):
    """Let customers be at work; there is nothing else to wait for."""
    time.sleep(seconds)


def test_a_server_that_is_killed_and_started_again_loses_nothing(one_member, figure):
    """Row F1 of the attacks."""
    with storm(one_member, figure, in_haste=True) as crowd:
        work_for(seconds=1)
        one_member.kill()
        one_member.start_again()
        crowd.downtime_since(time.monotonic())


def test_a_primary_that_is_killed_or_hangs_loses_nothing(three_members, figure):
    """Row F1 of the attacks."""
    with storm(three_members, figure, in_haste=True) as crowd:
        work_for(seconds=1)
        killed = three_members.kill_primary()
        figure(f"{crowd.downtime_since(time.monotonic()):.1f} s without an answer after a kill")
        three_members.start(killed)
        wait_until(three_members.all_are_well)
        with three_members.primary_stopped():
            downtime = crowd.downtime_since(time.monotonic())
        figure(f"{downtime:.1f} s without an answer when the primary hung")


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_server_that_is_killed_again_and_again_loses_nothing(one_member, figure):
    """Row F1 of the attacks; nobody helps the recovery."""
    downtimes = []
    with storm(one_member, figure) as crowd:
        for _ in range(10):
            work_for(seconds=random.uniform(2, 4))
            one_member.kill()
            killed_at = time.monotonic()
            one_member.start_again()
            downtimes.append(crowd.downtime_since(killed_at))
    figure(f"{len(downtimes)} kills, {spread(downtimes)} until the next answer")


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_server_that_hangs_for_15_seconds_loses_nothing(one_member, figure):
    """Row F1 of the attacks; all answers come within 5 seconds."""
    with storm(one_member, figure) as crowd:
        work_for(seconds=3)
        with one_member.stopped():
            work_for(seconds=15)
        figure(f"{crowd.downtime_since(time.monotonic()):.1f} s from its waking to the next answer")


@pytest.mark.full
@pytest.mark.timeout(900)
def test_primaries_killed_every_10_seconds_lose_nothing(three_members, figure):
    """Row F1 of the attacks; for two minutes."""
    downtimes = []
    with storm(three_members, figure) as crowd:
        end = time.monotonic() + 120
        while (begun := time.monotonic()) < end:
            killed = three_members.kill_primary()
            downtimes.append(crowd.downtime_since(time.monotonic()))
            three_members.start(killed)
            wait_until(three_members.all_are_well)
            work_for(seconds=max(0, begun + 10 - time.monotonic()))
    figure(f"{len(downtimes)} primaries killed, {spread(downtimes)} until the next answer")


def spread(seconds):
    return f"{min(seconds):.1f} to {max(seconds):.1f} s, median {statistics.median(seconds):.1f} s,"
