"""An organization's documents: reading, writing, renames, and a server that fails."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import bson
import pymongo
import pytest
from bson import Code, DBRef, Int64, ObjectId, Regex
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from tests.tenants.library.conftest import library

limits, errors = library("limits"), library("errors")
QueryRefused, PartialWrite = errors.QueryRefused, errors.PartialWrite


@pytest.fixture
def fake(shared_fake):
    shared_fake.clear()
    return shared_fake


@pytest.fixture
def listener(shared_listener):
    shared_listener.names.clear()
    return shared_listener


@pytest.fixture
def tenants(shared_tenants):
    return shared_tenants


@pytest.fixture
def renaming(fake, acme):
    """Renames the organization to and fro until the test has what it wants."""
    stopped = threading.Event()

    def rename():
        n = 0
        while not stopped.is_set():
            n += 1
            fake.rename(acme, ("other", "acme")[n % 2])

    thread = threading.Thread(target=rename)

    def start():
        thread.start()
        return lambda: (stopped.set(), thread.join())

    yield start
    stopped.set()
    if thread.is_alive():
        thread.join()


@pytest.fixture
def switching():
    """Has threads take turns as often as can be."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def content(raw):
    """All documents, wherever the collection is."""
    [name] = raw.list_collection_names()
    return list(raw[name].find(sort={"_id": 1}))


def at_once(actions):
    """Call all of them at the same moment; what each returned."""
    ready = threading.Barrier(len(actions))

    def act(action):
        ready.wait(30)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions))


def ids(found):
    return [document["_id"] for document in found]


def told(changed):
    return changed.matched_count, changed.modified_count


# Reading


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


def test_encoded_documents_are_inserted_as_they_are(store, raw):
    documents = [RawBSONDocument(bson.encode({"_id": n, "n": Int64(n)})) for n in range(3)]
    assert store.insert_encoded(documents) == 3
    found = raw.org_acme.with_options(bson.CodecOptions(document_class=RawBSONDocument))
    assert [bytes(each.raw) for each in found.find()] == [bytes(each.raw) for each in documents]
    with pytest.raises(BulkWriteError) as refused:
        store.insert_encoded([RawBSONDocument(bson.encode({"_id": n})) for n in (3, 0, 4)])
    assert refused.value.details["nInserted"] == 1


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_result_has_ids_of_all_types_each_once_in_order_through_renames(
    store, raw, fake, acme, size, direction
):
    raw.org_acme.insert_many({"_id": key} for key in IDS)
    ordered = ids(raw.org_acme.find(sort={"_id": direction}))
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


def test_distinct_values_are_those_of_arrays_too(store, raw):
    store.insert_many(
        [{"a": 1}, {"a": [1, 2, None]}, {"a": {"b": [3, 4]}}, {"a": [{"b": 4}, {"b": 5}]}, {"c": 1},
         {"a": []}, {"a": [[6]]}, {"a": [[{"b": 7}]]}]
    )  # fmt: skip
    for key in ("a", "a.b", "c", "nothing"):
        plain = raw.org_acme.distinct(key)
        assert sorted(store.distinct(key), key=repr) == sorted(plain, key=repr)
    assert store.distinct("a", {"a": 2}) == [None, 1, 2]


# What is refused

CODE = [
    {"$where": "sleep(1000)"},
    {"$where": Code("sleep(1000)")},
    {"$and": [{"a": 1}, {"$or": [{"$where": "true"}]}]},
    {"$expr": {"$function": {"body": "f", "args": [], "lang": "js"}}},
    {"$expr": {"$and": [True, {"a": [{"$function": {}}]}]}},
    {"a": {"$elemMatch": ({"$where": "true"},)}},
    {"a": {"$not": {"$_internalExprEq": 1}}},
    {"a": DBRef("c", {"$where": "1"})},
    {"$expr": RawBSONDocument(bson.encode({"$eq": [1, {"$function": {}}]}))},
]
CODE_IN_PROJECTIONS = [{"a": {"$function": {}}}, {"a": {"$add": [1, {"$accumulator": {}}]}}]


