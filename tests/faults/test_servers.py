"""Servers that die or hang under people and programs at work."""

import os
import time
from contextlib import contextmanager

import pytest
from pymongo import MongoClient

from portal.organizations import runner
from tests.faults import doomed, invariant
from tests.faults.customers import Crowd, Writers
from tests.faults.lapse import let_leases_run_out
from tests.faults.servers import OneMember, ThreeMembers
from tests.processes import portal


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
def storm(server, figure, *, in_haste):
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


def test_a_member_that_is_killed_and_started_again_loses_nothing(one_member, figure):
    """Row F1 of the attacks."""
    with storm(one_member, figure, in_haste=True) as crowd:
        time.sleep(1)
        one_member.kill()
        one_member.start_again()
        crowd.downtime_since(time.monotonic())


def test_a_primary_that_is_killed_loses_nothing(three_members, figure):
    """Row F1 of the attacks."""
    with storm(three_members, figure, in_haste=True) as crowd:
        time.sleep(1)
        three_members.kill_primary()
        killed_at = time.monotonic()
        figure(f"{crowd.downtime_since(killed_at):.1f} s from the kill to the next answer")
