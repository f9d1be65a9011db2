"""An organization that moves between two clusters: who carries it, and who writes meanwhile."""

import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote

from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal.app import create_app
from portal.clusters import managing as clusters
from portal.clusters.managing import Changes
from portal.database import connection
from portal.documents.organizations import MAIN_CLUSTER, Organization, Strategy
from portal.organizations.moving import managing, mover, starting, ways_back
from portal.organizations.moving.options import Options, Switch
from portal.organizations.moving.planning import Wish, plan_move
from portal.organizations.storage import tenant_of
from portal.settings import current
from portal.tenants import AsyncTenants, Tenants
from portal.web.context import RequestContext
from tests.factories import a_context, a_key, an_organization
from tests.faults import doomed
from tests.faults.lapse import let_leases_run_out
from tests.forking import processes
from tests.placing import documents_of
from tests.processes import wait_until
from tests.program import Program
from tests.rights import admit

EUROPE = "europe"
SLUG = "acme-corp"
REST_SECONDS = 0.02
UNIQUE = "holder"


def set_up(uri, strategy, documents, telling):
    """Be an operator who registers the second cluster, and has an organization with documents."""
    connection.prepare()
    clusters.add_cluster(EUROPE, Changes(uri), RequestContext())
    acme = an_organization("Acme Corp", strategy=strategy)
    tenant = tenant_of(acme)
    if documents:
        tenant.insert_many([{"_id": n, "text": "x" * 100} for n in range(documents)])
    if strategy == Strategy.COLLECTION:  # of the others one moves to a pool, which takes none
        tenant.create_index(UNIQUE, unique=True, sparse=True)
    key = a_key(acme, None, ["documents.read", "documents.write"])
    telling.send((acme.id, key))


def start(strategy, switch=Switch.VERIFIED):
    """Be an operator who moves it to the other cluster."""
    acme = Organization.objects.get(slug=SLUG)
    there = EUROPE if acme.placement.cluster == MAIN_CLUSTER else MAIN_CLUSTER
    planned = plan_move(acme, Wish(strategy, there)).planned
    starting.start_move(acme, planned, Options(switch), a_context())


def switch():
    managing.switch_move(SLUG, a_context())


def go_back():
    ways_back.go_back(SLUG, a_context())


def end_way_back():
    ways_back.end_way_back(SLUG, a_context())


def carry_moves(begun):
    """Be a worker without requests, for ever."""
    mover.start()
    begun.set()
    threading.Event().wait()


class Carrier:
    """A process that carries moves out until it is killed; at a step it may send itself a signal.
    ``begun`` is set once it looks for moves."""

    def __init__(self, active, **fates):
        given = {"fates": {f"{point} #1": signal for point, signal in fates.items()}}
        self.begun = processes.Event()
        self.process = processes.Process(
            target=doomed.work_on,
            args=(active, carry_moves, self.begun),
            kwargs=given,
            daemon=True,
        )
        self.process.start()

    def send(self, what):
        os.kill(self.process.pid, what)

    def end(self):
        if self.process.is_alive():
            self.send(signal.SIGKILL)
        self.process.join()


@dataclass
class Known:
    """What one writer knows: of what wasn't answered it knows that it may be, or not."""

    there: set = field(default_factory=set)
    gone: set = field(default_factory=set)
    open: set = field(default_factory=set)
    added: int = 0
    perhaps_added: int = 0
    paired: int = 0
    perhaps_paired: int = 0
    replaced: tuple = (0,)
    errors: Counter = field(default_factory=Counter)
    longest: float = 0


def write_until(active, uris, organization, key, stopped, begun, telling):
    """Be applications, by the library in both forms, the portal's own store and the data API: each
    inserts, replaces, adds, deletes, hands a unique key over, and changes two in a transaction."""
    app = create_app(active)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with Tenants(uris) as tenants:
        documents = tenants.by_id(organization)
        known = {name: Known() for name in ("library", "portal", "data API", "async")}
        record = Organization.objects.get(id=organization)
        deeds = {
            "library": _deeds(documents, "library"),
            "portal": _deeds(tenant_of(record), "portal"),
            "data API": _requests(app, key),
        }
        threads = [
            threading.Thread(target=_write, args=(known[name], each, stopped))
            for name, each in deeds.items()
        ]
        waiting = partial(asyncio.run, _write_async(uris, organization, known["async"], stopped))
        threads.append(threading.Thread(target=waiting))
        for thread in threads:
            thread.start()
        while not all(each.there and each.added for each in known.values()):
            if stopped.is_set():
                break
            time.sleep(0.02)
        begun.set()
        for thread in threads:
            thread.join()
    telling.send(known)