@pytest.mark.parametrize("projection", CODE_IN_PROJECTIONS)
def test_a_projection_that_runs_code_is_refused(store, sent, projection):
    for use in (store.find, store.find_one, store.find_one_and_delete):
        with pytest.raises(QueryRefused):
            use({}, projection)
    assert sent == []


def twice(key, hidden, shown):
    """A document that has a key twice and shows the second value alone, as encoded ones do."""
    content = b"".join(bson.encode({key: value})[4:-1] for value in (hidden, shown)) + b"\0"
    return RawBSONDocument((len(content) + 4).to_bytes(4, "little") + content)


FUNCTION = {"$function": {"body": "function() { throw 'ran' }", "args": [], "lang": "js"}}


def deep(levels):
    nested = {"a": 1}
    for _ in range(levels):
        nested = {"a": [nested]}
    return nested


@pytest.mark.parametrize("query", [*CODE, [], "x", 1, deep(2000)])
def test_a_filter_that_runs_code_or_is_none_is_refused_everywhere(store, sent, query):
    uses = [
        lambda: store.find(query),
        lambda: store.count_documents(query),
        lambda: store.distinct("a", query),
        lambda: store.find_one_and_delete(query),
        lambda: store.update_one({}, {"$set": {"a.$[x]": 1}}, array_filters=[query]),
        lambda: store.update_one(query, {"$set": {"a": 1}}),
        lambda: store.replace_one(query, {}),
        lambda: store.delete_one(query),
        lambda: store.update_many(query, {"$set": {"a": 1}}),
        lambda: store.delete_many(query),
        lambda: store.bulk_write([pymongo.DeleteOne(query)]),
        lambda: store.aggregate([{"$match": query}]),
        lambda: store.update_one({}, {"$pull": {"a": query}}),
    ]
    for use in uses if isinstance(query, dict) else uses[:7]:
        with pytest.raises(QueryRefused):
            use()
    assert sent == []


@pytest.mark.parametrize(
    "pipeline",
    [
        {"$match": {}},
        "x",
        ["$match"],
        [{}],
        [{"$match": {}, "$out": "x"}],
        *([{stage: body}] for stage, body in {
            "$out": "org_b", "$merge": "org_b", "$lookup": {}, "$unionWith": "org_b",
            "$graphLookup": {}, "$collStats": {}, "$indexStats": {}, "$currentOp": {},
            "$listSessions": {}, "$listLocalSessions": {}, "$planCacheStats": {}, "$documents": [],
            "$changeStream": {}, "$geoNear": {}, "$search": {}, "$_internalSplitPipeline": {},
            "$mergeCursors": {}, "$backupCursor": {}, "match": {}, "$Match": {}, "$nothing": {},
        }.items()),
        [{"$facet": {"a": [{"$match": {}}], "b": [{"$unionWith": "org_b"}]}}],
        [{"$facet": {"a": [{"$facet": {"b": [{"$out": "x"}]}}]}}],
        [{"$facet": {"a": {"$out": "x"}}}],
        [{"$match": {}}, {"$project": {"a": {"$function": {"body": "f", "args": []}}}}],
        [{"$group": {"_id": 1, "a": {"$accumulator": {}}}}],
        [{"$set": {"a": {"$map": {"input": "$a", "in": {"$function": {}}}}}}],
        [{"$match": {"$where": "true"}}],
        [{"$facet": {"a": [{"$group": {"_id": {"$function": {}}}}]}}],
        [{"$set": {"a": {"$let": {"vars": {"b": [{"$lookup": {}}]}, "in": 1}}}}],
        [{"$match": twice("$expr", FUNCTION, True)}],
        [{"$facet": twice("a", [{"$match": {"$expr": FUNCTION}}], [])}],
    ],
)  # fmt: skip
def test_a_pipeline_that_reaches_elsewhere_or_runs_code_is_refused(store, sent, pipeline):
    with pytest.raises(QueryRefused):
        store.aggregate(pipeline)
    with pytest.raises(QueryRefused):
        store.update_one({}, pipeline if isinstance(pipeline, list) else [pipeline])
    assert sent == []


