"""The library needs no right that an application's MongoDB user hasn't."""

import pytest
from pymongo import DeleteOne, InsertOne, UpdateOne

from portal.applications import managing
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.tenants import AsyncTenants, Tenants
from portal.tenants.errors import Trashed
from portal.web.context import RequestContext
from tests.factories import a_context, an_organization, fresh
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
