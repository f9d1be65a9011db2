"""People and programs that are at work all the while, and keep what was acknowledged to them."""

import itertools
import random
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass

import requests
from bson import ObjectId
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import logs, settings
from portal.app.parts import DOCUMENTS
from portal.database import connection
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.organizations.storage import tenant_of
from tests.forking import processes
from tests.placing import documents_of, homes
from tests.processes import wait_until
from tests.visitor import PASSWORD

EXPECTED = {200, 201, 202, 404, 409, 503}
PATIENCE_SECONDS = 100
USUAL_SECONDS, LONGEST_SECONDS = 5, 10
"""Of an answer; the longest of the one that each of them may wait for while the server is away, on
a machine with other work. That a request has 5 seconds is held by test_crashes."""


@dataclass(frozen=True)
class Deed:
    """Something that was acknowledged: when it was asked for, and when that was answered."""

    organization: str
    action: str
    name: str | None
    begun: float
    answered: float


class Customer:
    """Creates an organization, then renames, deletes, restores and purges it over and over.

    After an answer that leaves open what happened a patient one looks into the database until no
    operation runs there any more, as nobody else changes it; another creates an organization anew.
    Of several portals it asks each in turn.
    """

    def __init__(self, urls, master, number, *, patient):
        self.urls, self.master, self.patient = itertools.cycle(urls), master, patient
        self.deeds, self.unsure = [], Counter()
        self.statuses, self.seconds, self.settling = Counter(), [], []
        self.names = (f"Customer {number} name {n}" for n in itertools.count())
        self.session = requests.Session()
        # A server may end a connection that was idle just when it is used again.
        self.session.headers["Connection"] = "close"
        email = f"customer{number}@acme.example"
        organization = {"organization_name": next(self.names), "email": email, "password": PASSWORD}
        self._ask("post", "/org/create", organization)
        log_in = self._ask("post", "/admin/login", {"email": email, "password": PASSWORD})
        self.session.headers["Authorization"] = f"Bearer {log_in.json()['token']}"
        self.account = master.accounts.find_one({"email": email})["_id"]
        self._settle()

    def act(self):
        current = self.current
        if current is None:
            name = next(self.names)
            self._do("organization.created", name, "post", "/org/create", organization_name=name)
        elif current["state"] == "active":
            self._act_on_active(current["slug"])
        else:
            self._act_on_trashed(current["_id"])

    def _act_on_active(self, slug):
        what = random.choices(["rename", "trash", "purge"], [7, 3, 1])[0]
        if what == "rename":
            name = next(self.names)
            path = f"/org/update/{slug}"
            self._do("organization.renamed", name, "put", path, new_organization_name=name)
        elif what == "trash":
            self._do("organization.trashed", None, "delete", f"/org/delete/{slug}")
        else:
            self._do("organization.purged", None, "delete", f"/org/delete/{slug}?purge=true")

    def _act_on_trashed(self, organization_id):
        what = random.choices(["restore", "restore as", "purge"], [5, 3, 1])[0]
        path = f"/org/trash/{organization_id}"
        if what == "purge":
            self._do("organization.purged", None, "delete", path)
        else:
            name = next(self.names) if what == "restore as" else self.current["name"]
            path += "/restore"
            self._do("organization.restored", name, "post", path, organization_name=name)

    def _do(self, action, name, method, path, **body):
        begun = time.monotonic()
        answer = self._ask(method, path, body or None)
        if answer.ok:
            subject = self.current["_id"] if self.current else answer.json()["organization"]["id"]
            self.deeds.append(Deed(str(subject), action, name, begun, time.monotonic()))
        else:
            self.unsure[action] += answer.status_code == 503
        self._settle()

    def _ask(self, method, path, body):
        begin = time.monotonic()
        answer = self.session.request(method, next(self.urls) + path, json=body, timeout=30)
        self.seconds.append(time.monotonic() - begin)
        self.statuses[answer.status_code] += 1
        return answer

    def _settle(self):
        """See what there is now; a patient one waits until no operation runs there."""
        begin = time.monotonic()
        if self.patient:
            self.current = wait_until(self._latest, PATIENCE_SECONDS)[0]
            self.settling.append(time.monotonic() - begin)
        else:
            [self.current] = self._latest() or [None]

    def _latest(self):
        """Its latest organization, or none, in a list; nothing while that can't be known."""
        mine = {"created_by": self.account, "state": {"$ne": "purged"}}
        try:
            found = list(self.master.organizations.find(mine).sort("created_at", -1).limit(1))
        except PyMongoError:
            return None
        return None if any(o.get("operation") for o in found) else found or [None]


