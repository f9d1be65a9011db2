"""A cluster takes no collection that would bring it near its wall."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from portal import clock
from portal.database.connection import master_database, tenant_database
from portal.database.portal_role import OWN_COLLECTION
from portal.database.transactions import transactional
from portal.documents.capacity import CapacityReading
from portal.documents.organizations import Strategy
from portal.organizations.lifecycle.trashing import purge_organization
from portal.placement import capacity, counters, policies
from portal.placement.capacity import Gauge, Reading, Wall, gauges_of, take
from portal.placement.policies import Guard, Limits, Policy, Rule
from tests.factories import a_context, an_organization
from tests.placement.servers import with_file_limit
from tests.stopwatch import takes_less

PLACE = (Rule(Strategy.COLLECTION),)
UNLIMITED = Policy(PLACE)


def limited_to(collections, **limits):
    """A policy by which ``main`` may hold so many collections."""
    return Policy(
        PLACE,
        Guard(full_at_percent=100),
        limits={"main": Limits(collections=collections, **limits)},
    )


def made(names, database=None):
    """Make a collection, as a sign-up does a moment after it took one."""
    (database if database is not None else tenant_database()).create_collection(next(names))


@pytest.fixture
def names():
    return (f"org_{number}" for number in count())


@pytest.fixture
def away(monkeypatch):
    """Have the cluster be unreadable from now on."""

    def lose():
        def refuse(*_, **__):
            raise AutoReconnect("away")

        monkeypatch.setattr(counters, "read_counters", refuse)

    return lose


def test_the_server_tells_how_much_it_holds(app, names):
    before = capacity.read("main", databases=True)
    for _ in range(3):
        made(names)
    after = capacity.read("main", databases=True)
    assert after.collections - before.collections == 3
    assert after.files - before.files == 6
    assert after.max_open_files > after.open_files > 0
    assert after.databases >= 2
    assert after.memory_bytes > 2**30
    assert after.closes_early  # as the embedded server does


def test_no_sign_up_runs_past_the_wall_however_many_there_are_at_once(app, names):
    there = capacity.read("main", databases=False).collections
    policy, taken, lock = limited_to(there + 12), [], threading.Lock()

    def sign_up():
        if take("main", Strategy.COLLECTION, policy):
            with lock:
                name = next(names)
            taken.append(name)
            tenant_database().create_collection(name)

    threads = [threading.Thread(target=sign_up) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What was just made may count twice for a moment, and so leave a place free; never one more.
    assert 6 <= len(taken) <= 12
    assert capacity.read("main", databases=False).collections <= there + 12


def test_the_first_sign_ups_of_a_process_know_of_each_other(app, monkeypatch):
    """They come at once, and none of them finds anything known yet."""
    capacity.forget()
    both, make = threading.Barrier(2), capacity._Known

    def make_together(*values):
        with suppress(threading.BrokenBarrierError):
            both.wait(0.1)
        return make(*values)

    monkeypatch.setattr(capacity, "_Known", make_together)
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(capacity._knowledge_of, ["main", "main"])
    assert first is second


def test_a_place_that_was_left_free_is_taken_later(app, names, monkeypatch):
    monkeypatch.setattr(capacity, "IN_FLIGHT_SECONDS", 0)
    monkeypatch.setattr(capacity, "KEPT_SECONDS", 0)
    policy = limited_to(capacity.read("main", databases=False).collections + 5)
    for _ in range(5):
        assert take("main", Strategy.COLLECTION, policy)
        made(names)
    assert not take("main", Strategy.COLLECTION, policy)


def test_it_is_full_before_the_wall(app):
    there = capacity.read("main", databases=False).collections
    policy = replace(limited_to(there + 1), guard=Guard(full_at_percent=95))
    assert not take("main", Strategy.COLLECTION, policy)


def test_a_database_needs_room_among_databases_too(app):
    told = capacity.read("main", databases=True)
    policy = limited_to(told.collections + 9, databases=told.databases + 2)
    outcomes = [take("main", Strategy.DATABASE, policy) for _ in range(4)]
    assert outcomes == [True, True, False, False]
    assert take("main", Strategy.COLLECTION, policy)


def test_where_it_cannot_be_read_the_last_reading_counts(app, away, monkeypatch):
    policy = limited_to(capacity.read("main", databases=False).collections + 3)
    assert take("main", Strategy.COLLECTION, policy)
    away()
    monkeypatch.setattr(capacity, "KEPT_SECONDS", 0)
    outcomes = [take("main", Strategy.COLLECTION, policy) for _ in range(4)]
    assert outcomes == [True, True, False, False]


@pytest.mark.slow
@pytest.mark.usefixtures("real_limits")
def test_one_that_hangs_is_waited_for_a_second_and_the_last_reading_counts(app, admin, monkeypatch):
    policy = limited_to(capacity.read("main", databases=False).collections + 3)
    assert take("main", Strategy.COLLECTION, policy)
    monkeypatch.setattr(capacity, "KEPT_SECONDS", 0)
    hanging = {"blockConnection": True, "blockTimeMS": 5_000, "appName": "portal"}
    data = {"failCommands": ["serverStatus"], **hanging}

    def attempt():
        admin.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=data)
        begun = time.monotonic()
        assert take("main", Strategy.COLLECTION, policy)
        assert time.monotonic() - begun >= 1

    try:
        assert takes_less(4, attempt)
    finally:
        admin.admin.command("configureFailPoint", "failCommand", mode="off")


def test_a_limit_that_is_refused_later_stays_as_it_was_told(app, hosted, monkeypatch):
    assert take("main", Strategy.COLLECTION, UNLIMITED)
    told = capacity._known["main"].reading
    for kept in ("KEPT_SECONDS", "LIMITS_KEPT_SECONDS"):
        monkeypatch.setattr(capacity, kept, 0)
    hosted(13, "hostInfo", "getCmdLineOpts")
    assert take("main", Strategy.COLLECTION, UNLIMITED)
    later = capacity._known["main"].reading
    assert told.max_open_files == later.max_open_files
    assert told.closes_early == later.closes_early


def test_another_process_left_its_last_reading(app, away):
    policy = limited_to(capacity.read("main", databases=False).collections + 2)
    assert take("main", Strategy.COLLECTION, policy)
    capacity.forget()  # as in a process that begins
    away()
    assert take("main", Strategy.COLLECTION, policy)


def test_without_any_reading_nothing_is_put_there(app, away):
    away()
    assert not take("main", Strategy.COLLECTION, UNLIMITED)
    assert not take("main", Strategy.DATABASE, UNLIMITED)


def test_it_is_asked_outside_of_transactions_only(app):
    with pytest.raises(RuntimeError):
        transactional(take)("main", Strategy.COLLECTION, UNLIMITED)


@pytest.mark.parametrize(
    ("told", "limits", "expected"),
    [
        ({}, Limits(), []),
        ({}, Limits(databases=9), []),
        ({"max_open_files": 1000}, Limits(), []),
        (
            {"max_open_files": 1000, "open_files": 100, "memory_bytes": 2**40},
            Limits(),
            [
                Gauge("open files", 100, 800, Wall.OPEN_FILES, 2),
                Gauge("collections and indexes", 70, 800, Wall.OPEN_FILES, 2),
            ],
        ),
        (
            {"max_open_files": 1000, "open_files": 100, "closes_early": True},
            Limits(),
            [
                Gauge("open files", 100, 800, Wall.OPEN_FILES, 2),
                Gauge("collections and indexes", 70, 1400, Wall.OPEN_FILES, 2),
            ],
        ),
        (
            {"max_open_files": 10**6, "open_files": 100, "memory_bytes": 2**29},
            Limits(),
            [
                Gauge("open files", 100, 800_000, Wall.OPEN_FILES, 2),
                Gauge("collections and indexes", 70, 4096, Wall.MEMORY, 2),
            ],
        ),
        (
            {"max_open_files": 10**6, "open_files": 100, "memory_bytes": 2**40},
            Limits(),
            [
                Gauge("open files", 100, 800_000, Wall.OPEN_FILES, 2),
                Gauge("collections and indexes", 70, 40_000, Wall.START, 2),
            ],
        ),
        (
            {"databases": 7},
            Limits(namespaces=500, databases=100),
            [
                Gauge("collections and indexes", 70, 500, Wall.POLICY, 2),
                Gauge("databases", 7, 100, Wall.POLICY),
            ],
        ),
    ],
)
def test_the_limit_follows_from_what_it_tells_or_the_policy_says(told, limits, expected):
    reading = Reading(at=clock.now(), collections=30, indexes=40, **told)
    assert gauges_of(reading, limits) == expected


def test_a_forecast_goes_by_the_last_thirty_days(app):
    gauge = Gauge("collections", 600, 1000, Wall.POLICY)
    assert capacity.days_until_full("main", gauge, 95) is None
    for days, collections in ((40, 0), (10, 500)):
        at = clock.now() - timedelta(days=days)
        capacity.store("main", Reading(at, collections, collections))
    assert round(capacity.days_until_full("main", gauge, 95)) == 35
    shrinking, open_files = replace(gauge, held=400), replace(gauge, what="open files")
    assert capacity.days_until_full("main", shrinking, 95) is None
    assert capacity.days_until_full("main", open_files, 95) is None
    databases = Gauge("databases", 60, 100, Wall.DATABASES)
    assert capacity.days_until_full("main", databases, 95) is None  # not told then
    capacity.store("main", Reading(clock.now() - timedelta(days=10), 500, 500, databases=40))
    assert round(capacity.days_until_full("main", databases, 95), 1) == 17.5
    over = replace(gauge, held=980)
    assert capacity.days_until_full("main", over, 95) == 0


def test_a_purge_of_many_hides_no_growth_since(app):
    gauge = Gauge("collections", 300, 1000, Wall.POLICY)
    for days, collections in ((25, 700), (20, 900), (15, 100), (10, 100), (1, 290)):
        at = clock.now() - timedelta(days=days)
        capacity.store("main", Reading(at, collections, collections))
    assert round(capacity.days_until_full("main", gauge, 100)) == 35
    capacity.store("main", Reading(clock.now() - timedelta(days=3), 90, 90))
    assert capacity.days_until_full("main", gauge, 100) is None  # too short a time


def test_the_first_week_tells_no_rate(app):
    """What was put there on the first day goes on for no year."""
    capacity.store("main", Reading(clock.now() - timedelta(days=6), 0, 0))
    assert (
        capacity.days_until_full("main", Gauge("collections", 600, 1000, Wall.POLICY), 95) is None
    )


def test_a_day_keeps_its_last_reading(app):
    now = clock.now()
    for held in (3, 4):
        capacity.store("main", Reading(now, held, held))
    assert CapacityReading.objects.get().collections == 4
    assert capacity.last_reading("main").collections == 4


def test_the_command_shows_how_full_it_is(command):
    shown = command("placements", "capacity").stdout
    for what in ("open files", "collections and indexes", "databases"):
        assert f"main  {what}: " in shown
    assert shown.count("full at 95 %") == 3


@pytest.mark.slow
@pytest.mark.processes
def test_a_mongod_that_may_open_few_files_is_full_before_it_aborts(app, memory, monkeypatch, names):
    with with_file_limit(memory / "limited", 700) as limited:
        with MongoClient(limited.uri) as client:
            monkeypatch.setattr(capacity, "client_of", lambda name: client)
            made_there = 0
            while take("main", Strategy.COLLECTION, UNLIMITED):
                client["tenant_test"].create_collection(next(names))
                made_there += 1
            # 95 % of 80 % of 700, 2 a collection; what was made in the last 5 s counts twice.
            assert 90 < made_there < 266
            assert client.admin.command("ping")["ok"]
            reading = capacity.read("main", databases=False)
            assert reading.max_open_files == 700
            assert reading.open_files < 600


@pytest.mark.parametrize("code", [13, 59, 8000])
def test_a_server_that_tells_nothing_takes_none_unless_the_policy_says_how_many(app, hosted, code):
    hosted(code, "serverStatus", "hostInfo", "getCmdLineOpts", "listDatabases")
    assert not take("main", Strategy.COLLECTION, UNLIMITED)
    reading = capacity.read("main", databases=True)
    assert (reading.databases, reading.max_open_files, reading.closes_early) == (None, None, False)
    master = master_database()
    assert reading.collections >= len(master.list_collection_names())
    capacity.forget()
    assert take("main", Strategy.COLLECTION, limited_to(500))
    assert not take("main", Strategy.DATABASE, limited_to(500))


def test_where_counters_are_refused_databases_of_their_own_count_too(app, hosted):
    hosted(13, "serverStatus")
    before = capacity.read("main", databases=False)
    an_organization("Acme", strategy=Strategy.DATABASE)
    an_organization("Kestrel")
    after = capacity.read("main", databases=False)
    assert (after.collections, after.indexes) == (before.collections + 2, before.indexes + 2)


def test_where_counters_are_refused_every_index_counts(app, hosted, monkeypatch):
    """Indexes that anybody made since fill a tier that counts them, before it refuses."""
    hosted(13, "serverStatus", "hostInfo")
    own, raw = an_organization("Kestrel", strategy=Strategy.DATABASE), tenant_database()
    an_organization("Acme")
    capacity.read_all(lambda: None)
    before = capacity.read("main", databases=False)
    for field in "abc":
        raw.org_acme.create_index(field)
    master_database().client[own.placement.database][OWN_COLLECTION].create_index("a")
    raw.create_collection("a_view", viewOn="org_acme", pipeline=[])  # tells no indexes
    monkeypatch.setattr(capacity, "_REST_AFTER_COUNTING", -1)
    monkeypatch.setattr(capacity, "KEPT_SECONDS", 0)
    capacity.forget()
    capacity.read_all(lambda: None)
    capacity.forget()  # as in another process, which didn't count
    after = capacity.read("main", databases=False)
    assert after.files == before.files + 4 + 2 * 2  # and the view, in a collection of views
    policy = replace(limited_to(0), limits={"main": Limits(namespaces=after.files + 1)})
    assert not take("main", Strategy.COLLECTION, policy)
    raw.org_acme.drop_indexes()
    capacity.read_all(lambda: None)
    assert capacity.last_reading("main").files == after.files - 3
    assert take("main", Strategy.COLLECTION, policy)


def test_indexes_are_counted_again_after_a_rest_and_of_very_many_by_a_sample(
    app, hosted, commands, monkeypatch
):
    hosted(13, "serverStatus")
    for number in range(6):
        an_organization(f"Acme {number}")
    monkeypatch.setattr(counters, "_ASKED_COLLECTIONS", 5)
    for asked in (5, 0):
        commands.clear()
        capacity.read_all(lambda: None)
        assert commands.count("listIndexes") == asked
    told = capacity.last_reading("main")
    assert told.indexes >= told.collections > 5


def test_where_answers_are_slow_indexes_are_counted_by_as_many_as_are_answered_in_time(
    app, hosted, commands, monkeypatch
):
    hosted(13, "serverStatus")
    for number in range(3):
        an_organization(f"Acme {number}")
    monkeypatch.setattr(counters, "_ASKING_SECONDS", 0)
    commands.clear()
    assert capacity.read_all(lambda: None) == {}
    assert commands.count("listIndexes") == 1
    told = capacity.last_reading("main")
    assert told.indexes >= told.collections > 3


def test_a_cluster_that_fails_while_indexes_are_counted_is_not_silent(
    app, hosted, commands, monkeypatch
):
    """Its reading is stored, and it isn't asked for them again at once."""
    an_organization("Acme")
    monkeypatch.setattr(counters, "read_counters", lambda _: {})
    monkeypatch.setattr(capacity, "_REST_AFTER_COUNTING", 10**6)
    hosted(50, "listIndexes")
    commands.clear()
    assert [capacity.read_all(lambda: None) for _ in range(2)] == [{}, {}]
    assert commands.count("listIndexes") == 1
    assert capacity.last_reading("main").collections > 1


