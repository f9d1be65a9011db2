"""Portals of a new version that start on what an earlier one stored, or run beside it."""

import hashlib
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import requests

from portal import clock
from portal.database.migrations import MIGRATIONS
from tests.clones import TOP
from tests.faults.customers import Crowd
from tests.processes import Person, portal, wait_until
from tests.visitor import PASSWORD

LAST_RELEASED = "fed5813"
BESIDE_SECONDS = 60
DONE = {"_id": "master data"}


@pytest.mark.full
def test_several_portals_that_start_at_once_migrate_once(
    server, databases, bare_client, tmp_path
):  # fmt: skip
    past = {"_id": hashlib.sha256(b"x").hexdigest(), "account": None}
    bare_client[f"master_{databases}"].sessions.insert_one(past)
    log = tmp_path / "log"
    with log.open("w") as stderr:
        portals = [
            portal(server, databases, workers=2, wait=False, stderr=stderr) for _ in range(2)
        ]
        with portals[0] as one, portals[1] as two:
            wait_until(one.is_ready)
            wait_until(two.is_ready)
            assert Person(one.url).sign_up().status_code == 303
    assert log.read_text().count("migration.done") == len(MIGRATIONS)
    assert bare_client[f"master_{databases}"].sessions.find_one(past)["kind"] == "browser"


def test_requests_are_answered_503_until_it_is_done(server, databases, bare_client):
    record = {**DONE, "number": 0, "holder": "another", "lease_until": clock.now() + timedelta(60)}
    migrating = bare_client[f"master_{databases}"].migrations
    migrating.insert_one(record)
    with portal(server, databases, workers=1, wait=False) as running:
        wait_until(lambda: _answers(running.url))
        # Before it has looked at the migrations it says that it is starting.
        wait_until(lambda: "being updated" in requests.get(running.url, timeout=10).text)
        answer = requests.get(running.url, timeout=10)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        ready = requests.get(f"{running.url}/readyz", timeout=10)
        assert ready.text == "not ready: migration 1 of master data is running\n"
        migrating.update_one(DONE, {"$unset": {"holder": 1}})
        wait_until(running.is_ready)


def _answers(url):
    try:
        return requests.get(f"{url}/healthz", timeout=10).status_code == 200
    except requests.RequestException:
        return False


@pytest.fixture
def earlier_version(tmp_path):
    """A folder with the last released version, ready to be served."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    archive = ["git", "-C", TOP, "archive", LAST_RELEASED]
    files = subprocess.run(archive, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=files, check=True)
    subprocess.run([sys.executable, "-m", "portal.build"], cwd=folder, check=True)
    return folder


@pytest.mark.full
@pytest.mark.timeout(300)
def test_two_versions_beside_each_other_lose_nothing(
    server, databases, bare_client, earlier_version, check_whole, flask, figure
):
    master = bare_client[f"master_{databases}"]
    with portal(server, databases, folder=earlier_version) as old:
        before = Person(old.url)
        assert before.sign_up().status_code == 303
        with portal(server, databases) as new:
            with Crowd(old.url, master, beside=[new.url]) as crowd:
                end = time.monotonic() + BESIDE_SECONDS
                while time.monotonic() < end:
                    _log_in_at_one_and_read_at_the_other(old.url, new.url)
                    _log_in_at_one_and_read_at_the_other(new.url, old.url)
            wait_until(lambda: not master.organizations.find_one({"operation": {"$ne": None}}))
            crowd.check(master)
            before.url = new.url
            assert before.get("/organizations/acme-corp").status_code == 200
    check_whole()
    there = {"MASTER_DB": master.name, "TENANT_DB": f"tenant_{databases}"}
    for asked in (("doctor", "--json"), ("audit", "verify", "--json"), ("migrate", "status")):
        told = flask(*asked, **there)
        assert told.returncode == 0, told.stdout
    figure(crowd.figure)


def _log_in_at_one_and_read_at_the_other(one, other):
    person = Person(one)
    assert person.post("/login", email="mara@acme.example", password=PASSWORD).status_code == 303
    person.url = other
    assert person.get("/organizations/acme-corp").status_code == 200
