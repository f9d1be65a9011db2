"""Servers that die or hang under people and programs at work."""

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo import MongoClient

from portal.documents.organizations import MAIN_CLUSTER
from tests.faults.servers import OneMember, ThreeMembers
from tests.faults.storm import ABROAD, MIXED, storm
from tests.processes import Person, portal, wait_until


@pytest.fixture
def one_member(tmp_path):
    server = OneMember(tmp_path, "--setParameter", "enableTestCommands=1")
    yield server
    server.end()


@pytest.fixture
def three_members(tmp_path):
    server = ThreeMembers(tmp_path)
    yield server
    server.end()


@pytest.fixture
def abroad(tmp_path):
    folder = tmp_path / "abroad"
    folder.mkdir()
    server = OneMember(folder, "--setParameter", "enableTestCommands=1")
    yield server
    server.end()


@pytest.fixture
def three_abroad(tmp_path):
    folder = tmp_path / "abroad"
    folder.mkdir()
    server = ThreeMembers(folder)
    yield server
    server.end()


each_policy = pytest.mark.parametrize(
    "policy",
    [
        pytest.param(None, id="default"),
        pytest.param(MIXED, id="mixed", marks=pytest.mark.full),
    ],
)


@pytest.mark.attack("F1")
@each_policy
def test_a_server_that_is_killed_and_started_again_loses_nothing(one_member, figure, policy):
    with storm(one_member, figure, in_haste=True, policy=policy) as crowd:
        crowd.get_going()
        one_member.kill()
        one_member.start_again()
        crowd.downtime_since(time.monotonic())


@pytest.mark.attack("F1")
@pytest.mark.full
@each_policy
def test_another_cluster_that_is_killed_or_hangs_loses_nothing(one_member, abroad, figure, policy):
    """With all organizations on it; master data are elsewhere, and go on."""
    with storm(one_member, figure, in_haste=True, policy=policy, abroad=abroad) as crowd:
        crowd.get_going()
        abroad.kill()
        abroad.start_again()
        crowd.downtime_since(time.monotonic())
        with abroad.stopped():
            crowd.wait_for_503()
        crowd.downtime_since(time.monotonic())


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(600)
@each_policy
def test_another_cluster_whose_primary_is_killed_or_hangs_loses_nothing(
    one_member, three_abroad, figure, policy
):
    """With all organizations on it; another of its members takes over."""
    with storm(one_member, figure, in_haste=True, policy=policy, abroad=three_abroad) as crowd:
        crowd.get_going()
        killed = three_abroad.kill_primary()
        figure(f"{crowd.downtime_since(time.monotonic()):.1f} s without an answer after a kill")
        three_abroad.start(killed)
        wait_until(three_abroad.all_are_well)
        with three_abroad.primary_stopped():
            downtime = crowd.downtime_since(time.monotonic())
        figure(f"{downtime:.1f} s without an answer when the primary hung")


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(600)
@each_policy
def test_of_two_clusters_the_one_that_dies_or_hangs_takes_no_other_organizations_along(
    one_member, abroad, figure, policy
):
    """Organizations at home go on, and sign-ups meanwhile go there."""
    both = {"abroad": abroad, "at_home_too": True}
    with storm(one_member, figure, in_haste=True, policy=policy, **both) as crowd:
        crowd.wait_until_spread(MAIN_CLUSTER, ABROAD)
        abroad.kill()
        crowd.get_going()
        abroad.start_again()
        crowd.wait_until_spread(MAIN_CLUSTER, ABROAD)
        with abroad.stopped():
            crowd.get_going()
        crowd.get_going()


def test_an_operation_that_a_killed_server_left_goes_on_as_soon_as_that_is_back(one_member):
    """Within 5 seconds, and not when its lease of 30 runs out: the portal lives, and knows it."""
    with (
        MongoClient(one_member.admin_uri, timeoutMS=5000) as client,
        portal(one_member, "back", workers=1) as running,
    ):
        mara = Person(running.url)
        mara.sign_up("Acme Corp")
        hanging = {"failCommands": ["renameCollection"], "blockConnection": True}
        client.admin.command(
            {
                "configureFailPoint": "failCommand",
                "mode": "alwaysOn",
                "data": {**hanging, "blockTimeMS": 60_000, "appName": "portal"},
            }
        )
        with ThreadPoolExecutor() as renaming:
            path = "/organizations/acme-corp/rename"
            answer = renaming.submit(mara.post, path, organization_name="Second")
            client.admin.command(
                {"waitForFailPoint": "failCommand", "timesEntered": 1, "maxTimeMS": 4000}
            )
            one_member.kill()
            assert answer.result().status_code in (200, 202, 303, 503)
        one_member.start_again()
        organizations = client["master_back"].organizations
        wait_until(lambda: organizations.find_one({"slug": "second", "operation": None}), 5)


@pytest.mark.attack("F1")
@pytest.mark.full
@each_policy
def test_a_primary_that_is_killed_or_hangs_loses_nothing(three_members, figure, policy):
    with storm(three_members, figure, in_haste=True, policy=policy) as crowd:
        crowd.get_going()
        killed = three_members.kill_primary()
        figure(f"{crowd.downtime_since(time.monotonic()):.1f} s without an answer after a kill")
        three_members.start(killed)
        wait_until(three_members.all_are_well)
        with three_members.primary_stopped():
            downtime = crowd.downtime_since(time.monotonic())
        figure(f"{downtime:.1f} s without an answer when the primary hung")


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(600)
@each_policy
def test_a_server_that_is_killed_again_and_again_loses_nothing(one_member, figure, policy):
    """Nobody helps the recovery."""
    downtimes = []
    with storm(one_member, figure, policy=policy) as crowd:
        for _ in range(10):
            crowd.get_going(random.randint(10, 60))
            one_member.kill()
            killed_at = time.monotonic()
            one_member.start_again()
            downtimes.append(crowd.downtime_since(killed_at))
    figure(f"{len(downtimes)} kills, {spread(downtimes)} until the next answer")


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(600)
@each_policy
def test_a_server_that_hangs_for_15_seconds_loses_nothing(one_member, figure, policy):
    """All answers come within 5 seconds."""
    with storm(one_member, figure, policy=policy) as crowd:
        crowd.get_going()
        with one_member.stopped():
            time.sleep(15)
        figure(f"{crowd.downtime_since(time.monotonic()):.1f} s from its waking to the next answer")


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(900)
@each_policy
def test_primaries_killed_every_10_seconds_lose_nothing(three_members, figure, policy):
    """For two minutes."""
    downtimes = []
    with storm(three_members, figure, policy=policy) as crowd:
        end = time.monotonic() + 120
        while (begun := time.monotonic()) < end:
            killed = three_members.kill_primary()
            downtimes.append(crowd.downtime_since(time.monotonic()))
            three_members.start(killed)
            wait_until(three_members.all_are_well)
            time.sleep(max(0, begun + 10 - time.monotonic()))
    figure(f"{len(downtimes)} primaries killed, {spread(downtimes)} until the next answer")


def spread(seconds):
    return f"{min(seconds):.1f} to {max(seconds):.1f} s, median {statistics.median(seconds):.1f} s,"
