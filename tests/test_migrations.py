"""Master data that an earlier version wrote is brought to this version's shape, once."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from portal import clock
from portal.database import connection, migrations
from portal.database.errors import MigrationFailed, MigrationRunning
from portal.database.migrations import Migration, repeat_migrations, run_migrations
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.web import requests
from tests.factories import a_context
from tests.processes import at_once, wait_until
from tests.visitor import Visitor

DONE = {"_id": "master data"}


def counting(number):
    """A migration that leaves a trace each time it is carried out."""

    def change(master):
        master["traces"].insert_one({"number": number})
        yield

    return Migration(number, f"trace {number}", change)


def traces(master_db):
    return [trace["number"] for trace in master_db.traces.find().sort("_id")]


def test_many_that_start_at_once_carry_each_out_once_in_order(master_db):
    wanted = tuple(counting(number) for number in (1, 2, 3))
    at_once([lambda: run_migrations(master_db, wanted)] * 8)
    assert traces(master_db) == [1, 2, 3]
    assert master_db.migrations.find_one(DONE)["number"] == 3


def test_only_what_is_new_is_carried_out(master_db):
    run_migrations(master_db, (counting(1),))
    run_migrations(master_db, (counting(1), counting(2)))
    assert traces(master_db) == [1, 2]


def test_what_was_carried_out_costs_one_read_at_a_start_and_nothing_later(master_db, commands):
    run_migrations(master_db)
    commands.clear()
    run_migrations(master_db)
    assert commands == ["find"]
    commands.clear()
    connection.prepare()  # this process has prepared long ago
    assert commands == []


def test_one_that_fails_stops_the_start_and_is_begun_again(master_db, log):
    def change(master):
        if not master["mended"].find_one():
            raise ZeroDivisionError("the reason")
        yield

    failing = (counting(1), Migration(2, "fails", change), counting(3))
    for _ in range(2):
        with pytest.raises(MigrationFailed, match=r"migration 2 .*\(fails\)"):
            run_migrations(master_db, failing)
    assert traces(master_db) == [1]
    assert "the reason" in log.named("migration.failed")[0]["exception"]
    master_db.mended.insert_one({})
    run_migrations(master_db, failing)
    assert traces(master_db) == [1, 3]


def test_who_comes_while_another_is_at_it_waits_and_is_then_told(master_db, monkeypatch):
    monkeypatch.setattr(migrations, "WAIT_SECONDS", 0.3)
    begun, may_end = threading.Event(), threading.Event()

    def change(master):
        begun.set()
        may_end.wait(20)
        yield

    slow = (Migration(1, "slow", change),)
    holder = threading.Thread(target=run_migrations, args=(master_db, slow))
    holder.start()
    begun.wait(20)
    with pytest.raises(MigrationRunning) as told:
        run_migrations(master_db, slow)
    assert connection.is_unavailable(told.value)
    may_end.set()
    run_migrations(master_db, slow)
    holder.join()


HANGS = """
import sys, time
from pymongo import MongoClient
from portal.database.migrations import Migration, run_migrations

def change(master):
    print("begun", flush=True)
    time.sleep(600)
    yield