def test_stages_that_stay_inside_are_allowed(store):
    store.insert_many({"_id": n, "k": n % 3} for n in range(9))
    facets = {"n": [{"$count": "n"}], "top": [{"$sort": {"_id": -1}}, {"$limit": 1}]}
    [found] = store.aggregate([{"$match": {"k": {"$gt": 0}}}, {"$facet": facets}])
    assert found == {"n": [{"n": 6}], "top": [{"_id": 8, "k": 2}]}


@pytest.mark.parametrize(
    "update", [{}, {"a": 1}, {"$set": {"a": 1}, "b": 1}, {"$nothing": {}}, None, "x",
               [{"$match": {}}], [{"a": 1}], [{"$set": {"a": {"$function": {}}}}]]
)  # fmt: skip
def test_an_update_that_would_replace_or_run_code_is_refused(store, update):
    store.insert_one({"_id": 1, "keep": True})
    for use in (store.update_one, store.update_many):
        with pytest.raises(QueryRefused):
            use({}, update)
    assert store.find_one(1) == {"_id": 1, "keep": True}


@pytest.mark.parametrize("document", [{"$set": {"a": 1}}, [{"$set": {"a": 1}}], None, "x"])
def test_a_replacement_that_would_update_is_refused(store, document):
    with pytest.raises(QueryRefused):
        store.replace_one({}, document)


def test_data_may_look_like_code(store):
    store.insert_one({"_id": 1, "a": {"$where": "x"}, "tags": ["old", "new"]})
    store.update_one({"_id": 1}, {"$set": {"b": {"$function": 1}}, "$pull": {"tags": "old"}})
    assert store.find_one(1) == {
        "_id": 1,
        "a": {"$where": "x"},
        "b": {"$function": 1},
        "tags": ["new"],
    }


# Writing


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


def test_a_key_that_exists_is_told_and_nothing_changed(store, raw):
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
    assert content(raw) == [{"_id": 1, "u": 1}, {"_id": 2, "u": 2}]


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


# Renames

WRITES = {
    "insert_one": lambda store: store.insert_one({"_id": "new"}),
    "insert_many": lambda store: store.insert_many([{"_id": "new"}, {"_id": "newer"}]),
    "update_one": lambda store: store.update_one({"_id": 1}, {"$inc": {"n": 1}}),
    "replace_one": lambda store: store.replace_one({"_id": 1, "n": 0}, {"n": 7}),
    "delete_one": lambda store: store.delete_one({"n": 0}),
    "update_many": lambda store: store.update_many({"n": 0}, {"$inc": {"n": 1}}),
    "delete_many": lambda store: store.delete_many({"_id": {"$gt": 1}}),
    "bulk_write": lambda store: store.bulk_write(
        [pymongo.InsertOne({"_id": "new"}), pymongo.UpdateMany({"n": 0}, {"$inc": {"n": 1}})]
    ),
    "find_one_and_update": lambda store: store.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}),
}


def in_a_transaction(store):
    with store.transaction() as transaction:
        transaction.insert_one({"_id": "new"})
        transaction.update_many({"_id": 0}, {"$inc": {"n": 1}})


WRITES["transaction"] = in_a_transaction

