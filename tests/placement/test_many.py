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
from itertools import islice
from types import SimpleNamespace

import pytest
import requests
from bson import ObjectId
from pymongo import MongoClient

from portal import clock
from portal.web.static_files import TOP
from tests.placement.servers import with_file_limit
from tests.processes import Person, portal, wait_until
from tests.test_routes import ROUTES
from tests.visitor import PASSWORD

pytestmark = [pytest.mark.processes, pytest.mark.full]

# Organizations, files that mongod may open, collections of their own at least; and how much slower
# the last sign-ups may be than the first, which few of them on a busy machine don't tell.
FEW = pytest.param(120, 560, 20, 10, id="120")
MANY = pytest.param(20_000, 8192, 5_000, 2, id="20000")
READY_SECONDS = 60
# All that an owner sees of an organization, but for what is of one thing in it.
PAGES = [
    path for method, path in map(str.split, ROUTES)
    if method == "GET" and path.startswith("/organizations/<slug>") and path.count("<") == 1
]  # fmt: skip
# No collection to take over; an owner who is the only one.
NOTHING_TO_DO = [(f"/organizations/<slug>/{page}", 409) for page in ("adopt", "ownership")]
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
    """The number of organizations by strategy, none of which waits for anything."""
    with MongoClient(server.uri) as client:
        organizations = client["master_many"].organizations
        assert organizations.count_documents({"operation": {"$exists": True}}) == 0
        by_strategy = {"$group": {"_id": "$placement.strategy", "count": {"$sum": 1}}}
        return Counter({one["_id"]: one["count"] for one in organizations.aggregate([by_strategy])})


def every_page_works(started, number):
    owner = Person(started.url)
    assert (
        owner.post("/login", email=f"owner{number}@acme.example", password=PASSWORD).status_code
        == 303
    )
    slug = f"organization-{number}"
    answers = {page: owner.get(page.replace("<slug>", slug)).status_code for page in PAGES}
    broken = {
        page: status
        for page, status in answers.items()
        if status not in (200, 302, 303) and (page, status) not in NOTHING_TO_DO
    }
    assert not broken, number


def examine(server):
    """The findings of the doctor, by kind."""
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
@pytest.mark.parametrize(("count", "limit", "own", "slower"), [FEW, MANY])
def test_sign_ups_in_a_row_all_succeed_whatever_mongod_may_open(memory, count, limit, own, slower):
    folder = memory / f"many-{count}"
    with limited_portal(folder, limit) as (started, server):
        seconds = [sign_up(started, number) for number in range(count)]
        wait_until(lambda: sum(collected(server).values()) == count)
        strategies = collected(server)
    tenth = max(30, count // 20)
    begun, ended = p95(seconds[5 : tenth + 5]), p95(seconds[-tenth:])
    sys.stdout.write(
        f"{strategies}; p95 {begun * 1000:.0f} ms at first, {ended * 1000:.0f} ms at last" + "\n"
    )
    assert strategies["collection"] >= own
    assert strategies["shared"] >= count // 10
    assert ended <= slower * begun

    begin = time.perf_counter()
    with limited_portal(folder, limit) as (started, server):
        ready = time.perf_counter() - begin
        sys.stdout.write(f"ready after {ready:.0f} s\n")
        assert ready <= READY_SECONDS
        for number in range(0, count, max(20, count // 100)):
            every_page_works(started, number)
        assert set(examine(server)) <= {"full_cluster"}  # as it is by then


def seed(client, numbers):
    """Shared organizations with all that a sign-up writes, 10,000 in a pool; and the policy that has
    the next ones share, too."""
    master, now = client["master_many"], clock.now()
    for begin in range(0, len(numbers), 5_000):
        written = [seeded(number, now) for number in numbers[begin : begin + 5_000]]
        for pool in {one["organizations"]["placement"]["pool"] for one in written}:
            add_pool(client, pool, now)
        for name in ("organizations", "slugs", "memberships", "accounts", "audit_events"):
            master[name].insert_many([one[name] for one in written], ordered=False)
    text = '[[place]]\nstrategy = "shared"\n'
    master.placement_policies.replace_one({"_id": 1}, {"text": text, "set_at": now}, upsert=True)


def seeded(number, now):
    organization, account, slug = ObjectId(), ObjectId(), f"seeded-{number}"
    # The first pool is for those who sign up.
    placement = {"strategy": "shared", "cluster": "main", "pool": number // 10_000 + 2}
    email = f"seeded{number}@acme.example"
    return {
        "organizations": {
            "_id": organization, "name": f"Seeded {number}", "slug": slug, "state": "active",
            "version": 1, "placement": placement, "created_at": now, "created_by": account,
            "audit_head": {"seq": 1, "hash": "0" * 64, "at": now},
        },
        "slugs": {"_id": slug, "organization": organization, "state": "current"},
        "memberships": {
            "organization": organization, "account": account, "role": "owner", "since": now,
        },
        "accounts": {
            "_id": account, "email": email, "email_key": email, "password_hash": "-",
            "created_at": now,
        },
        "audit_events": {
            "chain": organization, "seq": 1, "at": now, "action": "organization.created",
            "hash": "0" * 64,
        },
    }  # fmt: skip


def add_pool(client, number, now):
    if client["master_many"].pools.find_one({"_id": number}) is None:
        name = f"shared_{number}_1"
        client["tenant_many"].create_collection(name)
        [listed] = client["tenant_many"].list_collections(filter={"name": name})
        client["master_many"].pools.insert_one(
            {
                "_id": number, "cluster": "main", "uuid": listed["info"]["uuid"], "generation": 1,
                "organizations": 10_000, "bytes": 0, "counted_at": now,
            }
        )  # fmt: skip


@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(
    ("count", "rounds", "slower"),
    [
        pytest.param(2_000, 10, 10, id="2000"),
        pytest.param(1_000_000, 300, 1.5, id="1000000"),
    ],
)
def test_a_sign_up_among_a_million_takes_as_long_as_among_a_thousand(memory, count, rounds, slower):
    numbers = iter(range(4 * rounds))

    def p95_of_sign_ups():
        for number in islice(numbers, rounds):  # warm
            sign_up(started, number)
        return p95([sign_up(started, number) for number in islice(numbers, rounds)])

    with limited_portal(memory / f"shared-{count}", 8_192) as (started, server):
        with MongoClient(server.admin_uri) as client:
            cache = "cache_size=1024M"
            client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig=cache)
            seed(client, range(1_000))
            among_few = p95_of_sign_ups()
            seed(client, range(1_000, count))
            among_many = p95_of_sign_ups()
            assert collected(server)["shared"] == count + 4 * rounds
    sys.stdout.write(
        f"p95 {among_few * 1000:.0f} ms among 1,000, {among_many * 1000:.0f} among {count:,}" + "\n"
    )
    assert among_many <= slower * among_few
