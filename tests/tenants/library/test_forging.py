"""What somebody may try in a shared collection: to be another organization, to see what is stored,
to keep what an own collection refuses."""

import pymongo
import pytest
from bson import Regex
from pymongo.errors import OperationFailure, WriteError

from tests.tenants.library.conftest import library

errors = library("errors")


@pytest.fixture
def neighbour(fake):
    """The id of another organization in the pool."""
    return fake.create("neighbour", "shared")


@pytest.fixture
def store(tenants, fake, neighbour):
    """The documents of one that tries."""
    store = tenants.by_id(fake.create("acme", "shared"))
    store.insert_one({"_id": 1, "n": 1})
    return store


@pytest.fixture
def theirs(tenants, neighbour):
    return tenants.by_id(neighbour)


def test_no_variable_stands_for_the_document(store, theirs, neighbour):
    forged = {"CURRENT": {"_id": {"o": neighbour, "i": "forged"}}}
    for write in (
        lambda: store.replace_one({"n": 2}, {"n": 3}, upsert=True, let=forged),
        lambda: store.find_one_and_replace({"n": 2}, {"n": 3}, upsert=True, let=forged),
        lambda: store.update_one({"n": 2}, [{"$set": {"n": 3}}], upsert=True, let=forged),
        lambda: store.bulk_write([pymongo.ReplaceOne({"n": 2}, {"n": 3}, True)], let=forged),
        lambda: store.aggregate([{"$match": {"n": 1}}], let=forged),
        lambda: store.find({"n": 1}, let=forged).to_list(),
    ):
        with pytest.raises(errors.QueryRefused, match="CURRENT"):
            write()
    assert theirs.find().to_list() == []
    assert store.find().to_list() == [{"_id": 1, "n": 1}]


def test_a_replacement_that_is_inserted_belongs_to_its_organization(store, theirs):
    told = store.replace_one({"n": 2}, {"n": 3}, upsert=True)
    assert store.find_one({"n": 3})["_id"] == told.upserted_id
    assert not store.replace_one({"n": 3}, {"n": 4}, upsert=True).upserted_id
    assert store.find_one({"n": 4})["_id"] == told.upserted_id
    assert theirs.find().to_list() == []


@pytest.mark.parametrize("unstorable", [[1], [], Regex("a"), [{"o": 1, "i": 2}]], ids=repr)
def test_a_pipeline_makes_no_id_that_an_own_collection_refuses(store, unstorable):
    made = [{"$set": {"_id": {"$literal": unstorable}}}]
    with pytest.raises(WriteError) as raised:
        store.update_one({"n": 2}, made, upsert=True)
    assert raised.value.code in (53, 54)
    assert store.find().to_list() == [{"_id": 1, "n": 1}]


def test_nothing_tells_how_much_others_store(store):
    for kind in ("recordId", "indexKey"):
        shown = {"told": {"$meta": kind}}
        for read in (
            lambda shown=shown: store.find({}, shown).to_list(),
            lambda shown=shown: store.find({}, {"in": shown}).to_list(),
            lambda shown=shown: store.aggregate([{"$set": shown}]),
            lambda shown=shown: store.find_one_and_delete({}, shown),
        ):
            with pytest.raises(errors.NeedsOwnPlacement, match=kind):
                read()


def test_errors_tell_nothing_of_what_is_stored(store):
    for refused in (
        lambda: store.find({"n": {"$near": [1, 1]}}).to_list(),
        lambda: store.find({}, hint="none").to_list(),
        lambda: store.find({}, {"_id.x": 1, "_id.x.y": 1}).to_list(),
        lambda: store.aggregate([{"$sort": {"$natural": 1}}]),
        lambda: store.update_one({"_id": 1}, {"$set": {"_id.x": 2}}),
        lambda: store.update_one({"_id": 1}, [{"$set": {"_id": 2}}]),
        lambda: store.insert_one({"_id": 1}),
    ):
        with pytest.raises(OperationFailure) as raised:
            refused()
        told = f"{raised.value} {raised.value.details}"
        assert "ObjectId(" not in told
        assert "i: " not in told.replace("_id: ", "")
        assert "i.x" not in told


def test_an_id_that_is_no_array_has_neither_parts_nor_elements(store):
    assert store.find_one({}, {"_id": {"$elemMatch": {"$gt": 0}}}) == {}
    assert store.find_one({}, {"_id": {"$slice": 1}}) == {"_id": 1, "n": 1}