def _deeds(tenant, name):
    """A writer's deeds by PyMongo's methods, each with a number."""

    def hand_over(number):
        holders = f"{name} a", f"{name} b"
        giver, taker = holders if number % 2 else holders[::-1]

        def body(transaction):
            transaction.update_one({"_id": giver}, {"$unset": {UNIQUE: 1}}, upsert=True)
            transaction.update_one({"_id": taker}, {"$set": {UNIQUE: name}}, upsert=True)
            for one in ("left", "right"):
                transaction.update_one({"_id": f"{name} {one}"}, {"$inc": {"n": 1}}, upsert=True)

        tenant.with_transaction(body)

    return {
        "insert": lambda number: tenant.insert_one({"_id": f"{name} {number}"}),
        "add": lambda _: tenant.update_one({"_id": f"{name} sum"}, {"$inc": {"n": 1}}, upsert=True),
        "replace": lambda number: tenant.replace_one(
            {"_id": f"{name} last"}, {"n": number}, upsert=True
        ),
        "delete": lambda number: tenant.delete_one({"_id": f"{name} {number}"}),
        "pair": hand_over,
    }


def _requests(app, key):
    """Those of a program at the data API, which repeats what wasn't answered by the same key."""
    program, path = Program(app, key), f"/org/{SLUG}/documents"

    def ask(method, at, body):
        for_once = {"Idempotency-Key": str(ObjectId())}
        answer = program.ask(method, at, body, headers=for_once)
        while answer.status_code == 503:
            time.sleep(0.2)
            answer = program.ask(method, at, body, headers=for_once)
        assert answer.status_code in (200, 201), answer.text

    def path_of(i):
        return f"{path}/{quote(json.dumps(i))}"

    ask("POST", path, {"_id": "data API sum", "n": 0})
    return {
        "insert": lambda number: ask("POST", path, {"_id": f"data API {number}"}),
        "add": lambda _: ask("PATCH", path_of("data API sum"), {"$inc": {"n": 1}}),
        "delete": lambda number: ask("DELETE", path_of(f"data API {number}"), None),
    }


def _write(known, deeds, stopped):
    number = 0
    while not stopped.is_set():
        number += 1
        for kind, deed in deeds.items():
            if kind == "delete" and number % 3:
                continue
            with _answered(known, kind, number):
                deed(number)
        time.sleep(REST_SECONDS)


async def _write_async(uris, organization, known, stopped):
    number = 0
    async with AsyncTenants(uris) as tenants:
        tenant = tenants.by_id(organization)
        while not stopped.is_set():
            number += 1
            with _answered(known, "insert", number):
                await tenant.insert_one({"_id": f"async {number}"})
            with _answered(known, "add", number):
                one = {"_id": "async sum"}
                await tenant.update_one(one, {"$inc": {"n": 1}}, upsert=True)
            await asyncio.sleep(REST_SECONDS)


class _answered:  # noqa: N801 (a context manager, read as a word)
    """Notes what becomes of a deed."""

    def __init__(self, known, kind, number):
        self.known, self.kind, self.number = known, kind, number

    def __enter__(self):
        self.begun = time.monotonic()

    def __exit__(self, _, error, __):
        known, number, sure = self.known, self.number, error is None
        known.longest = max(known.longest, time.monotonic() - self.begun)
        if not sure:
            known.errors[f"{type(error).__name__}: {error}"[:120]] += 1
        if self.kind == "insert":
            (known.there if sure else known.open).add(number)
        elif self.kind == "delete":
            known.there.discard(number)
            (known.gone if sure else known.open).add(number)
            known.open -= {number} if sure else set()
        elif self.kind == "add":
            known.added += sure
            known.perhaps_added += not sure
        elif self.kind == "pair":
            known.paired += sure
            known.perhaps_paired += not sure
        else:
            known.replaced = (number,) if sure else (*known.replaced, number)
        return error is None or isinstance(error, Exception)


