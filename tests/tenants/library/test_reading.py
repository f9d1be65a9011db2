"""Reading an organization's documents."""

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import bson
import pymongo
import pytest
from bson import Int64, ObjectId, Regex
from bson.codec_options import TypeCodec, TypeDecoder, TypeRegistry
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)

from tests.tenants.library.conftest import APPLICATION, library
from tests.tenants.library.works import ids, in_a_loop, own_collection

errors = library("errors")


def test_a_document_comes_back_as_it_was_with_aware_times_and_native_uuids(store):
    document = {"_id": uuid4(), "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "deep": [{"a": 1}]}
    store.insert_one(document)
    assert store.find_one(document["_id"]) == document
    assert list(store.find()) == [document]
    assert list(store.aggregate([{"$match": {}}])) == [document]
    assert store.find_one()["at"].utcoffset().total_seconds() == 0


@pytest.mark.parametrize("query", [Regex(".*"), ["a"], "$a"])
def test_an_id_is_a_value_and_never_a_query(store, query):
    store.insert_many([{"_id": "a"}, {"_id": 1}])
    assert store.find_one(query) is None


IDS = [None, 1, 2.5, Int64(2**60), "$a", "b", {"a": 1}, ObjectId(), uuid4(), False,
       datetime(2026, 1, 1, tzinfo=UTC)]  # fmt: skip


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_result_has_ids_of_all_types_each_once_in_order_through_renames(
    store, stored, fake, acme, size, direction
):
    stored.insert_many({"_id": key} for key in IDS)
    ordered = ids(stored.find())[::direction]
    assert len(ordered) == len(IDS)
    found, names = [], ["acme", "other"]
    for document in store.find(sort=[("_id", direction)], batch_size=size):
        found.append(document["_id"])
        fake.rename(acme, names[len(found) % 2])
    assert found == ordered


def test_an_unsorted_result_goes_on_through_renames_in_the_order_of_ids(store, fake, acme):
    store.insert_many({"_id": n, "even": n % 2 == 0} for n in range(10))
    for options in ({}, {"projection": {"_id": 0, "even": 1}}, {"limit": 4}, {"skip": 1}):
        found = store.find({"even": True}, batch_size=1, **options)
        first = next(found)
        fake.rename(acme, "other")
        rest = list(found)
        fake.rename(acme, "acme")
        whole = list(store.find({"even": True}, **options))
        assert [first, *rest] == whole
        assert len(whole) == (4 if {"limit", "skip"} & set(options) else 5)


@own_collection
def test_a_result_in_another_order_says_that_it_was_lost(store, fake, acme):
    store.insert_many({"_id": n, "n": -n} for n in range(10))
    found = store.find(sort="n", batch_size=2)
    assert next(found)["_id"] == 9
    fake.rename(acme, "other")
    next(found)
    with pytest.raises(errors.CursorLost) as lost:
        next(found)
    assert lost.value.read == 2
    assert ids(store.find(sort="n")) == list(range(9, -1, -1))


def test_a_result_takes_more_of_the_servers_time_unless_the_caller_bounds_it(store, failing):
    """The server counts the time of all parts by that of the first command."""
    store.insert_many({"_id": n} for n in range(6))
    failing("getMore", {"times": 1}, errorCode=50)
    assert ids(store.find(batch_size=2)) == [*range(6)]
    for bounded in (
        store.find(batch_size=2, max_time_ms=20_000),
        store.find(sort="n").batch_size(2),
    ):
        failing("getMore", {"times": 1}, errorCode=50)
        with pytest.raises(ExecutionTimeout):
            bounded.to_list()


LATER = {
    "_id": lambda store: store.find(batch_size=2),
    "limit": lambda store: store.find(limit=501, batch_size=2),
    "n": lambda store: store.find(sort="n", batch_size=2),
    "aggregate": lambda store: store.aggregate([{"$sort": {"_id": 1}}], batchSize=2),
}


@pytest.mark.parametrize("order", LATER)
def test_a_result_whose_read_was_broken_off_leaves_nothing_out(store, failing, order):
    """The part that was on its way is lost, behind which the server's cursor is."""
    store.insert_many({"_id": n, "n": n} for n in range(8))
    found = LATER[order](store)
    read = [next(found) for _ in range(2)]
    failing("getMore", {"times": 1}, blockConnection=True, blockTimeMS=500)
    with pytest.raises(PyMongoError), pymongo.timeout(0.2):
        next(found)
    if order in ("_id", "limit"):
        assert ids([*read, *found]) == [*range(8)]
        return
    with pytest.raises(errors.CursorLost):
        next(found)


@pytest.mark.parametrize("order", LATER)
def test_a_result_whose_read_was_cancelled_leaves_nothing_out(fake, acme, failing, order):
    tenants = library().AsyncTenants(fake.uri, appname=APPLICATION)

    async def work():
        store = tenants.by_id(acme)
        await store.insert_many({"_id": n, "n": n} for n in range(8))
        found = LATER[order](store)
        found = await found if order == "aggregate" else found
        read = await found.to_list(2)
        failing("getMore", {"times": 1}, blockConnection=True, blockTimeMS=500)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(found.next(), 0.2)
        try:
            return ids([*read, *await found.to_list()])
        finally:
            await tenants.close()

    if order in ("_id", "limit"):
        assert in_a_loop(work()) == [*range(8)]
        return
    with pytest.raises(errors.CursorLost):
        in_a_loop(work())


def test_a_result_has_positions_and_slices_as_pymongos_cursor_has(store):
    store.insert_many({"_id": n} for n in range(10))
    assert store.find()[0] == {"_id": 0}
    assert store.find(skip=2, limit=1)[3] == {"_id": 5}
    for start, stop in [(2, 5), (None, 3), (7, None), (4, 4), (8, 20)]:
        found = store.find(sort={"_id": -1}, skip=1, limit=1)[start:stop]
        assert [each["_id"] for each in found] == [*range(9, -1, -1)][start:stop]
    for wrong in (-1, slice(0, 5, 2), slice(-3, None), slice(5, 2)):
        with pytest.raises(IndexError):
            store.find()[wrong]
    with pytest.raises(IndexError):
        store.find()[10]
    with pytest.raises(TypeError):
        store.find()["a"]
    read = store.find()
    assert read.next() == {"_id": 0}
    for late in (0, slice(1)):
        with pytest.raises(InvalidOperation):
            read[late]


def test_a_result_tells_what_came_and_is_copied_from_its_beginning(store):
    store.insert_many({"_id": n} for n in range(10))
    found = store.find(batch_size=4)
    assert (found.retrieved, found.next(), found.retrieved) == (0, {"_id": 0}, 4)
    assert [each["_id"] for each in found.__copy__()] == [*range(10)]
    assert [each["_id"] for each in found.__deepcopy__({})] == [*range(10)]
    result = store.aggregate([{"$sort": {"_id": 1}}], batchSize=2).batch_size(3)
    assert [result.try_next()["_id"] for _ in range(10)] == [*range(10)]
    assert result.try_next() is None


@pytest.mark.parametrize("where", ["alone", "in a transaction"])
def test_the_time_that_is_given_bounds_a_command(store, failing, where):
    """0 is none that is given, and leaves the usual one."""
    store.insert_one({"_id": 1})
    with ExitStack() as stack:
        if where == "in a transaction":
            store = stack.enter_context(store.transaction())
        read = store.find_one({}, max_time_ms=0)
        assert read == store.find_one_and_update({}, {"$set": {"n": 1}}, max_time_ms=0)
        failing("find", {"times": 1}, blockConnection=True, blockTimeMS=1000)
        stack.enter_context(pytest.raises(PyMongoError))
        store.find_one({}, max_time_ms=100)


@pytest.mark.parametrize("name", ["maxTimeMS", "max_time_ms"])
def test_the_time_of_a_find_and_change_is_given_by_pymongos_name_too(store, failing, name):
    store.insert_one({"_id": 1})
    failing("findAndModify", {"times": 1}, blockConnection=True, blockTimeMS=1000)
    with pytest.raises(PyMongoError) as error:
        store.find_one_and_delete({}, **{name: 100})
    assert error.value.timeout
    assert store.find_one_and_replace({}, {"n": 1}, **{name: 10_000}) == {"_id": 1}
    changed = store.find_one_and_update({"n": 1}, {"$set": {"n": 2}}, **{name: 10_000})
    assert changed == {"_id": 1, "n": 1}


def test_a_command_without_a_time_has_the_usual_one():
    seconds = library("_sync.execution")._seconds
    assert seconds({"maxTimeMS": 0}) == seconds({}) == library("limits").OPERATION_SECONDS


@own_collection
def test_a_result_by_a_collation_goes_on_where_that_takes_no_two_ids_for_the_same(
    store, fake, acme
):
    store.insert_many({"_id": key} for key in (1, 2, 3, "a", "A", "b"))
    found = store.find(collation={"locale": "en", "strength": 2}, batch_size=2)
    assert next(found)["_id"] == 1
    fake.rename(acme, "other")
    assert [next(found)["_id"] for _ in range(3)][:2] == [2, 3]
    fake.rename(acme, "another")
    with pytest.raises(errors.CursorLost):
        found.to_list()


@own_collection
@pytest.mark.parametrize(
    "projection",
    [{"_id": {"$toString": "$_id.n"}}, {"_id": "$x"}, {"_id.a": 1}, ["_id.a"]],
    ids=str,
)
def test_a_result_that_does_not_show_the_id_as_it_is_never_goes_on_by_it(
    store, fake, acme, projection
):
    store.insert_many({"_id": {"a": n % 3, "n": n}, "x": -n} for n in range(10))
    found = store.find({}, projection, batch_size=2)
    next(found)
    fake.rename(acme, "other")
    next(found)
    with pytest.raises(errors.CursorLost):
        next(found)
    assert len(store.find({}, projection).to_list()) == 10


PROJECTIONS = [
    {"c": {"$slice": 1}}, {"c": {"$slice": 1}, "a": 1}, {"c": {"$slice": 1}, "a": 0}, {"a": 0},
    {"b": {"c": 0}}, {"b": {"c": 1}}, {"a": {"$add": ["$a", 1]}}, {"n": "$a"}, {}, {"a": 1.0},
    {"c": {"$elemMatch": {"$gt": 1}}}, {"a": bson.Decimal128("0")}, {"s": {"$meta": "recordId"}},
]  # fmt: skip


@own_collection
@pytest.mark.parametrize("hidden", [0, False, 0.0, Int64(0), bson.Decimal128("0")], ids=repr)
def test_a_result_without_ids_has_all_else_as_by_pymongo(store, raw, hidden):
    store.insert_one({"_id": 1, "a": 1, "b": {"c": 1, "d": 2}, "c": [1, 2, 3]})
    for others in PROJECTIONS:
        projection = {"_id": hidden, **others}
        assert store.find({}, projection).to_list() == list(raw.org_acme.find({}, projection))


@own_collection
def test_an_aggregation_of_many_parts_says_that_it_was_lost(store, fake, acme):
    store.insert_many({"_id": n} for n in range(10))
    found = store.aggregate([{"$match": {}}], batchSize=2)
    next(found)
    fake.rename(acme, "other")
    with pytest.raises(errors.CursorLost):
        found.to_list()


def test_a_result_goes_on_where_a_reply_is_full_at_16_mb(store):
    store.insert_many({"_id": n, "x": "x" * 5_000_000} for n in range(8))
    assert ids(store.find(sort="_id")) == list(range(8))
    assert ids(store.aggregate([{"$sort": {"_id": 1}}])) == list(range(8))


@own_collection
def test_finding_takes_pymongos_options(store):
    store.insert_many({"_id": n, "a": n % 3, "b": "B"} for n in range(9))
    store.create_index("a")
    assert ids(store.find({"a": 1}, sort=[("_id", -1)], skip=1, limit=1)) == [4]
    assert list(store.find({"_id": 1}, ["a"])) == [{"_id": 1, "a": 1}]
    assert store.find_one({"_id": 1}, {"_id": 0, "a": 0}) == {"b": "B"}
    assert list(store.find({"_id": 1}, {"_id": 0, "a": 0})) == [{"b": "B"}]
    assert store.find_one(sort={"a": -1, "_id": -1})["_id"] == 8
    assert ids(store.find({"a": 2}, hint="a_1").sort("_id", -1).limit(2)) == [8, 5]
    assert len(store.find({"b": "b"}, collation={"locale": "en", "strength": 2}).to_list()) == 9
    assert len(store.find({"$expr": {"$eq": ["$a", "$$n"]}}, let={"n": 0}).to_list(2)) == 2
    with pytest.raises(OperationFailure):
        store.find(hint="nothing").to_list()
    with store.find(batch_size=2) as found:
        next(found)
    assert list(found) == []


def test_counting_counts_what_matches(store, fake, acme):
    store.insert_many({"_id": n} for n in range(30))
    assert store.count_documents({}) == 30
    assert store.count_documents({}, skip=5, limit=10) == 10
    assert store.count_documents({"_id": {"$lt": 7}}, hint="_id_") == 7
    assert store.count_documents({"_id": "x"}) == 0
    fake.rename(acme, "other")
    assert store.estimated_document_count() == 30


@own_collection
def test_distinct_values_are_those_of_arrays_too(store, raw):
    store.insert_many(
        [{"a": 1}, {"a": [1, 2, None]}, {"a": {"b": [3, 4]}}, {"a": [{"b": 4}, {"b": 5}]}, {"c": 1},
         {"a": []}, {"a": [[6]]}, {"a": [[{"b": 7}]]}]
    )  # fmt: skip
    for key in ("a", "a.b", "c", "nothing"):
        plain = raw.org_acme.distinct(key)
        assert sorted(store.distinct(key), key=repr) == sorted(plain, key=repr)
    assert store.distinct("a", {"a": 2}) == [None, 1, 2]
    with pytest.raises(errors.NotOffered, match="arrayElemAt"):
        store.distinct("a.0")


class Price(TypeCodec):
    """Decimals in place of the server's."""

    python_type, bson_type = Decimal, bson.Decimal128

    def transform_python(self, value):
        return bson.Decimal128(value)

    def transform_bson(self, value):
        return value.to_decimal()


class Text(TypeDecoder):
    """A type that nothing encodes."""

    bson_type = str

    def transform_bson(self, value):
        return [value]


def test_types_are_decoded_in_whatever_part_they_come(store, fake, acme):
    options = bson.CodecOptions(type_registry=TypeRegistry([Price(), Text()]))
    store.insert_many({"_id": f"{n}", "price": bson.Decimal128("1.5")} for n in range(6))
    priced = store.with_options(codec_options=options)
    expected = [{"_id": [f"{n}"], "price": Decimal("1.5")} for n in range(6)]
    found = priced.find(batch_size=2)
    first = next(found)
    fake.rename(acme, "other")
    assert [first, *found] == expected
    assert priced.find_one({"price": Decimal("1.5")}) == expected[0]
    assert priced.find(limit=2).to_list() == expected[:2]
    assert priced.find({}, {"_id": 0}, batch_size=2).to_list() == [{"price": Decimal("1.5")}] * 6
    assert priced.aggregate([{"$sort": {"_id": 1}}], batchSize=2).to_list() == expected
    assert priced.distinct("price") == [Decimal("1.5")]
    assert priced.update_many({}, {"$set": {"n": Decimal(2)}}).modified_count == 6
    assert priced.find_one_and_update({"_id": "0"}, {"$inc": {"n": 1}})["n"] == Decimal(2)
    assert priced.find_one_and_delete({"_id": "9"}) is None
    with priced.transaction() as transaction:
        assert transaction.find_one({}, {"n": 1}) == {"_id": ["0"], "n": Decimal(3)}
        assert transaction.find({}, {"n": 1}, batch_size=2).to_list()[5]["n"] == Decimal(2)
        assert transaction.delete_many({}).deleted_count == priced.count_documents({}) == 6


def test_documents_travel_encoded_if_asked_for(store):
    options = bson.CodecOptions(document_class=RawBSONDocument)
    raw = store.with_options(codec_options=options)
    document = RawBSONDocument(bson.encode({"_id": {"b": 1, "a": 2}, "x": bson.DatetimeMS(2**60)}))
    raw.insert_one(document)
    assert raw.find_one().raw == document.raw
    assert [found.raw for found in raw.find()] == [document.raw]
    assert [found.raw for found in raw.aggregate([])] == [document.raw]
    with pytest.raises(DuplicateKeyError):
        raw.insert_one(document)
    assert next(raw.find({}, {"_id": 0})).raw == bson.encode({"x": bson.DatetimeMS(2**60)})