run_migrations(MongoClient(sys.stdin.readline().strip())[sys.argv[1]], (Migration(1, "hangs", change),))
"""


@pytest.mark.processes
def test_one_whose_holder_was_killed_is_taken_over(master_db, server):
    holder = subprocess.Popen(
        [sys.executable, "-c", HANGS, master_db.name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    holder.stdin.write(server.uri + "\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "begun\n"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert master_db.migrations.find_one(DONE)["holder"]
    # As if half a minute had passed, by the server's clock.
    past = clock.now() - timedelta(minutes=1)
    master_db.migrations.update_one(DONE, {"$set": {"lease_until": past}})
    run_migrations(master_db, (counting(1),))
    assert traces(master_db) == [1]
    assert set(master_db.migrations.find_one(DONE)) == {"_id", "number", "at", "ran"}


def test_a_holder_that_was_overtaken_records_nothing(master_db):
    def change(master):
        past = clock.now() - timedelta(minutes=1)
        if not master["traces"].find_one():  # the first stands still past its lease
            master["migrations"].update_one(DONE, {"$set": {"lease_until": past}})
            run_migrations(master, (counting(1), counting(2)))
        yield

    run_migrations(master_db, (Migration(1, "overtaken", change), counting(2)))
    assert traces(master_db) == [1, 2]


def test_data_of_a_newer_version_is_served_and_told(master_db, log):
    run_migrations(master_db, tuple(counting(number) for number in (1, 2)))
    run_migrations(master_db, (counting(1),))
    [told] = log.named("migrations.data_is_newer")
    assert (told["data"], told["portal"]) == (2, 1)
    assert traces(master_db) == [1, 2]


def test_sessions_that_an_earlier_version_stored_stay_logged_in(visitor, master_db):
    visitor.sign_up()
    master_db.sessions.update_many({}, {"$unset": {"kind": 1, "public_id": 1}})
    run_migrations(master_db)
    assert visitor.get("/organizations/acme-corp").status == 200
    [session] = master_db.sessions.find()
    assert session["kind"] == "browser"
    assert session["public_id"]


def test_what_an_earlier_version_writes_after_it_is_served_listed_and_ended(
    app, visitor, master_db
):
    run_migrations(master_db)
    visitor.sign_up()
    other = Visitor(app)
    other.log_in()
    master_db.sessions.update_many({}, {"$unset": {"kind": 1, "public_id": 1}})
    page = visitor.get("/account/sessions")
    assert other.get("/organizations/acme-corp").status == 200
    ends = [form["action"] for form in page.html.select("form[action$='/end']")]
    assert len(ends) == 1
    visitor.post(ends[0], form_at="/account/sessions")
    assert other.get("/organizations/acme-corp").status == 303
    assert visitor.get("/organizations/acme-corp").status == 200


def test_what_an_earlier_version_writes_after_it_is_brought_to_this_shape_again(
    visitor, master_db, command
):
    run_migrations(master_db)
    assert command("migrate", "status").returncode == 0
    visitor.sign_up()
    organization = Organization.objects.get()
    trash_organization(organization, None, a_context())
    master_db.sessions.update_many({}, {"$unset": {"kind": 1, "public_id": 1}})
    master_db.organizations.update_many({}, {"$unset": {"warn_at": 1}})
    master_db.accounts.update_many({}, {"$unset": {"email_by_domain": 1}})
    told = command("migrate", "status")
    assert [line.split("  ")[2] for line in told.stdout.splitlines()] == ["older documents: 1"] * 4
    assert told.returncode == 1
    assert repeat_migrations(master_db) == (1, 2, 3, 4)
    assert repeat_migrations(master_db) == ()
    trashed = master_db.organizations.find_one()
    assert trashed["purge_at"] - trashed["warn_at"] == timedelta(days=3)
    assert master_db.accounts.find_one()["email_by_domain"] == "acme.example@mara"
    assert command("migrate", "status").returncode == 0


def test_status_tells_when_each_ran_and_migrates_nothing(master_db, command):
    told = command("migrate", "status")
    assert told.returncode == 1
    assert told.stdout.count("not yet") == len(migrations.MIGRATIONS)
    assert (
        "migrations" not in master_db.list_collection_names()
        or not master_db.migrations.find_one(DONE)
    )
    run_migrations(master_db)
    told = command("migrate", "status")
    assert told.stdout.count(f"{clock.now():%Y-%m-%d }") == len(migrations.MIGRATIONS)
    assert told.returncode == 0


@pytest.fixture
def not_prepared(app, monkeypatch):
    """As a process that just started, and has these migrations."""
    carry_out_these = migrations.run_migrations

    def start(*wanted):
        monkeypatch.setattr(migrations, "run_migrations", lambda db: carry_out_these(db, wanted))
        monkeypatch.setattr(connection._state, "prepared", False)

    return start


def test_requests_are_not_held_up_by_a_long_one_nor_cut_it_short(
    visitor, master_db, not_prepared, monkeypatch
):  # fmt: skip
    monkeypatch.setattr(connection, "PREPARING_SECONDS", 0.3)
    # Over before the first of them is answered, and so before the migration ends.
    monkeypatch.setattr(requests, "REQUEST_SECONDS", 0.2)
    may_end = threading.Event()

    def change(master):
        master["traces"].insert_one({"number": 0})
        may_end.wait(20)
        yield

    not_prepared(Migration(1, "long", change), counting(2))
    for _ in range(3):
        answer = visitor.get("/login")
        assert (answer.status, answer.heading) == (503, "The portal is starting")
        assert answer.response.headers["Retry-After"]
    ready = visitor.get("/readyz")
    assert (ready.status, ready.text) == (
        503,
        "not ready: master data and indexes are being prepared ",
    )
    assert visitor.get("/healthz").status == 200
    assert traces(master_db) == [0]
    may_end.set()
    wait_until(lambda: visitor.get("/login").status == 200)
    assert traces(master_db) == [0, 2]


def test_requests_are_told_that_one_failed_and_have_it_begun_again(
    visitor, master_db, not_prepared
):
    def change(master):
        master["traces"].insert_one({"number": 1})
        if master["traces"].count_documents({}) == 1:
            raise ZeroDivisionError
        yield

    not_prepared(Migration(1, "fails once", change))
    assert visitor.get("/login").heading == "The portal is being updated"
    assert visitor.get("/login").status == 200
    assert traces(master_db) == [1, 1]


def test_many_first_requests_and_loops_prepare_once(app, master_db, not_prepared, monkeypatch):
    """Else all loops of a worker would, at each start."""
    begun = []
    monkeypatch.setattr(connection, "check_server", begun.append)
    not_prepared(counting(1))
    at_once([connection.await_prepared, connection.prepare] * 8)
    assert len(begun) == 1
    assert traces(master_db) == [1]
