"""The library needs no right that an application's MongoDB user hasn't."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import OperationFailure

from portal.applications import managing
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.tenants import AsyncTenants, Tenants
from portal.tenants.errors import Trashed
from portal.web.context import RequestContext
from tests.factories import a_context, an_organization, fresh
from tests.processes import wait_until
from tests.tenants.library.conftest import FORMS, Blocking, Loop
from tests.tenants.library.works import in_a_loop


@pytest.fixture
def organization(app):
    return an_organization("Acme Corp")


@pytest.fixture
def uri(app, admin):
    return managing.add_application("shop", {"main": admin}, RequestContext()).uri


@pytest.fixture
def acme(uri, organization):
    with Tenants(uri) as tenants:
        yield tenants["acme-corp"]


def test_it_reads_and_writes(acme):
    acme.insert_one({"_id": 1, "n": 1})
    acme.insert_many([{"_id": n, "n": n} for n in range(2, 9)])
    assert acme.update_one({"_id": 1}, {"$set": {"a": 1}}).modified_count == 1
    assert acme.update_many({"n": {"$lt": 4}}, {"$inc": {"n": 10}}).modified_count == 3
    acme.replace_one({"_id": 2}, {"n": 0}, upsert=True)
    assert acme.delete_one({"_id": 3}).deleted_count == 1
    assert acme.delete_many({"_id": {"$gt": 6}}).deleted_count == 2
    acme.bulk_write(
        [InsertOne({"_id": 9}), UpdateOne({"_id": 9}, {"$set": {"n": 9}}), DeleteOne({"_id": 4})]
    )
    assert acme.find_one_and_update({"_id": 9}, {"$set": {"b": 1}})["n"] == 9
    assert acme.count_documents({}) == 5
    assert acme.estimated_document_count() == 5
    assert [found["_id"] for found in acme.find(sort=[("_id", -1)], limit=2)] == [9, 6]
    assert set(acme.distinct("a")) == {1}
    assert len(list(acme.aggregate([{"$match": {}}]))) == 5  # fmt: skip


def test_it_watches(acme):
    with acme.watch(max_await_time_ms=100) as stream:
        acme.insert_one({"_id": "seen"})
        assert next(stream)["documentKey"] == {"_id": "seen"}


def test_it_manages_indexes(acme):
    name = acme.create_index("n")
    assert name in acme.index_information()
    acme.drop_index(name)


def test_it_writes_in_transactions(acme):
    with acme.transaction() as several:
        several.insert_one({"_id": 1})
        several.insert_one({"_id": 2})
    assert acme.count_documents({}) == 2


def test_it_follows_a_rename_and_stops_in_the_trash(acme, organization):
    acme.insert_one({"_id": 1})
    rename_organization(organization, "Other", a_context())
    acme.insert_one({"_id": 2})
    assert acme.count_documents({}) == 2
    trash_organization(fresh(organization), None, a_context())
    with pytest.raises(Trashed):
        acme.insert_one({"_id": 3})


def test_its_asynchronous_form_needs_no_more(uri, organization):
    async def use():
        async with AsyncTenants(uri) as tenants:
            acme = tenants["acme-corp"]
            await acme.insert_one({"_id": 1})
            return await acme.count_documents({})

    assert in_a_loop(use()) == 1


# Rotation


@pytest.fixture(params=FORMS)
def connect(request):
    """Makes ``Tenants``, or ``AsyncTenants`` that blocks."""
    with ExitStack() as stack:

        def make(uri):
            if request.param == "sync":
                return stack.enter_context(Tenants(uri))
            loop = Loop()
            stack.callback(loop.close)
            tenants = Blocking(AsyncTenants(uri), loop)
            stack.callback(tenants.close)
            return tenants

        yield make


class Worker:
    """Does all that an application does, again and again."""

    def __init__(self, store, number):
        self.store, self.own, self.rounds = store, {"_id": number}, 0

    def work(self, ended):
        store, more = self.store, {"$inc": {"n": 1}}
        while not ended.is_set():
            name = f"{self.own['_id']}-{self.rounds}"
            store.insert_one({"_id": name})
            store.insert_many([{"_id": f"{name}-{n}"} for n in "ab"])
            store.update_one(self.own, more)
            store.update_many(self.own, more)
            store.find_one_and_update(self.own, more)
            store.with_transaction(lambda several: several.update_one(self.own, more))
            store.count_documents({})
            assert store.find_one(self.own)["n"] == 4 * (self.rounds + 1)
            assert list(store.aggregate([{"$match": self.own}, {"$count": "n"}])) == [{"n": 1}]
            self.rounds += 1


def test_a_rotation_under_way_fails_no_operation(connect, uri, organization, admin):
    current = [uri]
    store = connect(lambda: current[0])["acme-corp"]
    store.insert_many([{"_id": n, "n": 0} for n in range(500)])
    begun = store.find({"_id": {"$lt": 500}}, batch_size=50)
    read = [next(begun)]
    workers, ended = [Worker(store, n) for n in range(4)], threading.Event()
    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(each.work, ended) for each in workers]

        def all_go_on():
            reached = [each.rounds + 3 for each in workers]
            wait_until(
                lambda: (
                    any(each.done() for each in working)
                    or all(each.rounds >= n for each, n in zip(workers, reached, strict=True))
                )
            )

        try:
            for _ in range(2):
                all_go_on()
                made = managing.rotate_application("shop", {"main": admin}, RequestContext())
                current[0] = made.uri
                managing.finish_rotation("shop", {"main": admin}, RequestContext())
            all_go_on()
        finally:
            ended.set()
        for each in working:
            each.result()
    read += begun
    assert [each["_id"] for each in read] == list(range(500))
    assert store.count_documents({"_id": {"$type": "string"}}) == sum(
        3 * each.rounds for each in workers
    )


def test_who_gets_no_other_uri_is_told_and_not_asked_for_each_operation(
    connect, uri, organization, admin
):
    asked = []
    store = connect(lambda: asked.append(1) or uri)["acme-corp"]
    store.insert_one({"_id": 1})
    assert len(asked) == 1
    managing.rotate_application("shop", {"main": admin}, RequestContext())
    managing.finish_rotation("shop", {"main": admin}, RequestContext())
    for _ in range(20):
        with pytest.raises(OperationFailure):
            store.insert_one({"_id": 2})
    assert 1 < len(asked) < 20


def test_a_process_that_only_reports_asks_for_another_uri_itself(
    connect, uri, organization, admin, tenant_db
):
    """And keeps what it has to report where the application's function fails."""
    answers = [uri]
    tenants = connect(lambda: answers[0] or answers[1])
    tenants["acme-corp"].insert_one({"_id": 1})
    made = managing.rotate_application("shop", {"main": admin}, RequestContext())
    managing.finish_rotation("shop", {"main": admin}, RequestContext())
    reports = admin[f"{tenant_db.name}_reports"].usage
    reports.delete_many({})
    answers[0] = ""
    tenants._directory.reporting.reporter.flush()
    assert reports.count_documents({}) == 0
    answers[0] = made.uri
    tenants.close()
    [row] = [row for batch in reports.find() for row in batch["rows"]]
    assert (row["organization"], row["operations"]) == (organization.id, 1)