class Crowd:
    """Customers at work, each on a thread, until the block ends."""

    def __init__(self, url, master, count=4, *, beside=()):
        urls = (url, *beside)
        self.customers = [Customer(urls, master, n, patient=n % 2 == 0) for n in range(count)]
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(c,)) for c in self.customers]
        self.failed = []

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()
        for thread in self.threads:
            thread.join()

    def _work(self, customer):
        try:
            while not self.stopped.is_set():
                customer.act()
        except BaseException as error:  # told in the test's thread
            self.failed.append(error)
            raise

    def get_going(self, deeds=20):
        """Wait until so many more were acknowledged."""
        enough = len(self.deeds) + deeds
        wait_until(lambda: len(self.deeds) >= enough)

    def wait_until_spread(self, *clusters, each=2):
        """Wait until so many have an organization on each of the clusters."""

        def spread():
            current = [customer.current or {} for customer in self.customers]
            found = Counter(one.get("placement", {}).get("cluster") for one in current)
            return all(found[cluster] >= each for cluster in clusters)

        wait_until(spread)

    def stop(self):
        self.stopped.set()

    def has_left(self):
        return not any(thread.is_alive() for thread in self.threads)

    @property
    def deeds(self):
        return [deed for customer in self.customers for deed in customer.deeds]

    def downtime_since(self, moment):
        """Until the first of what was asked for since then was acknowledged, in seconds."""
        deeds = wait_until(lambda: [d.answered for d in self.deeds if d.begun > moment], 60)
        return min(deeds) - moment

    def wait_for_503(self):
        answered = self._statuses[503]
        wait_until(lambda: self._statuses[503] > answered)

    @property
    def _statuses(self):
        return sum((customer.statuses for customer in self.customers), Counter())

    def check(self, master):
        """Nothing that was acknowledged is lost, nothing happened twice, all answers came in time."""
        assert self.failed == []
        assert set(self._statuses) <= EXPECTED, self._statuses
        late = [s for c in self.customers for s in c.seconds if s >= USUAL_SECONDS]
        assert len(late) <= len(self.customers), late
        assert max(late, default=0) < LONGEST_SECONDS
        events = Counter()
        for event in master.audit_events.find():
            name = event["details"].get("name")
            events[str(event["chain"]), event["action"], name] += 1
        for customer in self.customers:
            for deed in customer.deeds:
                if deed.name and deed.action != "organization.restored":
                    assert events[deed.organization, deed.action, deed.name] == 1, deed
            for action in ("organization.trashed", "organization.restored", "organization.purged"):
                acknowledged = [d for d in customer.deeds if d.action == action]
                chains = {
                    str(o["_id"])
                    for o in master.organizations.find({"created_by": customer.account})
                }
                done = sum(
                    n for (chain, a, _), n in events.items() if a == action and chain in chains
                )
                assert len(acknowledged) <= done <= len(acknowledged) + customer.unsure[action], (
                    action
                )

    @property
    def figure(self):
        settling = sorted(s for c in self.customers for s in c.settling)
        return (
            f"{len(self.deeds)} operations acknowledged, 0 lost, 0 stuck; {self._statuses[503]} answered 503; "
            f"longest answer {max(s for c in self.customers for s in c.seconds):.1f} s; "
            f"unfinished ones settled after {_percentiles(settling)}"
        )


def _percentiles(seconds):
    late = [s for s in seconds if s > 0.5] or [0, 0]
    cuts = statistics.quantiles(late * 2, n=100, method="inclusive")
    return f"p50 {cuts[49]:.1f} s, p99 {cuts[98]:.1f} s"


@dataclass(frozen=True)
class Written:
    organization: ObjectId
    document: ObjectId
    at: float


def write_until(active, stopped, begun, telling):
    """Be the software that keeps its customers' documents in the tenant collections: in a process
    of its own, insert into any that there is, and tell what was acknowledged."""
    settings.activate(active)
    logs.configure()
    connection.connect(active, DOCUMENTS, overdue=())
    written = []
    threads = [threading.Thread(target=_write, args=(stopped, begun, written)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    telling.send(written)


def _write(stopped, begun, written):
    while not stopped.is_set():
        try:
            organization = _any_active()
            if organization is None:
                continue
            document = {"_id": ObjectId(), "organization": organization.id}
            tenant_of(organization).insert_one(document)
        except (PortalError, PyMongoError, MongoEngineException):
            continue  # not acknowledged
        written.append(Written(organization.id, document["_id"], time.monotonic()))
        begun.set()


def _any_active():
    one = [
        {
            "$match": {
                "state": "active",
                "$or": [{"placement.uuid": {"$ne": None}}, {"placement.pool": {"$ne": None}}],
            }
        },
        {"$sample": {"size": 1}},
    ]
    found = next(Organization._get_collection().aggregate(one), None)
    return found and Organization._from_son(found)


class Writers:
    """``write_until`` at work from its first write until the block ends."""

    def __init__(self, active):
        self.active = active

    def __enter__(self):
        self.stopped, begun = processes.Event(), processes.Event()
        self.told, telling = processes.Pipe(duplex=False)
        arguments = (self.active, self.stopped, begun, telling)
        self.process = processes.Process(target=write_until, args=arguments)
        self.process.start()
        telling.close()
        wait_until(begun.is_set)
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.ended = time.monotonic()
        self.written = self.told.recv()
        self.told.close()
        self.process.join()

    def check(self, master, tenant, elsewhere=()):
        """Each acknowledged document is in its organization's collection and in no other."""
        places, pools = {}, list(master.pools.find())
        for organization in master.organizations.find({"state": {"$ne": "purged"}}):
            [home] = [
                each for each, is_here in homes(tenant, elsewhere)
                if is_here(organization["placement"])
            ]  # fmt: skip
            for document in documents_of(home, organization, pools):
                assert document["organization"] == organization["_id"]
                assert document["_id"] not in places
                places[document["_id"]] = organization["_id"]
        purged = set(master.organizations.distinct("_id", {"state": "purged"}))
        lost = [
            w for w in self.written
            if w.organization not in purged and places.get(w.document) != w.organization
        ]  # fmt: skip
        assert not lost

    @property
    def figure(self):
        times = sorted([*(w.at for w in self.written), self.ended])
        gap = max(after - before for before, after in itertools.pairwise(times))
        return f"{len(self.written)} writes acknowledged, 0 lost, 0 strayed; none for {gap:.1f} s at most"
