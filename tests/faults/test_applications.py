"""An application goes on, whatever happens to organizations, portals and primaries."""

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack

import pytest
import requests
from bson import ObjectId
from pymongo import MongoClient

from portal.applications import managing
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.tenants.testing import FakePortal
from portal.web.context import RequestContext
from tests.environments import TOP, build_wheel, make_environment
from tests.factories import a_context, an_organization, fresh, the_owner
from tests.faults.servers import ThreeMembers
from tests.faults.shop import WRITERS, Customers, shop
from tests.processes import portal, wait_until
from tests.visitor import PASSWORD

NAMES = ("Acme Corp", "Acme & Daughters")
GONE = 410
AWAY = 503
LONG_SECONDS = 300
LONG_RENAMES = 200
LONG_TRASHINGS = 20
PORTAL_STOPPED_SECONDS = 120
PRIMARIES_KILLED = 4


@pytest.fixture(scope="session")
def shop_python(tmp_path_factory):
    """Python in an environment with the library's wheel, FastAPI and its server alone."""
    wheel = build_wheel(tmp_path_factory.mktemp("wheels"))
    needs = ("pymongo", "fastapi", "uvicorn")
    return make_environment(tmp_path_factory.mktemp("shop"), wheel, *needs)


@pytest.fixture
def application_uri(admin):
    yield managing.add_application("shop", {"main": admin}, RequestContext()).uri
    managing.remove_application("shop", {"main": admin}, RequestContext())


def check_each_placed_once(collection, customers):
    """Each order that was acknowledged is there exactly once, and no other."""
    there = Counter(order["_id"] for order in collection.find({"title": {"$exists": True}}))
    acknowledged = {number for _, number in customers.placed}
    assert len(acknowledged) == len(customers.placed)
    assert acknowledged <= there.keys()
    # One that was not acknowledged may be there: its answer was lost, or its customer stopped.
    assert len(there.keys() - acknowledged) <= 8


def rename(organization, times):
    by_owner = a_context(the_owner(organization))
    for n in range(times):
        rename_organization(fresh(organization), NAMES[(n + 1) % 2], by_owner)


def nothing_is_written_in_the_trash(trash, restore, tenant_db, customers):
    """Not one document is there after the restore that wasn't at its beginning, though all
    customers have tried: so no order that was acknowledged went there."""
    collection = tenant_db[trash()]
    before, enough = collection.count_documents({}), customers.refused[GONE] + WRITERS
    wait_until(lambda: customers.refused[GONE] >= enough)
    assert collection.count_documents({}) == before
    restore()


def trash_and_restore(organization, tenant_db, customers, times):
    by_owner = a_context(the_owner(organization))

    def trash():
        trashed = trash_organization(fresh(organization), None, by_owner)
        return trashed.placement.collection

    def restore():
        restore_organization(fresh(organization), NAMES[0], by_owner)

    for _ in range(times):
        nothing_is_written_in_the_trash(trash, restore, tenant_db, customers)


@pytest.mark.processes
@pytest.mark.timeout(180)
def test_orders_are_placed_once_whatever_happens_to_the_organization(
    shop_python, application_uri, tenant_db, tmp_path, figure
):
    """Without any portal: the application doesn't notice."""
    organization = an_organization(NAMES[0])
    with (tmp_path / "shop.log").open("w") as log, shop(shop_python, application_uri, log) as url:
        with Customers(url, organization.slug) as customers:
            customers.more(50)
            rename(organization, 10)
            customers.more(50)
            assert not customers.refused
            trash_and_restore(organization, tenant_db, customers, 2)
            customers.more(50)
    assert set(customers.refused) <= {GONE}
    check_each_placed_once(tenant_db[fresh(organization).placement.collection], customers)
    figure(
        f"{len(customers.placed)} orders, refused in the trash {customers.refused[GONE]} times, "
        f"longest wait of a customer {customers.longest_gap:.2f} s"
    )


@pytest.mark.processes
@pytest.mark.timeout(180)
def test_an_order_may_have_any_number_and_is_told_when_to_be_sent_again(
    shop_python, server, tmp_path
):
    def send(path, **body):
        return requests.post(f"{url}/acme-corp/orders{path}", json=body, timeout=60)

    with ExitStack() as everything:
        log = everything.enter_context((tmp_path / "shop.log").open("w"))
        fake = everything.enter_context(FakePortal(server.admin_uri))
        fake.limit(fake.create("acme-corp"), documents=3)
        url = everything.enter_context(shop(shop_python, fake.uri, log))
        assert send("", number="1", title="A thing").json() == {"status": "placed"}
        assert send("/1/ship").json() == {"shipped": 1}
        assert send("", number="shipped", title="A thing").json() == {"status": "placed"}
        refused = send("", number="2", title="A thing")
        assert (refused.status_code, refused.headers["Retry-After"]) == (AWAY, "1")
        fake.trash("acme-corp")
        assert requests.get(f"{url}/acme-corp/orders", timeout=60).status_code == GONE


def test_the_application_of_the_docs_is_small():
    assert len((TOP / "docs" / "shop.py").read_text().splitlines()) < 80


@pytest.fixture
def three_members(tmp_path):
    server = ThreeMembers(tmp_path)
    yield server
    server.end()


