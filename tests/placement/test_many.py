"""As many organizations as there may be: nobody is refused, and ``mongod`` never aborts.

The full sizes take half an hour each on two cores. Everything is as an operator has it: the embedded
server, a portal in processes of its own, passwords hashed as always.
"""

import json
import secrets
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests
from bson import ObjectId
from pymongo import MongoClient

from portal import clock
from portal.web.static_files import TOP
from tests.placement.servers import with_file_limit
from tests.processes import Person, portal, wait_until
from tests.visitor import PASSWORD

pytestmark = [pytest.mark.processes, pytest.mark.slow]

FEW = pytest.param(300, 700, 100, id="300")
MANY = pytest.param(20_000, 8192, 5_000, id="20000", marks=pytest.mark.full)
READY_SECONDS = 60
SECRET = secrets.token_hex(32)


@contextmanager
def limited_portal(folder, limit):
    """The portal on an embedded server that may open so many files."""
    with with_file_limit(folder, limit, ("master_many", "tenant_many")) as running:
        server = SimpleNamespace(
            uri=running.uri,
            admin_uri=running.admin_uri,
            settings={"jwt_secret": SECRET, "secret_key": SECRET},
        )
        with portal(server, "many") as started:
            yield started, server


def sign_up(started, number):
    begin = time.perf_counter()
    answer = requests.post(
        f"{started.url}/org/create",
        json={
            "organization_name": f"Organization {number}",
            "email": f"owner{number}@acme.example",
            "password": PASSWORD,
        },
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    return time.perf_counter() - begin


def p95(seconds):
    return sorted(seconds)[int(0.95 * len(seconds))]


def collected(server):
    """How many organizations there are by strategy; and none waits for anything."""
    with MongoClient(server.uri) as client:
        organizations = client["master_many"].organizations
        assert organizations.count_documents({"operation": {"$exists": True}}) == 0
        return Counter(
            one["placement"]["strategy"] for one in organizations.find({}, {"placement": 1})
        )


def every_page_works(started, number):
    owner = Person(started.url)
    assert (
        owner.post("/login", email=f"owner{number}@acme.example", password=PASSWORD).status_code
        == 303
    )
    for below in ("", "/placement", "/connect", "/members", "/activity", "/settings", "/rename"):
        page = owner.get(f"/organizations/organization-{number}{below}")
        assert page.status_code == 200, (number, below)


def examine(server):
    """What the doctor finds on all of them."""
    told = subprocess.run(
        [sys.executable, "-m", "flask", "doctor", "--json"],
        check=False, cwd=TOP, capture_output=True, text=True, timeout=1800,
        env={
            "PATH": "/usr/bin:/bin", "MONGO_URI": server.uri, "MASTER_DB": "master_many",
            "TENANT_DB": "tenant_many", "JWT_SECRET": SECRET, "SECRET_KEY": SECRET,
        },
    )  # fmt: skip
    assert told.returncode in (0, 1), told.stderr
    return Counter(json.loads(line)["kind"] for line in told.stdout.splitlines())


@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(("count", "limit", "own"), [FEW, MANY])
def test_sign_ups_in_a_row_all_succeed_whatever_mongod_may_open(memory, count, limit, own):
    folder = memory / f"many-{count}"
    with limited_portal(folder, limit) as (started, server):
        seconds = [sign_up(started, number) for number in range(count)]
        wait_until(lambda: sum(collected(server).values()) == count)
        strategies = collected(server)
    tenth = max(30, count // 20)
    begun, ended = p95(seconds[5 : tenth + 5]), p95(seconds[-tenth:])
    print(f"{strategies}; p95 {begun * 1000:.0f} ms at first, {ended * 1000:.0f} ms at last")
    assert strategies["collection"] >= own
    assert strategies["shared"] >= count // 10
    assert ended <= 2 * begun

    begin = time.perf_counter()
    with limited_portal(folder, limit) as (started, server):
        ready = time.perf_counter() - begin
        print(f"ready after {ready:.0f} s")
        assert ready <= READY_SECONDS
        for number in range(0, count, max(1, count // 100)):
            every_page_works(started, number)
        assert not examine(server)