READS = {
    "find_one": lambda store: store.find_one(1),
    "find": lambda store: store.find().to_list(),
    "count_documents": lambda store: store.count_documents({}),
    "aggregate": lambda store: store.aggregate([{"$group": {"_id": "$n"}}]).to_list(),
    "list_indexes": lambda store: store.list_indexes(),
}
FEW = [{"_id": n, "n": 0} for n in range(4)]
AFTERWARDS = {
    "insert_one": [*FEW, {"_id": "new"}],
    "insert_many": [*FEW, {"_id": "new"}, {"_id": "newer"}],
    "update_one": [{"_id": n, "n": int(n == 1)} for n in range(4)],
    "replace_one": [{"_id": n, "n": 7 if n == 1 else 0} for n in range(4)],
    "delete_one": FEW[1:],
    "update_many": [{"_id": n, "n": 1} for n in range(4)],
    "delete_many": FEW[:2],
    "bulk_write": [*({"_id": n, "n": 1} for n in range(4)), {"_id": "new"}],
    "find_one_and_update": [{"_id": n, "n": int(n == 1)} for n in range(4)],
    "transaction": [*({"_id": n, "n": int(n == 0)} for n in range(4)), {"_id": "new"}],
}
VERBS = {
    "insert_one": "insert",
    "insert_many": "insert",
    "update_one": "update",
    "replace_one": "update",
    "delete_one": "delete",
}


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_no_operation_notices_a_rename_before_it(store, raw, fake, acme, name):
    store.insert_many(map(dict, FEW))
    expected = READS[name](store) if name in READS else None
    fake.rename(acme, "other")
    if name in READS:
        assert READS[name](store) == expected
    else:
        WRITES[name](store)
        assert content(raw) == AFTERWARDS[name]
    assert raw.list_collection_names() == ["org_other"]


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_a_strangers_collection_that_took_the_name_stays_untouched(store, raw, fake, acme, name):
    store.insert_many(map(dict, FEW))
    fake.move(acme, "elsewhere")
    raw.org_acme.insert_many(map(dict, FEW))
    with pytest.raises(errors.Misplaced) as told:
        {**WRITES, **READS}[name](store)
    assert (told.value.found, told.value.recorded) == ("elsewhere", "org_acme")
    assert list(raw.org_acme.find()) == FEW
    assert list(raw.elsewhere.find()) == FEW


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_nothing_makes_a_collection_that_is_gone(store, raw, name):
    raw.org_acme.drop()
    with pytest.raises(errors.CollectionMissing):
        {**WRITES, **READS}[name](store)
    assert raw.list_collection_names() == []


@pytest.mark.parametrize("name", [*WRITES, *READS])
@pytest.mark.parametrize("done", ["trash", "purge"])
def test_nothing_is_read_or_written_in_the_trash_or_after_a_purge(
    store, raw, fake, acme, name, done
):
    store.insert_many(map(dict, FEW))
    getattr(fake, done)(acme)
    with pytest.raises(errors.Trashed if done == "trash" else errors.Purged):
        {**WRITES, **READS}[name](store)
    assert [doc for each in raw.list_collection_names() for doc in raw[each].find()] == (
        FEW if done == "trash" else []
    )


@pytest.mark.slow
def test_a_result_goes_on_while_the_organization_is_renamed(store, renaming):
    store.insert_many({"_id": n} for n in range(2000))
    stop = renaming()
    assert ids(store.find(batch_size=10)) == list(range(2000))
    assert store.count_documents({}) == 2000
    stop()


@pytest.mark.slow
def test_inserting_many_goes_on_through_renames(store, raw, renaming):
    stop = renaming()
    inserted = store.insert_many({"_id": n, "x": "x" * 200} for n in range(10_000))
    stop()
    assert inserted.inserted_ids == [*range(10_000)]
    assert ids(content(raw)) == list(range(10_000))


def test_an_insert_that_a_rename_stopped_in_the_middle_goes_on_there(store, raw, bare, fake, acme):
    """The server itself says at which document it stopped."""
    before = bare.admin.command(
        {"configureFailPoint": "hangDuringBatchInsert", "mode": {"skip": 1}, "data": {}}
    )["count"]
    try:
        inserting = threading.Thread(
            target=lambda: store.insert_many({"_id": n, "x": "x" * 4000} for n in range(500))
        )
        inserting.start()
        bare.admin.command(
            {
                "waitForFailPoint": "hangDuringBatchInsert",
                "timesEntered": before + 1,
                "maxTimeMS": 10_000,
            }
        )
        some = raw.org_acme.count_documents({})
        fake.rename(acme, "other")
    finally:
        bare.admin.command({"configureFailPoint": "hangDuringBatchInsert", "mode": "off"})
    inserting.join()
    assert 0 < some < 500
    assert ids(content(raw)) == list(range(500))