class Owner:
    """A program of the organization's owner, with the portal's API."""

    def __init__(self, url, master_db):
        self.url, self.master_db, self.renamed = url, master_db, 0
        account = {"email": "mara@acme.example", "password": PASSWORD}
        wait_until(lambda: self._answer("create", {"organization_name": NAMES[0], **account}))
        token = wait_until(lambda: self._answer("login", account))["token"]
        self.headers = {"Authorization": f"Bearer {token}"}
        self.id = str(master_db.organizations.find_one({"name": NAMES[0]})["_id"])

    def _answer(self, what, body):
        """The answer; nothing while the portal is too busy."""
        path = {"create": "/org/create", "login": "/admin/login"}[what]
        answer = requests.post(f"{self.url}{path}", json=body, timeout=30)
        return None if answer.status_code >= 500 else answer.json()

    def change(self, method, path, done, body=None):
        """Until it is done, whatever is killed meanwhile."""
        answers = Counter()

        def is_done():
            answer = self._ask(method, path, body)
            answers[answer] += 1
            return answer.partition(" ")[0] in done

        try:
            wait_until(is_done)
        except AssertionError as error:
            error.add_note(f"{method} {path}: {answers}")
            raise

    def _ask(self, method, path, body):
        """Its status, and what is told where that isn't success."""
        try:
            answer = requests.request(
                method, self.url + path, json=body or {}, headers=self.headers, timeout=30
            )
        except requests.RequestException as error:
            return type(error).__name__
        return str(answer.status_code) if answer.ok else f"{answer.status_code} {answer.text}"

    @property
    def name(self):
        """The organization's name, as it was last given."""
        return NAMES[self.renamed % 2]

    def rename(self):
        self.renamed += 1
        # 409: an earlier try was carried out, or is still.
        body = {"new_organization_name": self.name}
        self.change("PUT", f"/org/update/by-id/{self.id}", ("200", "409"), body)
        self._await("active")

    def trash(self):
        """The name of its collection then."""
        self.change("DELETE", f"/org/delete/by-id/{self.id}", ("200", "404", "409"))
        return self._await("trashed")["placement"]["collection"]

    def restore(self):
        body = {"organization_name": self.name}
        self.change("POST", f"/org/trash/{self.id}/restore", ("200", "409"), body)
        self._await("active")

    def _await(self, state):
        """The stored organization, once it has its name and is in that state."""

        def find():
            wanted = {"_id": ObjectId(self.id), "name": self.name, "state": state}
            return self.master_db.organizations.find_one({**wanted, "operation": None})

        return wait_until(find)


def done_to_organizations(master_db):
    """The number of times that each thing was done, by their audit trails."""
    return Counter(event["action"] for event in master_db.audit_events.find({}, {"action": 1}))


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_orders_are_placed_once_for_minutes_while_everything_happens(
    shop_python, three_members, tmp_path, figure
):
    three_members.settings_of("shop")
    began = time.monotonic()
    with ExitStack() as everything:
        log = everything.enter_context((tmp_path / "shop.log").open("w"))
        running = everything.enter_context(portal(three_members, "shop", stderr=log))
        client = everything.enter_context(MongoClient(three_members.admin_uri))
        tenants = client["tenant_shop"]  # which has the library's own collections, too
        owner = Owner(running.url, client["master_shop"])
        uri = an_application_of(three_members, "shop")
        url = everything.enter_context(shop(shop_python, uri, log))
        with Customers(url, "acme-corp") as customers:
            customers.more(100)
            for killed in range(PRIMARIES_KILLED):
                for _ in range(LONG_RENAMES // PRIMARIES_KILLED):
                    owner.rename()
                for _ in range(LONG_TRASHINGS // PRIMARIES_KILLED):
                    nothing_is_written_in_the_trash(owner.trash, owner.restore, tenants, customers)
                port = three_members.kill_primary()
                customers.more(100)
                three_members.start(port)
                wait_until(three_members.all_are_well)
                figure(f"killed {killed + 1}: {dict(customers.refused)}")
            customers.more(100)
            refused = customers.refused.copy()
            running.kill()
            stopped = time.monotonic()
            while time.monotonic() - stopped < PORTAL_STOPPED_SECONDS:
                customers.more(100)
            assert customers.refused == refused, "the portal was stopped, and it was noticed"
            while time.monotonic() - began < LONG_SECONDS:
                customers.more(100)
        assert set(customers.refused) <= {GONE, AWAY}
        done = done_to_organizations(owner.master_db)
        assert done["organization.renamed"] == LONG_RENAMES
        assert done["organization.trashed"] == done["organization.restored"] == LONG_TRASHINGS
        [name] = tenants.list_collection_names(filter={"name": {"$regex": "^org_"}})
        check_each_placed_once(tenants[name], customers)
    figure(
        f"{len(customers.placed)} orders in {time.monotonic() - began:.0f} s, refused "
        f"{dict(customers.refused)}, longest wait of a customer {customers.longest_gap:.1f} s"
    )


def an_application_of(server, name):
    """The URI of an application, as the command prints it."""
    environment = {
        "MONGO_URI": server.uri,
        "MASTER_DB": f"master_{name}",
        "TENANT_DB": f"tenant_{name}",
        "JWT_SECRET": server.settings["jwt_secret"],
        "SECRET_KEY": server.settings["secret_key"],
        "MONGO_ADMIN_URI": server.admin_uri,
    }
    told = subprocess.run(
        [sys.executable, "-m", "flask", "applications", "add", name],
        cwd=TOP, env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    [uri] = [line for line in told.stdout.splitlines() if line.startswith("mongodb://")]
    return uri
