"""Portals of a new version that start on what an earlier one stored."""

import hashlib
from datetime import timedelta

import requests

from portal import clock
from portal.database.migrations import MIGRATIONS
from tests.processes import Person, portal, wait_until

DONE = {"_id": "master data"}


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
        answer = requests.get(running.url, timeout=10)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "being updated" in answer.text
        ready = requests.get(f"{running.url}/readyz", timeout=10)
        assert ready.text == "not ready: migration 1 of master data is running\n"
        migrating.update_one(DONE, {"$unset": {"holder": 1}})
        wait_until(running.is_ready)


def _answers(url):
    try:
        return requests.get(f"{url}/healthz", timeout=10).status_code == 200
    except requests.RequestException:
        return False