@pytest.mark.slow
def test_counting_up_many_counts_each_once_through_renames(store, raw, renaming):
    store.insert_many({"_id": n, "n": 0} for n in range(3000))
    stop = renaming()
    for _ in range(2):
        assert told(store.update_many({}, {"$inc": {"n": 1}})) == (3000, 3000)
    assert store.delete_many({"_id": {"$lt": 2000}}).deleted_count == 2000
    stop()
    assert content(raw) == [{"_id": n, "n": 2} for n in range(2000, 3000)]


def test_two_organizations_never_see_each_other(store, tenants, fake, acme):
    other = tenants.by_id(fake.create("other"))
    store.insert_one({"_id": "mine"})
    other.insert_one({"_id": "theirs"})
    fake.rename(acme, "third")
    fake.rename(other.id, "acme")
    fake.rename(acme, "other")
    assert ids(other.find()) == ["theirs"]
    assert ids(store.find()) == ["mine"]


# Transactions


def test_a_transaction_is_kept_whole_or_not_at_all(store, raw):
    store.insert_one({"_id": 1, "n": 0})
    with store.transaction() as transaction:
        transaction.insert_one({"_id": 2})
        transaction.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}})
        assert store.count_documents({}) == 1
        assert transaction.count_documents({}) == len(transaction.find().to_list()) == 2
        transaction.delete_many({"_id": 2})
        transaction.bulk_write([pymongo.InsertOne({"_id": 3})])
    assert content(raw) == [{"_id": 1, "n": 1}, {"_id": 3}]
    deleted_and_twice = [pymongo.DeleteMany({}), *[pymongo.InsertOne({"_id": 1})] * 2]
    with pytest.raises(BulkWriteError), store.transaction() as transaction:
        transaction.bulk_write(deleted_and_twice)
    assert content(raw) == [{"_id": 1, "n": 1}, {"_id": 3}]


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


def test_what_pymongo_has_and_a_tenant_has_not_is_told_with_what_to_use(store):
    for use in (
        lambda: store.drop({}),
        lambda: store.rename("other"),
        lambda: store.find({}, session=object()),
        lambda: store.with_options(read_preference=pymongo.ReadPreference.SECONDARY),
    ):
        with pytest.raises(errors.NotOffered) as told:
            use()
        assert told.value.instead in str(told.value)
    with pytest.raises(TypeError):
        store.find({}, nothing=1)
    assert not hasattr(store, "drop")


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


# A server that fails


FAULTS = [
    {"closeConnection": True},
    {"errorCode": 91},
    {"errorCode": 11600},
    # The command was executed, and yet its answer is an error.
    {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
    {"writeConcernError": {"code": 91, "errmsg": "shutting down"}},
    {"writeConcernError": {"code": 11600, "errmsg": "interrupted at shutdown"}},
]


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_write_that_fails_twice_is_executed_once(store, raw, failing, name, fault):
    raw.org_acme.insert_many(FEW)
    failing(VERBS[name], {"times": 2}, **fault)
    WRITES[name](store)
    assert content(raw) == AFTERWARDS[name]


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("renamed", [False, True])
def test_a_write_whose_answer_was_lost_is_executed_once(
    over_the_line, line, raw, fake, acme, name, renamed
):
    raw.org_acme.insert_many(FEW)
    line.break_after(VERBS[name], (lambda: fake.rename(acme, "other")) if renamed else str)
    WRITES[name](over_the_line.by_id(acme))
    assert line.broken_at == [VERBS[name]]
    assert content(raw) == AFTERWARDS[name]


@pytest.mark.parametrize("verb", ["update", "commitTransaction", "find"])
def test_a_batch_whose_answer_was_lost_is_executed_once(over_the_line, line, raw, acme, verb):
    raw.org_acme.insert_many(FEW)
    store = over_the_line.by_id(acme)
    store.find_one()
    line.break_after(verb)
    assert told(store.update_many({"n": 0}, {"$inc": {"n": 1}})) == (4, 4)
    assert line.broken_at == [verb]
    assert content(raw) == AFTERWARDS["update_many"]


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        ("update", {"closeConnection": True}),
        ("update", {"errorCode": 91}),
        ("commitTransaction", {"closeConnection": True}),
        ("commitTransaction", {"errorCode": 91}),
        ("commitTransaction", {"writeConcernError": {"code": 91, "errmsg": "shutting down"}}),
        ("commitTransaction", {"writeConcernError": {"code": 64, "errmsg": "timed out"}}),
    ],
)
@pytest.mark.parametrize("name", ["update_many", "transaction"])
def test_a_batch_that_fails_is_executed_once(store, raw, failing, verb, fault, name):
    raw.org_acme.insert_many(FEW)
    failing(verb, {"times": 2}, **fault)
    if name == "transaction" and verb == "update":
        with pytest.raises(PyMongoError) as stopped:
            WRITES[name](store)
        assert stopped.value.has_error_label("TransientTransactionError")
        assert content(raw) == FEW
    else:
        WRITES[name](store)
        assert content(raw) == AFTERWARDS[name]


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("fault", [{"closeConnection": True}, {"errorCode": 11600}], ids=repr)
def test_a_read_that_fails_is_sent_again(store, failing, name, fault):
    store.insert_many(map(dict, FEW))
    expected = READS[name](store)
    verbs = {"find": "find", "find_one": "find", "list_indexes": "listIndexes"}
    failing(verbs.get(name, "aggregate"), {"times": 2}, **fault)
    assert READS[name](store) == expected