@pytest.mark.parametrize("missing", ["serverStatus", "hostInfo", "getCmdLineOpts"])
def test_what_is_told_counts_though_another_answer_is_missing(app, hosted, missing):
    hosted(13, missing)
    reading = capacity.read("main", databases=False)
    assert reading.collections > 0
    assert bool(gauges_of(reading, Limits())) == (missing == "getCmdLineOpts")


def test_counters_that_are_refused_later_are_the_last_ones_and_what_all_put_there_since(
    app, hosted, monkeypatch
):
    """The right to ask was taken away: what any portal puts there counts, before and after a
    restart of this one."""
    monkeypatch.setattr(capacity, "KEPT_SECONDS", 0)
    monkeypatch.setattr(capacity, "IN_FLIGHT_SECONDS", 0)
    told = capacity.read("main", databases=False)
    capacity.store("main", replace(told, at=told.at - timedelta(seconds=1)))
    hosted(13, "serverStatus")
    for name in ("Acme", "Kestrel"):
        an_organization(name)
    an_organization("Juniper", strategy=Strategy.SHARED)
    purge_organization(an_organization("Larch"), None, a_context())
    later = capacity.read("main", databases=False)
    assert (later.collections, later.indexes) == (told.collections + 2, told.indexes + 2)
    assert later.open_files == told.open_files + 4
    assert {gauge.what for gauge in gauges_of(later, Limits())} == set(capacity.IN_FILES)
    for take_so_many, most in ((True, later.collections + 2), (False, later.collections)):
        capacity.forget()  # as in a process that begins
        assert take("main", Strategy.COLLECTION, limited_to(most)) == take_so_many
    # The wall of open files stands: no more than these fit.
    monkeypatch.setattr(capacity, "_OPEN_AT_MOST", (later.open_files - 1) / later.max_open_files)
    assert not take("main", Strategy.COLLECTION, UNLIMITED)