class Writers:
    """``write_until`` at work until the block ends."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self):
        self.stopped, begun = processes.Event(), processes.Event()
        self.told, telling = processes.Pipe(duplex=False)
        self.process = processes.Process(
            target=write_until, args=(*self.arguments, self.stopped, begun, telling), daemon=True
        )
        self.process.start()
        telling.close()
        wait_until(begun.is_set)
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.known = self.told.recv()
        self.told.close()
        self.process.join()

    def send(self, what):
        os.kill(self.process.pid, what)

    def check(self, documents):
        """Each acknowledged change is there, once; the number of them."""
        found = {document["_id"]: document for document in documents}
        total = 0
        for name, known in self.known.items():
            numbers = {
                int(i.removeprefix(f"{name} "))
                for i in found
                if isinstance(i, str) and i.removeprefix(f"{name} ").isdecimal()
            }
            assert known.there - known.open <= numbers, f"{name}: lost"
            assert not numbers - known.there - known.open, f"{name}: came back"
            added = found[f"{name} sum"]["n"]
            assert known.added, (name, known.errors)
            assert known.added <= added <= known.added + known.perhaps_added, (name, added, known)
            if known.paired:
                left, right = (found[f"{name} {one}"]["n"] for one in ("left", "right"))
                assert left == right
                assert known.paired <= left <= known.paired + known.perhaps_paired
                holders = [one for one in ("a", "b") if UNIQUE in found[f"{name} {one}"]]
                assert len(holders) == 1
                assert found[f"{name} last"]["n"] in known.replaced
            total += len(known.there) + len(known.gone) + known.added + known.paired
        return total

    @property
    def errors(self):
        return sum((known.errors for known in self.known.values()), Counter())


def examine(telling):
    """Be the doctor; what it says where it finds anything."""
    result = create_app(current()).test_cli_runner().invoke(args=["doctor"])
    telling.send(result.output[:5000] if result.exit_code else "")


def ask(active, deed, *arguments):
    """What a process tells that does the deed."""
    told, telling = processes.Pipe(duplex=False)
    with told, telling:
        life = doomed.live(active, deed, *arguments, telling)
        assert life.raised is None, life.raised
        return told.recv()


class Installation:
    """A portal's databases on two servers, with an organization on the first."""

    def __init__(self, home, europe, name, strategy, documents):
        self.home, self.europe = home, europe
        self.active = home.settings_of(name)
        names = self.active.master_db, self.active.tenant_db
        admit(europe.admin_uri, *names)
        self.client = MongoClient(home.admin_uri, uuidRepresentation="standard", tz_aware=True)
        self.there = MongoClient(europe.admin_uri, uuidRepresentation="standard", tz_aware=True)
        self.master = self.client[names[0]]
        self.tenants = {MAIN_CLUSTER: self.client[names[1]], EUROPE: self.there[names[1]]}
        self.organization, key = ask(self.active, set_up, europe.uri, strategy, documents)
        uris = {
            MAIN_CLUSTER: home.uri.replace("/?", f"/{names[0]}?", 1),
            EUROPE: europe.uri,
        }
        self.writers = Writers(self.active, uris, self.organization, key)
        self.carriers, self.waking = [], []

    def do(self, deed, *arguments):
        life = doomed.live(self.active, deed, *arguments)
        assert life.raised is None, life.raised

    def carry(self, **fates):
        self.carriers.append(Carrier(self.active, **fates))
        return self.carriers[-1]

    def moves(self, **wanted):
        try:
            return list(self.master.moves.find(wanted))
        except PyMongoError:  # it was killed just now
            return None

    def wait_for_end(self, seconds, **wanted):
        """Until no such move is open."""
        begun = time.monotonic()
        try:
            wait_until(lambda: self.moves(open=True, **wanted) == [], seconds)
        except AssertionError as error:
            error.add_note(f"{self.moves()} {self.master.organizations.find_one()}")
            raise
        return time.monotonic() - begun

    def seconds_ahead(self):
        """Of the first cluster's clock the second one's is so much ahead."""
        here, there = (
            each.admin.command("hello")["localTime"] for each in (self.client, self.there)
        )
        return (there - here).total_seconds()

    def time_passes(self):
        """Until all that somebody holds is anybody's."""
        self.master.moves.update_many({"open": True}, [{"$set": {"due_at": "$$NOW"}}])
        let_leases_run_out(self.master)

    def check(self, finding=None):
        """Nothing is lost, done twice or left over, and the doctor finds nothing, but for what is
        named; the number of acknowledged changes."""
        organization = self.master.organizations.find_one()
        assert organization.get("operation") is None
        tenant = self.tenants[organization["placement"]["cluster"]]
        stored = documents_of(tenant, organization, list(self.master.pools.find()))
        total = self.writers.check(stored)
        for cluster in self.tenants.values():
            tokens = cluster.client[f"{cluster.name}_internal"].moves
            assert tokens.count_documents({"attempt": {"$lt": 2**31}}) == 0
        told = ask(self.active, examine)
        if finding is None:
            assert told == "", told
        else:
            assert finding in told, told
            assert told.endswith("\n1 to look after.\n"), told
        return total

    def close(self):
        for carrier in self.carriers:
            carrier.end()
        for client in (self.client, self.there):
            for name in client.list_database_names():
                if name not in ("admin", "config", "local"):
                    client.drop_database(name)
            client.close()


@contextmanager
def installed(home, europe, strategy, documents):
    """An installation that goes when the block ends."""
    installation = Installation(home, europe, f"m_{ObjectId()}", strategy, documents)
    try:
        yield installation
    finally:
        installation.close()
