"""Measures what the README states; ``make measure`` on a quiet machine. Ratios are of one run."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import requests
from bson import ObjectId
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from portal import create_app
from portal.database import connection
from portal.documents.organizations import Organization
from portal.identity.authentication import passwords
from portal.organizations import signing_up
from portal.organizations.lifecycle import renaming
from portal.organizations.storage import store_of
from portal.serving import mongod
from portal.settings import Settings
from tests.factories import a_context, fresh
from tests.faults.test_slow_clients import OF_REQUESTS, SLOW_CLIENTS, connect
from tests.processes import Person, portal, wait_until
from tests.test_serve import PARTS, TOP, environment

ROUNDS = 100
SECRET = "m" * 48


def main():
    start_of_an_installed_portal()
    with tempfile.TemporaryDirectory() as folder:
        running = mongod.start(Path(folder), "measure")
        server = SimpleNamespace(
            uri=running.uri, running=running, settings={"jwt_secret": SECRET, "secret_key": SECRET}
        )
        try:
            sign_up_against_the_floor(server)
            store_against_plain_pymongo(server)
            audit_event_of_a_change()
            with portal(server, "measure", workers=1) as running_portal:
                rename_by_size(server, running_portal)
                cpu_per_page(running_portal)
                load_against_the_floor(server, running_portal)
                pages_beside_slow_clients(running_portal)
                memory(server, running_portal)
        finally:
            running.stop()


def start_of_an_installed_portal():
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            (Path(folder) / part).symlink_to(TOP / part)
        for which in ("first start, empty instance", "later start"):
            begin = time.perf_counter()
            command = [sys.executable, "-m", "portal.serving.supervisor"]
            process = subprocess.Popen(
                command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
            )
            next(line for line in process.stderr if "Portal: " in line)
            say(f"to /readyz 200, {which}", f"{time.perf_counter() - begin:.1f} s")
            process.send_signal(signal.SIGTERM)
            process.communicate()


def sign_up_against_the_floor(server):
    """Sign-up's service without the password hash, beside three inserts in a transaction and
    one create: interleaved, medians."""
    create_app(
        Settings(
            mongo_uri=server.uri, master_db="master_floor", tenant_db="tenant_floor",
            jwt_secret=SECRET, secret_key=SECRET, web_concurrency=1, rate_limits=False,
        )
    )  # fmt: skip
    connection.prepare()
    hashed = passwords.hash_password("x")
    passwords.hash_password = lambda password: hashed
    client = MongoClient(server.uri)
    floor_db = client.floor
    for name in "abc":
        floor_db.create_collection(name)

    def floor(n):
        with client.start_session() as session:
            session.with_transaction(
                lambda s: [floor_db[name].insert_one({"n": n}, session=s) for name in "abc"]
            )
        floor_db.create_collection(f"new_{ObjectId()}")

    def sign_up(n):
        signing_up.sign_up(
            f"Org {n}", f"p{n}@acme.example", f"hawk over estuary {n}!", a_context(), "x"
        )

    def transaction_and_birth(n):
        check = passwords.check_password
        passwords.check_password = lambda *_: None
        sign_up(n + 10_000)
        passwords.check_password = check

    seconds = {floor: [], sign_up: [], transaction_and_birth: []}
    for n in range(ROUNDS):
        for work, taken in seconds.items():
            taken.append(timed(lambda work=work, n=n: work(n)))
    base, whole, written = (statistics.median(taken) for taken in seconds.values())
    say("floor: transaction of three inserts, create", f"{base * 1000:.1f} ms")
    say("sign-up without the hash", f"{whole * 1000:.1f} ms, {whole / base:.2f} times the floor")
    say("… without zxcvbn too", f"{written * 1000:.1f} ms, {written / base:.2f} times the floor")
    client.close()


def store_against_plain_pymongo(server):
    """What the tenant store costs beside PyMongo's own methods without a fence, acknowledged by
    a majority both; interleaved, medians. Goes on with the portal that sign-ups were measured on.
    """
    organization = Organization.objects(state="active").first()
    store, name = store_of(organization), organization.placement.collection
    with MongoClient(server.uri, uuidRepresentation="standard", tz_aware=True) as client:
        plain = client.tenant_floor.get_collection(name, write_concern=WriteConcern("majority"))
        plain.insert_many({"_id": n, "name": f"Document {n}", "n": 0} for n in range(2000))
        newest = [("_id", -1)]
        many = [{"name": f"Document {n}"} for n in range(500)]
        pairs = {
            "get": (lambda n: plain.find_one({"_id": n}), store.get),
            "find, a page of 25": (
                lambda n: list(plain.find({"_id": {"$lt": n + 100}}, sort=newest, limit=25)),
                lambda n: store.find({"_id": {"$lt": n + 100}}, size=25),
            ),
            "count": (
                lambda n: plain.count_documents({"_id": {"$lt": 1000}}),
                lambda n: store.count({"_id": {"$lt": 1000}}),
            ),
            "insert one": (
                lambda n: plain.insert_one({"name": f"Document {n}", "n": 0}),
                lambda n: store.insert_one({"name": f"Document {n}", "n": 0}),
            ),
            "update one": (
                lambda n: plain.update_one({"_id": n}, {"$inc": {"n": 1}}),
                lambda n: store.update_one({"_id": n}, {"$inc": {"n": 1}}),
            ),
            "insert many, 500": (
                lambda n: plain.insert_many([dict(each) for each in many]),
                lambda n: store.insert_many(many),
            ),
        }
        for what, (without, fenced) in pairs.items():
            taken = [], []
            for n in range(10 * ROUNDS if "many" not in what else ROUNDS // 2):
                # By turns first, since whoever is second finds warmer caches.
                for which in (0, 1) if n % 2 else (1, 0):
                    work = (without, fenced)[which]
                    taken[which].append(timed(lambda work=work, n=n: work(n)))
            base, cost = (statistics.median(seconds) * 1000 for seconds in taken)
            say(f"store: {what}", f"{cost:.2f} ms, {cost / base:.2f} times plain PyMongo")


def audit_event_of_a_change():
    """What an audit event costs the change that it records: a display name's, with it and without,
    interleaved, medians. Goes on with the portal that sign-ups were measured on."""
    organization = Organization.objects(state="active").first()
    record, taken = renaming.record, {True: [], False: []}
    for n in range(3 * ROUNDS):
        for recorded in (True, False) if n % 2 else (False, True):
            renaming.record = record if recorded else lambda *_, **__: None
            current, name = fresh(organization), "ORG 0" if n % 2 == recorded else "Org 0"
            name = name if current.name != name else name.swapcase()
            work = partial(renaming.rename_organization, current, name, a_context())
            taken[recorded].append(timed(work))
    renaming.record = record
    with_event, without = (statistics.median(taken[which]) * 1000 for which in (True, False))
    say(
        "change of a name", f"{with_event:.2f} ms, its audit event {with_event - without:.2f} of it"
    )


def rename_by_size(server, running):
    client = MongoClient(server.uri)
    medians = {}
    people = {}
    for size in (10, 100_000):
        people[size] = Person(running.url)
        people[size].sign_up(f"Size {size}", f"size{size}@acme.example")
        client.tenant_measure[f"org_size_{size}"].insert_many({"_id": n} for n in range(size))
    names = {10: "size-10", 100_000: "size-100000"}
    taken = {10: [], 100_000: []}
    for n in range(30):
        for size, person in people.items():
            path = f"/organizations/{names[size]}/rename"
            token = person.token(path)
            begin = time.perf_counter()
            person.send(path, token, organization_name=f"Size {size} {n}")
            taken[size].append(time.perf_counter() - begin)
            names[size] = f"size-{size}-{n}"
    medians = {size: statistics.median(values) for size, values in taken.items()}
    say("rename by HTTP, 10 documents", f"{medians[10] * 1000:.1f} ms")
    say(
        "rename by HTTP, 100,000 documents",
        f"{medians[100_000] * 1000:.1f} ms, ratio {medians[100_000] / medians[10]:.2f}",
    )
    client.close()


def cpu_per_page(running):
    person = Person(running.url)
    person.sign_up("Page", "page@acme.example")
    [worker] = workers_of(running)
    person.get("/organizations/page")
    before = cpu_seconds(worker)
    begin = time.perf_counter()
    for _ in range(500):
        assert person.get("/organizations/page").status_code == 200
    wall = time.perf_counter() - begin
    say("organization page, CPU of the worker", f"{(cpu_seconds(worker) - before) * 2:.1f} ms")
    say("organization page, wall, one client", f"{wall * 2:.1f} ms")


def load_against_the_floor(server, running):
    """Pages per second of one worker beside a bare Flask view with one ``find_one``, served in
    the same way by turns; medians. Needs wrk."""
    if shutil.which("wrk") is None:
        say("load", "not measured: apt-get install wrk")
        return
    person = Person(running.url)
    person.sign_up("Load", "load@acme.example")
    with MongoClient(server.uri) as client:
        client.bare.documents.replace_one({"_id": 1}, {"name": "x"}, upsert=True)
    view = ("--config", "python:tests.bare", "tests.bare:app")
    with portal(server, "measure", *view, workers=1, wait=False) as bare:
        wait_until(lambda: answers(bare.url))
        targets = {
            "bare view": (bare, "/", ""),
            "organization page": (running, "/organizations/load", cookies_of(person)),
            "list page": (running, "/organizations", cookies_of(person)),
            "log-in page": (running, "/login", ""),
        }
        seen = {name: [] for name in targets}
        for _ in range(3):
            for name, (served, path, cookie) in targets.items():
                seen[name].append(requests_under_load(served, path, cookie))
    floor = statistics.median(rate for rate, _, _ in seen["bare view"])
    for name, runs in seen.items():
        rate, p99, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
        say(
            f"{name}, 8 connections",
            f"{rate:.0f}/s ({rate / floor:.2f} of bare), p99 {p99:.0f} ms, CPU {cpu:.2f} ms",
        )


def pages_beside_slow_clients(running):
    """How long a page takes while many clients have sent half of a request."""
    person = Person(running.url)
    person.sign_up("Patient", "patient@acme.example")

    def page():
        return timed(lambda: person.get("/organizations/patient"))

    page()
    alone = [page() for _ in range(50)]
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            stack.enter_context(connect(running)).sendall(OF_REQUESTS["half a body"])
        beside = [page() for _ in range(50)]
    for name, taken in (("alone", alone), (f"beside {SLOW_CLIENTS} slow clients", beside)):
        median, worst = statistics.median(taken) * 1000, max(taken) * 1000
        say(f"organization page, {name}", f"median {median:.0f} ms, worst {worst:.0f} ms")


def requests_under_load(served, path, cookie):
    """Answers a second, their 99th percentile in ms, and the worker's CPU for each in ms."""
    [worker] = workers_of(served)
    before = cpu_seconds(worker)
    command = [
        "wrk",
        "-t1",
        "-c8",
        "-d6s",
        "--latency",
        "-H",
        f"Cookie: {cookie}",
        served.url + path,
    ]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in told, told
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", told).groups()
    answered = int(re.search(r"(\d+) requests in", told)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])
    p99 = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return rate, p99, (cpu_seconds(worker) - before) / answered * 1000


def cookies_of(person):
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.session.cookies)


def answers(url):
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def memory(server, running):
    [worker] = workers_of(running)
    say("gunicorn worker, resident", f"{resident_mb(worker):.0f} MB")
    say("mongod after all this, resident", f"{resident_mb(server.running.process.pid):.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        idle = mongod.start(Path(folder), "idle")
        say("mongod idle, resident", f"{resident_mb(idle.process.pid):.0f} MB")
        idle.stop()


def workers_of(running):
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    return wait_until(lambda: [int(pid) for pid in children.read_text().split()])


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def say(what, figure):
    print(f"{what:<50} {figure}", flush=True)


if __name__ == "__main__":
    main()