def test_where_counters_are_refused_later_what_came_by_moves_counts_too(app, hosted):
    earlier = Reading(clock.now() - timedelta(seconds=1), 2, 2, open_files=30)
    capacity.store("main", earlier)
    hosted(13, "serverStatus")
    capacity.read_all(lambda: None)
    there = len(counters.known_collections(tenant_database().client, "main"))
    later = capacity.last_reading("main")
    assert later.collections == there > 2
    assert later.indexes >= there
    assert later.open_files == 30 + 2 * (there - 2)


def test_limits_that_are_refused_after_a_restart_are_those_of_the_last_reading(app, hosted):
    assert take("main", Strategy.COLLECTION, UNLIMITED)
    capacity.forget()
    hosted(13, "hostInfo", "getCmdLineOpts")
    capacity.read_all(lambda: None)  # as each minute
    assert take("main", Strategy.COLLECTION, UNLIMITED)
    assert capacity._known["main"].reading.max_open_files
    assert capacity.read("main", databases=True).closes_early


@pytest.mark.parametrize(
    ("held", "limits", "share"),
    [(0, Limits(collections=100), 1), (75, Limits(collections=100), 0.25),
     (130, Limits(collections=100), 0), (75, Limits(), 0)],
)  # fmt: skip
def test_the_free_share_is_what_its_tightest_limit_leaves(held, limits, share):
    known = capacity._knowledge_of("main")
    known.reading = Reading(clock.now(), held, held)
    assert capacity.free_share("main", replace(UNLIMITED, limits={"main": limits})) == share


def test_one_that_was_not_read_yet_is_taken_for_empty():
    assert capacity.free_share("main", UNLIMITED) == 1


def test_the_doctor_tells_of_a_cluster_that_is_nearly_full(command, in_force, hosted):
    assert "full_cluster" not in command("doctor", "--json").stdout
    rule = '[[place]]\nstrategy = "collection"\n'
    in_force(rule + "[limits.main]\nnamespaces = 100\n")
    [told] = command("doctor", "--json").stdout.splitlines()
    assert "of 100 collections and indexes, by the policy" in told
    in_force(rule)
    hosted(13, "hostInfo")
    assert "it tells no limit" in command("doctor").stdout


def test_programs_read_how_full_each_cluster_is(in_force, command):
    in_force(policies.DEFAULT + "\n[limits.main]\ncollections = 100\n")
    [told] = json.loads(command("placements", "capacity", "--json").stdout)
    assert (told["cluster"], told["unreadable"]) == ("main", None)
    [by_policy] = [each for each in told["gauges"] if each["wall"] == Wall.POLICY]
    assert (by_policy["limit"], by_policy["days_until_full"]) == (100, None)
