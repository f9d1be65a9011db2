"""Writing an organization's documents."""

import sys
import threading
import time

import bson
import pymongo
import pytest
from bson import Int64, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteError

from tests.tenants.library.conftest import library
from tests.tenants.library.works import at_once, ids, own_collection, told

errors = library("errors")
PartialWrite = errors.PartialWrite


CODEC = CodecOptions(
    document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


@pytest.fixture
def switching():
    """Has threads take turns as often as can be."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_a_document_without_an_id_gets_one_as_by_pymongo(store):
    document = {"a": 1}
    document_id = store.insert_one(document).inserted_id
    assert isinstance(document_id, ObjectId)
    assert document == {"a": 1, "_id": document_id}
    ids = store.insert_many([{"a": 1}, {"_id": None}, {"_id": 7}]).inserted_ids
    assert ids[1:] == [None, 7]
    encoded = store.insert_one(RawBSONDocument(bson.encode({"raw": True}))).inserted_id
    assert store.find_one({"raw": True}) == {"_id": encoded, "raw": True}
    assert store.count_documents({}) == 5


def test_writes_tell_what_they_did(store):
    store.insert_many({"_id": n, "a": n} for n in range(5))
    assert told(store.update_one({"a": {"$gt": 2}}, {"$inc": {"b": 1}})) == (1, 1)
    assert told(store.update_one({"_id": 0}, [{"$set": {"b": {"$add": ["$a", 5]}}}])) == (1, 1)
    assert told(store.update_one({"_id": 0}, {"$set": {"b": 5}})) == (1, 0)
    assert told(store.update_one({"_id": 9}, {"$set": {"b": 5}})) == (0, 0)
    assert told(store.replace_one({"_id": 1}, {"c": 1})) == (1, 1)
    assert store.find_one(1) == {"_id": 1, "c": 1}
    assert store.delete_one({"_id": 1}).deleted_count == 1
    assert store.delete_one({"_id": 1}).deleted_count == 0
    assert told(store.update_many({"a": {"$gte": 3}}, {"$set": {"d": 1}})) == (2, 2)
    assert store.delete_many({"d": 1}).deleted_count == 2
    assert ids(store.find()) == [0, 2]


def test_an_upsert_inserts_what_nothing_matched(store):
    for n, write in enumerate((store.update_one, store.update_many)):
        inserted = write({"_id": n}, {"$inc": {"n": 1}}, upsert=True)
        assert (inserted.upserted_id, inserted.matched_count) == (n, 0)
        assert write({"_id": n}, {"$inc": {"n": 1}}, upsert=True).upserted_id is None
    assert store.replace_one({"_id": 2}, {"n": 2}, upsert=True).upserted_id == 2
    assert list(store.find()) == [{"_id": n, "n": 2} for n in range(3)]


def test_array_filters_and_hints_are_pymongos(store):
    store.insert_one({"_id": 1, "a": [1, 5, 9]})
    for write in (store.update_one, store.update_many):
        changed = write(
            {"_id": 1}, {"$inc": {"a.$[x]": 10}}, array_filters=[{"x": {"$gt": 4}}], hint="_id_"
        )
        assert changed.modified_count == 1
    assert store.find_one(1)["a"] == [1, 25, 29]
    with pytest.raises(OperationFailure):
        store.delete_many({}, hint="nothing")
    named = {"$expr": {"$eq": ["$_id", "$$id"]}}
    assert store.update_many(named, {"$set": {"b": 1}}, let={"id": 1}).modified_count == 1
    assert store.delete_many(named, let={"id": 1}).deleted_count == 1


@own_collection
def test_a_key_that_exists_is_told_and_nothing_changed(store, stored):
    store.create_index("u", unique=True)
    store.insert_many([{"_id": 1, "u": 1}, {"_id": 2, "u": 2}])
    with pytest.raises(DuplicateKeyError) as refused:
        store.insert_one({"_id": 1})
    assert refused.value.details["keyValue"] == {"_id": 1}
    for use in (store.update_one, store.update_many, store.find_one_and_update):
        with pytest.raises(DuplicateKeyError) as refused:
            use({"_id": 2}, {"$set": {"u": 1}})
        assert refused.value.details["keyValue"] == {"u": 1}
    with pytest.raises(DuplicateKeyError):
        store.replace_one({"_id": 2}, {"u": 1})
    assert stored.find() == [{"_id": 1, "u": 1}, {"_id": 2, "u": 2}]


def test_inserting_many_stops_at_what_exists_and_says_how_many_were_before(store):
    store.insert_one({"_id": 700})
    with pytest.raises(BulkWriteError) as stopped:
        store.insert_many({"_id": n} for n in range(2000))
    assert stopped.value.details["nInserted"] == 700
    [error] = stopped.value.details["writeErrors"]
    assert (error["index"], error["code"], error["op"]) == (700, 11000, {"_id": 700})
    assert store.count_documents({}) == 701


def test_inserting_many_without_order_inserts_all_that_can_be(store):
    store.insert_many([{"_id": 1}, {"_id": 700}])
    with pytest.raises(BulkWriteError) as stopped:
        store.insert_many(({"_id": n} for n in range(1000)), ordered=False)
    assert [error["index"] for error in stopped.value.details["writeErrors"]] == [1, 700]
    assert stopped.value.details["nInserted"] == 998
    assert store.count_documents({}) == 1000


@own_collection
def test_inserting_many_says_how_many_were_before_what_the_server_refuses(store, raw):
    raw.command({"collMod": "org_acme", "validator": {"a": {"$exists": True}}})
    with pytest.raises(BulkWriteError) as stopped:
        store.insert_many([{"_id": 1, "a": 1}, {"_id": 2}, {"_id": 3, "a": 1}])
    assert stopped.value.details["nInserted"] == 1
    assert store.count_documents({}) == 1


def test_inserting_many_says_how_many_were_before_what_cant_be_encoded(store):
    with pytest.raises(PartialWrite) as stopped:
        store.insert_many([*({"_id": n} for n in range(600)), {"_id": object()}])
    assert stopped.value.done == store.count_documents({}) == 500


def test_a_bulk_of_writes_is_done_in_order_and_counted(store):
    store.insert_many({"_id": n, "n": 0} for n in range(5))
    result = store.bulk_write(
        [
            pymongo.InsertOne({"_id": 5}),
            pymongo.UpdateOne({"_id": 0}, {"$inc": {"n": 1}}),
            pymongo.UpdateOne({"_id": 9}, {"$set": {"n": 9}}, upsert=True),
            pymongo.ReplaceOne({"_id": 1}, {"n": 7}),
            pymongo.UpdateMany({"n": {"$lt": 2}}, {"$inc": {"n": 1}}),
            pymongo.DeleteOne({"_id": 5}),
            pymongo.DeleteMany({"n": 1}),
        ]
    )
    assert (result.inserted_count, result.matched_count, result.modified_count) == (1, 6, 6)
    assert (result.deleted_count, result.upserted_ids) == (4, {2: 9})
    assert list(store.find()) == [{"_id": 0, "n": 2}, {"_id": 1, "n": 7}, {"_id": 9, "n": 9}]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_bulk_tells_where_it_was_refused(store, ordered):
    store.insert_one({"_id": 1})
    requests = [pymongo.InsertOne({"_id": n}) for n in (0, 1, 2)]
    requests += [
        pymongo.UpdateMany({"_id": 0}, {"$set": {"_id": 5}}),
        pymongo.DeleteOne({"_id": 0}),
    ]
    with pytest.raises(BulkWriteError) as refused:
        store.bulk_write(requests, ordered=ordered)
    told = refused.value.details
    assert [error["index"] for error in told["writeErrors"]] == ([1] if ordered else [1, 3])
    assert (told["nInserted"], told["nRemoved"]) == ((1, 0) if ordered else (2, 1))
    with pytest.raises(TypeError):
        store.bulk_write([{"insert": 1}])


def test_a_document_is_found_and_changed_in_one_step(store):
    store.insert_many({"_id": n, "n": n} for n in range(3))
    assert store.find_one_and_update({"_id": 0}, {"$inc": {"n": 5}}) == {"_id": 0, "n": 0}
    after = {"return_document": pymongo.ReturnDocument.AFTER}
    assert store.find_one_and_update({}, {"$inc": {"n": 1}}, sort={"n": -1}, **after)["n"] == 6
    assert store.find_one_and_replace({"_id": 1}, {"m": 1}, {"_id": 0}, **after) == {"m": 1}
    assert store.find_one_and_update({"_id": 7}, {"$inc": {"n": 1}}, upsert=True, **after)["n"] == 1
    assert store.find_one_and_delete({"_id": 7}) == {"_id": 7, "n": 1}
    assert store.find_one_and_delete({"_id": 7}) is None


@own_collection
def test_indexes_are_made_listed_and_dropped(store, fake, acme, raw):
    assert store.create_index([("a", 1), ("b", -1)], unique=True) == "a_1_b_-1"
    fake.rename(acme, "other")
    assert store.create_index([("a", 1), ("b", -1)], unique=True) == "a_1_b_-1"
    assert [index["name"] for index in store.list_indexes()] == ["_id_", "a_1_b_-1"]
    information = raw.org_other.index_information()
    assert store.index_information() == information
    store.drop_index([("a", 1), ("b", -1)])
    with pytest.raises(OperationFailure):
        store.drop_index("a_1_b_-1")
    with pytest.raises(errors.NotOffered):
        store.drop_index("*")


def test_listed_indexes_are_a_result_like_any_other_and_a_sequence(store):
    found = store.list_indexes()
    assert [index["name"] for index in found] == ["_id_"]
    with store.list_indexes() as found:
        assert found[0]["name"] == "_id_"
        assert found.next()["name"] == "_id_"
        assert not found.alive
        assert found.try_next() is None
    assert [index["name"] for index in store.list_indexes().to_list()] == ["_id_"]


@own_collection
def test_a_batch_that_fails_changes_nothing_and_leaves_those_before(store, raw):
    """A unique key breaks in the second batch."""
    store.create_index("u", unique=True, sparse=True)
    store.insert_many({"_id": n, "v": n} for n in range(1400))
    for wrong in (700, 800):
        store.update_one({"_id": wrong}, {"$set": {"v": -1}})
    set_u = [{"$set": {"done": True, "u": {"$cond": [{"$eq": ["$v", -1]}, -1, "$_id"]}}}]
    with pytest.raises(PartialWrite) as stopped:
        store.update_many({}, set_u)
    assert stopped.value.done == 500
    assert isinstance(stopped.value.__cause__, DuplicateKeyError)
    assert store.count_documents({"done": True}) == 500
    assert store.count_documents({"done": True, "_id": {"$gte": 500}}) == 0


@own_collection
def test_documents_that_a_collation_takes_for_the_same_are_changed_once(store):
    """Also where a batch would end between them."""
    either = {"locale": "en", "strength": 2}
    numbers = [{"_id": n, "n": 0} for n in range(499)]
    names = [{"_id": name, "n": 0} for name in ("a", "A", "b", "B")]
    store.insert_many([*numbers, *names])
    assert told(store.update_many({}, {"$inc": {"n": 1}}, collation=either)) == (503, 503)
    assert store.distinct("n") == [1]
    assert store.delete_many({"n": 1}, collation=either).deleted_count == 503


def test_large_documents_are_inserted_in_parts_that_fit(store):
    store.insert_many({"_id": n, "x": "x" * 6_000_000} for n in range(5))
    just_fits = "x" * (16 * 1024 * 1024 - 100)
    store.insert_one({"_id": "large", "x": just_fits})
    store.insert_many([{"_id": "larger", "x": just_fits}, {"_id": "small"}])
    assert store.count_documents({}) == 8


def test_what_the_server_refuses_is_raised(store):
    store.insert_one({"_id": 1, "a": "text"})
    for use in (store.update_one, store.update_many):
        with pytest.raises(OperationFailure):
            use({"_id": 1}, {"$inc": {"a": 1}})
    assert store.find_one(1) == {"_id": 1, "a": "text"}


def test_threads_share_a_store(store, switching):
    """A number is drawn when its session is held: one drawn before might come there too late."""
    store.insert_one({"_id": 1, "n": 0})

    def count_up():
        for _ in range(100):
            store.update_one({"_id": 1}, {"$inc": {"n": 1}})
        return True

    assert all(at_once([count_up] * 8))
    assert store.find_one(1)["n"] == 800


def test_a_transaction_is_kept_whole_or_not_at_all(store, stored):
    store.insert_one({"_id": 1, "n": 0})
    with store.transaction() as transaction:
        transaction.insert_one({"_id": 2})
        transaction.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}})
        assert store.count_documents({}) == 1
        assert transaction.count_documents({}) == len(transaction.find().to_list()) == 2
        transaction.delete_many({"_id": 2})
        transaction.bulk_write([pymongo.InsertOne({"_id": 3})])
    assert stored.find() == [{"_id": 1, "n": 1}, {"_id": 3}]
    deleted_and_twice = [pymongo.DeleteMany({}), *[pymongo.InsertOne({"_id": 1})] * 2]
    with pytest.raises(BulkWriteError), store.transaction() as transaction:
        transaction.bulk_write(deleted_and_twice)
    assert stored.find() == [{"_id": 1, "n": 1}, {"_id": 3}]


@own_collection
def test_a_rename_waits_for_a_transaction(store, fake, acme, raw):
    with store.transaction() as transaction:
        renaming = threading.Thread(target=lambda: fake.rename(acme, "other"))
        renaming.start()
        while fake.entry(acme).get("operation") is None:
            time.sleep(0.001)
        for n in range(5):
            transaction.insert_one({"_id": n})
        assert raw.list_collection_names() == ["org_acme"]
    renaming.join()
    assert ids(raw.org_other.find()) == list(range(5))


def test_a_transaction_that_conflicts_is_run_again(store):
    store.insert_one({"_id": 1, "n": 0})

    def count_up(transaction):
        n = transaction.find_one(1)["n"]
        transaction.update_one({"_id": 1}, {"$set": {"n": n + 1}})
        return n

    found = at_once([lambda: store.with_transaction(count_up)] * 4)
    assert sorted(found) == [0, 1, 2, 3]
    assert store.find_one(1)["n"] == 4


def test_a_bulk_of_writes_has_variables_beside_inserts(store):
    named = {"$expr": {"$eq": ["$_id", "$$id"]}}
    requests = [
        pymongo.InsertOne({"_id": 1}),
        pymongo.UpdateOne(named, {"$set": {"n": 1}}),
        pymongo.UpdateMany(named, {"$inc": {"n": 1}}),
        pymongo.InsertOne({"_id": 2}),
    ]
    assert store.bulk_write(requests, let={"id": 1}).modified_count == 2
    assert store.find().to_list() == [{"_id": 1, "n": 2}, {"_id": 2}]


@own_collection
def test_statements_that_the_server_refuses_are_told_and_others_done(store, raw):
    """As by PyMongo, also where no document matches."""
    refused = [
        pymongo.UpdateMany({"$nothing": 1}, {"$set": {"n": 1}}),
        pymongo.DeleteMany({"a": {"$in": 5}}),
        pymongo.UpdateMany({"_id": 9}, {"$inc": {"n": "text"}}),
        pymongo.UpdateMany({}, {"$set": {"n": 1}}, hint="nothing"),
    ]
    requests = [pymongo.InsertOne({"_id": 1}), *refused, pymongo.InsertOne({"_id": 2})]
    told = []
    for collection in (raw.org_acme, store):
        with pytest.raises(BulkWriteError) as stopped:
            collection.bulk_write(requests, ordered=False)
        errors = stopped.value.details["writeErrors"]
        told.append([(error["index"], error["code"]) for error in errors])
        assert stopped.value.details["nInserted"] == 2
        assert collection.delete_many({}).deleted_count == 2
    assert told[0] == told[1]
    for write in (store.update_many, store.update_one):
        with pytest.raises(WriteError):
            write({"_id": 9}, {"$inc": {"n": "text"}})
    with pytest.raises(WriteError):
        store.delete_many({"$nothing": 1})


MANY = {
    "update_many": lambda t: t.update_many({}, {"$inc": {"n": 1}}),
    "bulk_write": lambda t: t.bulk_write(
        [pymongo.InsertOne({"_id": "new"}), pymongo.UpdateMany({}, {"$inc": {"n": 1}})]
    ),
}


@pytest.mark.parametrize("write", MANY.values(), ids=MANY)
def test_many_writes_that_conflict_in_a_transaction_are_run_again(store, write):
    """None of them was kept; so nobody is told that some were."""
    store.insert_many({"_id": n, "n": 0} for n in range(501))
    runs = []

    def body(transaction):
        transaction.find_one(500)
        runs.append("begun")
        if len(runs) == 1:
            store.update_one({"_id": 500}, {"$inc": {"n": 10}})
        write(transaction)

    store.with_transaction(body)
    assert len(runs) == 2
    assert store.find_one(500)["n"] == 11


@own_collection
def test_encoded_documents_are_inserted_as_they_are(store, raw):
    documents = [RawBSONDocument(bson.encode({"_id": n, "n": Int64(n)})) for n in range(3)]
    assert store.insert_encoded(documents) == 3
    found = raw.org_acme.with_options(bson.CodecOptions(document_class=RawBSONDocument))
    assert [bytes(each.raw) for each in found.find()] == [bytes(each.raw) for each in documents]
    with pytest.raises(BulkWriteError) as refused:
        store.insert_encoded([RawBSONDocument(bson.encode({"_id": n})) for n in (3, 0, 4)])
    assert refused.value.details["nInserted"] == 1


EXOTIC = {
    "a dollar in front": b"\x10$x\0\x01\0\0\0",
    "an empty timestamp": b"\x11t\0" + bytes(8),
    "a field twice": b"\x10n\0\x01\0\0\0\x10n\0\x02\0\0\0",
    "a field twice, inside": b"\x03o\0\x13\0\0\0\x10n\0\x01\0\0\0\x10n\0\x02\0\0\0\0\x10$x\0\x01\0\0\0",
    "no name, and a dot": b"\x10\0\x01\0\0\0\x10a.b\0\x02\0\0\0",
    "undefined": b"\x06u\0\x10$x\0\x01\0\0\0",
    "a symbol": b"\x0es\0\x02\0\0\0a\0\x11t\0" + bytes(8),
    "a DBPointer": b"\x0cp\0\x02\0\0\0a\0" + bytes(12) + b"\x10$x\0\x01\0\0\0",
    "no UTF-8": b"\x02\xff\0\x02\0\0\0\xff\0",
    "a date beyond Python's": b"\x09d\0" + b"\xff" * 7 + b"\x7f" + b"\x10$x\0\x01\0\0\0",
}


@pytest.mark.parametrize("fields", EXOTIC.values(), ids=EXOTIC)
def test_a_literal_is_inserted_to_the_byte_or_not_at_all(store, fields):
    elements = b"\x10_id\0\x05\0\0\0" + fields
    document = (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"
    encoded = RawBSONDocument(document, CODEC)
    store.insert_literal(encoded)
    with pytest.raises(DuplicateKeyError):
        store.insert_literal(RawBSONDocument(bson.encode({"_id": 5, "other": 1})))
    [found] = store.with_options(codec_options=CODEC).find()
    assert bytes(found.raw) == document