@pytest.mark.parametrize("name", [*WRITES, *READS])
@pytest.mark.parametrize(
    "fault",
    [{"closeConnection": True}, {"blockConnection": True, "blockTimeMS": 400}],
    ids=repr,
)
def test_a_server_that_stays_away_is_told_in_the_callers_time(store, failing, name, fault):
    store.insert_many(map(dict, FEW))
    verbs = ["insert", "update", "delete", "find", "aggregate", "findAndModify", "listIndexes"]
    failing("ping", "alwaysOn", failCommands=verbs, **fault)
    begin = time.monotonic()
    with pytest.raises(PyMongoError) as away, pymongo.timeout(0.2):
        {**WRITES, **READS}[name](store)
    assert away.value.timeout or away.value.has_error_label("TransientTransactionError")
    assert time.monotonic() - begin < 1.2


@pytest.mark.parametrize("name", VERBS)
def test_a_write_that_no_majority_has_is_not_acknowledged(store, failing, name):
    store.insert_many(map(dict, FEW))
    unknown = {"code": 64, "errmsg": "waiting for replication timed out"}
    failing(VERBS[name], "alwaysOn", writeConcernError=unknown)
    with pytest.raises(PyMongoError) as away, pymongo.timeout(0.3):
        WRITES[name](store)
    assert away.value.timeout
    never = {"code": 100, "errmsg": "not enough members"}
    failing(VERBS[name], "alwaysOn", writeConcernError=never)
    with pytest.raises(WriteConcernError):
        WRITES[name](store)


def test_a_batch_whose_end_stays_unknown_is_never_begun_again(store, raw, failing, monkeypatch):
    raw.org_acme.insert_many(FEW)
    monkeypatch.setattr(limits, "TRANSACTION_SECONDS", 0.5)
    unknown = {"code": 91, "errmsg": "shutting down"}
    failing("commitTransaction", "alwaysOn", writeConcernError=unknown)
    with pytest.raises(PyMongoError):
        store.update_many({"n": 0}, {"$inc": {"n": 1}})
    assert content(raw) == AFTERWARDS["update_many"]


def test_a_write_during_an_operation_that_doesnt_end_ends_in_the_callers_time(
    store, fake, acme, raw
):
    with fake.fenced(acme):
        with pytest.raises(PyMongoError) as away, pymongo.timeout(0.5):
            store.insert_one({"_id": 1})
        assert away.value.timeout
    store.insert_one({"_id": 1})
    assert content(raw) == [{"_id": 1}]


def test_a_write_during_an_operation_waits_for_its_end(store, fake, acme, raw):
    held = fake.fence(acme, 0.2)
    store.insert_one({"_id": 1})
    held.join()
    assert content(raw) == [{"_id": 1}]
