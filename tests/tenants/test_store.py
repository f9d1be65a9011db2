"""The store of a tenant's documents."""

import sys
import threading
import time
from datetime import UTC, datetime
from uuid import uuid4

import bson
import pymongo
import pytest
from bson import Code, DBRef, Int64, ObjectId, Regex
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError, WriteConcernError

from portal.database.connection import (
    client,
    is_unavailable,
    retryable_write_client,
    tenant_database,
)
from portal.database.transactions import forbid_in_transaction, transaction
from portal.tenants import store as portal_store
from portal.tenants.collections import rename_collection
from portal.tenants.errors import DocumentExists, PartialWrite, QueryRefused
from portal.tenants.store import Changed, Key, Placement, TenantStore
from tests.factories import a_collection
from tests.processes import at_once


class Nowhere(Exception):
    """What the tests' ``locate`` raises where the store must not go."""


@pytest.fixture
def uuid(tenant_db):
    return a_collection(tenant_db, "org_a")


def a_store(database, uuid, name, locate):
    return TenantStore(
        client(), retryable_write_client(), Placement(database.name, name, uuid), locate,
        guard=forbid_in_transaction,
    )  # fmt: skip


@pytest.fixture
def store(tenant_db, uuid):
    """A store that may go on as org_a and org_b."""

    def locate(found):
        if found not in ("org_a", "org_b"):
            raise Nowhere(found)
        return found

    return a_store(tenant_db, uuid, "org_a", locate)


@pytest.fixture
def raw(bare_client, tenant_db):
    """The tenant database, without the portal."""
    return bare_client[tenant_db.name]


@pytest.fixture
def renaming(tenant_db, uuid):
    """Renames the collection to and fro until the test has what it wants."""
    stopped, names = threading.Event(), ["org_a", "org_b"]

    def rename():
        while not stopped.is_set():
            rename_collection(tenant_db, uuid, *names)
            names.reverse()

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


def ids_in_pages(store, query=None, **options):
    page = store.find(query or {}, **options)
    ids = [document["_id"] for document in page.documents]
    while page.after:
        page = store.find(query or {}, after=page.after, **options)
        ids += [document["_id"] for document in page.documents]
    return ids


# Reading


def test_a_document_comes_back_as_it_was_with_aware_times_and_native_uuids(store):
    document = {"_id": uuid4(), "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "deep": [{"a": 1}]}
    store.insert_one(document)
    assert store.get(document["_id"]) == document
    assert store.find({}).documents == [document]
    assert store.aggregate([{"$match": {}}]) == [document]
    assert store.get(document["_id"])["at"].utcoffset().total_seconds() == 0


@pytest.mark.parametrize("query", [{"$gt": ""}, {"$exists": True}, Regex(".*"), None, ["a"]])
def test_an_id_is_a_value_and_never_a_query(store, query):
    store.insert_many([{"_id": "a"}, {"_id": 1}])
    assert store.get(query) is None


IDS = [None, 1, 2.5, Int64(2**60), "$a", "b", {"$a": 1}, {"a": 1}, ObjectId(), uuid4(), False,
       datetime(2026, 1, 1, tzinfo=UTC)]  # fmt: skip


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("size", [1, 5, 6, 100])
def test_pages_show_ids_of_all_types_each_once_in_order(store, raw, size, newest_first):
    ids = [key for key in IDS if key != {"$a": 1}]  # which the server takes for none
    raw.org_a.insert_many({"_id": key} for key in ids)
    ordered = [found["_id"] for found in raw.org_a.find(sort={"_id": -1 if newest_first else 1})]
    assert len(ordered) == len(ids)
    assert ids_in_pages(store, size=size, newest_first=newest_first) == ordered


def test_a_key_is_a_value_and_never_an_expression(store):
    store.insert_many([{"_id": "a"}, {"_id": "b"}])
    for key in ("$_id", "$$ROOT", {"$toLower": "A"}, ["$_id"]):
        assert isinstance(store.find({}, after=Key(key), newest_first=False).documents, list)
    assert store.find({}, after=Key("$_id"), newest_first=False).documents[0]["_id"] == "a"


def test_a_page_has_as_many_as_asked_for_and_says_whether_there_are_more(store):
    store.insert_many({"_id": n, "even": n % 2 == 0} for n in range(10))
    page = store.find({"even": True}, size=5)
    assert [document["_id"] for document in page.documents] == [8, 6, 4, 2, 0]
    assert page.after is None
    assert store.find({"even": True}, size=4).after == Key(2)
    assert store.find({"even": None}).documents == []
    for size in (0, -1, 1001):
        with pytest.raises(QueryRefused):
            store.find({}, size=size)


def test_pages_go_on_where_an_answer_is_full_at_16_mb(store):
    store.insert_many({"_id": n, "x": "x" * 5_000_000} for n in range(8))
    assert len(store.find({}, size=8).documents) < 8
    assert ids_in_pages(store, size=8) == list(range(7, -1, -1))


def test_counting_counts_what_matches(store):
    store.insert_many({"_id": n} for n in range(30))
    assert store.count({}) == 30
    assert store.count({"_id": {"$lt": 7}}) == 7
    assert store.count({"_id": "x"}) == 0


def test_an_aggregation_answers_whole_or_not_at_all(store):
    store.insert_many({"_id": n, "x": "x" * 5_000_000} for n in range(4))
    grouped = store.aggregate([{"$group": {"_id": None, "n": {"$sum": 1}}}])
    assert grouped == [{"_id": None, "n": 4}]
    with pytest.raises(QueryRefused, match="16 MB"):
        store.aggregate([{"$match": {}}])


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


@pytest.mark.parametrize("query", [*CODE, None, [], "x", 1, deep(2000)])
def test_a_filter_that_runs_code_or_is_none_is_refused_everywhere(store, commands, query):
    commands.clear()
    uses = [
        lambda: store.find(query),
        lambda: store.count(query),
        lambda: store.update_one(query, {"$set": {"a": 1}}),
        lambda: store.replace_one(query, {}),
        lambda: store.delete_one(query),
        lambda: store.update_many(query, {"$set": {"a": 1}}),
        lambda: store.delete_many(query),
        lambda: store.aggregate([{"$match": query}]),
        lambda: store.update_one({}, {"$pull": {"a": query}}),
    ]
    for use in uses if isinstance(query, dict) else uses[:-2]:
        with pytest.raises(QueryRefused):
            use()
    assert commands == []


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
def test_a_pipeline_that_reaches_elsewhere_or_runs_code_is_refused(store, raw, commands, pipeline):
    commands.clear()
    with pytest.raises(QueryRefused):
        store.aggregate(pipeline)
    with pytest.raises(QueryRefused):
        store.update_one({}, pipeline if isinstance(pipeline, list) else [pipeline])
    assert commands == []


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
    assert store.get(1) == {"_id": 1, "keep": True}


@pytest.mark.parametrize("document", [{"$set": {"a": 1}}, [{"$set": {"a": 1}}], None, "x"])
def test_a_replacement_that_would_update_is_refused(store, document):
    with pytest.raises(QueryRefused):
        store.replace_one({}, document)


def test_data_may_look_like_code(store):
    store.insert_one({"_id": 1, "a": {"$where": "x"}, "tags": ["old", "new"]})
    store.update_one({"_id": 1}, {"$set": {"b": {"$function": 1}}, "$pull": {"tags": "old"}})
    assert store.get(1) == {"_id": 1, "a": {"$where": "x"}, "b": {"$function": 1}, "tags": ["new"]}


# Writing


def test_a_document_without_an_id_gets_one_and_stays_the_callers(store):
    document = {"a": 1}
    document_id = store.insert_one(document)
    assert isinstance(document_id, ObjectId)
    assert document == {"a": 1}
    ids = store.insert_many([document, {"_id": None}, {"_id": 7}])
    assert ids[1:] == [None, 7]
    assert store.count({}) == 4


def test_writes_tell_what_they_did(store):
    store.insert_many({"_id": n, "a": n} for n in range(5))
    assert store.update_one({"a": {"$gt": 2}}, {"$inc": {"b": 1}}) == Changed(1, 1)
    assert store.update_one({"_id": 0}, [{"$set": {"b": {"$add": ["$a", 5]}}}]) == Changed(1, 1)
    assert store.update_one({"_id": 0}, {"$set": {"b": 5}}) == Changed(1, 0)
    assert store.update_one({"_id": 9}, {"$set": {"b": 5}}) == Changed(0, 0)
    assert store.replace_one({"_id": 1}, {"c": 1}) == Changed(1, 1)
    assert store.get(1) == {"_id": 1, "c": 1}
    assert store.delete_one({"_id": 1}) == 1
    assert store.delete_one({"_id": 1}) == 0
    assert store.update_many({"a": {"$gte": 3}}, {"$set": {"d": 1}}) == Changed(2, 2)
    assert store.delete_many({"d": 1}) == 2
    assert [found["_id"] for found in store.find({}).documents] == [2, 0]


def test_a_key_that_exists_is_told_and_nothing_changed(store, raw):
    raw.org_a.create_index("u", unique=True)
    store.insert_many([{"_id": 1, "u": 1}, {"_id": 2, "u": 2}])
    with pytest.raises(DocumentExists) as refused:
        store.insert_one({"_id": 1})
    assert refused.value.key == {"_id": 1}
    for use in (store.update_one, store.update_many):
        with pytest.raises(DocumentExists) as refused:
            use({"_id": 2}, {"$set": {"u": 1}})
        assert refused.value.key == {"u": 1}
    with pytest.raises(DocumentExists):
        store.replace_one({"_id": 2}, {"u": 1})
    assert content(raw) == [{"_id": 1, "u": 1}, {"_id": 2, "u": 2}]


def test_inserting_many_stops_at_what_exists_and_says_how_many_were_before(store):
    store.insert_one({"_id": 700})
    with pytest.raises(PartialWrite) as stopped:
        store.insert_many({"_id": n} for n in range(2000))
    assert stopped.value.done == 700
    assert stopped.value.__cause__ == DocumentExists(700, {"_id": 700})
    assert store.count({}) == 701
    with pytest.raises(DocumentExists):
        store.insert_many([{"_id": 1}, {"_id": 5000}])
    assert store.get(5000) is None


def test_inserting_many_says_how_many_were_before_what_the_server_refuses(store, tenant_db):
    tenant_db.command({"collMod": "org_a", "validator": {"a": {"$exists": True}}})
    with pytest.raises(PartialWrite) as stopped:
        store.insert_many([{"_id": 1, "a": 1}, {"_id": 2}, {"_id": 3, "a": 1}])
    assert stopped.value.done == 1
    assert store.count({}) == 1


def test_inserting_many_says_how_many_were_before_what_cant_be_encoded(store):
    with pytest.raises(PartialWrite) as stopped:
        store.insert_many([*({"_id": n} for n in range(600)), {"_id": object()}])
    assert stopped.value.done == store.count({}) == 500


def test_a_batch_that_fails_changes_nothing_and_leaves_those_before(store, raw):
    """A unique key breaks in the second batch."""
    raw.org_a.create_index("u", unique=True, sparse=True)
    store.insert_many({"_id": n, "v": n} for n in range(1400))
    for wrong in (700, 800):
        store.update_one({"_id": wrong}, {"$set": {"v": -1}})
    set_u = [{"$set": {"done": True, "u": {"$cond": [{"$eq": ["$v", -1]}, -1, "$_id"]}}}]
    with pytest.raises(PartialWrite) as stopped:
        store.update_many({}, set_u)
    assert stopped.value.done == 500
    assert isinstance(stopped.value.__cause__, DocumentExists)
    assert store.count({"done": True}) == 500
    assert store.count({"done": True, "_id": {"$gte": 500}}) == 0


def test_large_documents_are_inserted_in_parts_that_fit(store):
    store.insert_many({"_id": n, "x": "x" * 6_000_000} for n in range(5))
    just_fits = "x" * (16 * 1024 * 1024 - 100)
    store.insert_one({"_id": "large", "x": just_fits})
    store.insert_many([{"_id": "larger", "x": just_fits}, {"_id": "small"}])
    assert store.count({}) == 8


def test_what_the_server_refuses_is_raised(store):
    store.insert_one({"_id": 1, "a": "text"})
    for use in (store.update_one, store.update_many):
        with pytest.raises(OperationFailure):
            use({"_id": 1}, {"$inc": {"a": 1}})
    assert store.get(1) == {"_id": 1, "a": "text"}


def test_threads_share_a_store(store, switching):
    """A number is drawn when its session is held: one drawn before might come there too late."""
    store.insert_one({"_id": 1, "n": 0})

    def count_up():
        for _ in range(100):
            store.update_one({"_id": 1}, {"$inc": {"n": 1}})
        return True

    assert all(at_once([count_up] * 8))
    assert store.get(1)["n"] == 800


# Renames

WRITES = {
    "insert_one": lambda store: store.insert_one({"_id": "new"}),
    "insert_many": lambda store: store.insert_many([{"_id": "new"}, {"_id": "newer"}]),
    "update_one": lambda store: store.update_one({"_id": 1}, {"$inc": {"n": 1}}),
    "replace_one": lambda store: store.replace_one({"_id": 1, "n": 0}, {"n": 7}),
    "delete_one": lambda store: store.delete_one({"n": 0}),
    "update_many": lambda store: store.update_many({"n": 0}, {"$inc": {"n": 1}}),
    "delete_many": lambda store: store.delete_many({"_id": {"$gt": 1}}),
}
READS = {
    "get": lambda store: store.get(1),
    "find": lambda store: store.find({}),
    "count": lambda store: store.count({}),
    "aggregate": lambda store: store.aggregate([{"$group": {"_id": "$n"}}]),
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
}
VERBS = {
    "insert_one": "insert",
    "insert_many": "insert",
    "update_one": "update",
    "replace_one": "update",
    "delete_one": "delete",
}


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_no_operation_notices_a_rename_before_it(store, raw, name):
    raw.org_a.insert_many(FEW)
    expected = READS[name](store) if name in READS else None
    raw.org_a.rename("org_b")
    if name in READS:
        assert READS[name](store) == expected
    else:
        WRITES[name](store)
        assert content(raw) == AFTERWARDS[name]
    assert raw.list_collection_names() == ["org_b"]


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_a_strangers_collection_that_took_the_name_stays_untouched(store, raw, name):
    raw.org_a.insert_many(FEW)
    raw.org_a.rename("elsewhere")
    raw.org_a.insert_many(FEW)
    with pytest.raises(Nowhere, match="elsewhere"):
        {**WRITES, **READS}[name](store)
    assert list(raw.org_a.find()) == FEW
    assert list(raw.elsewhere.find()) == FEW


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_nothing_makes_a_collection_that_is_gone(store, raw, name):
    raw.org_a.drop()
    with pytest.raises(Nowhere, match="None"):
        {**WRITES, **READS}[name](store)
    assert raw.list_collection_names() == []


@pytest.mark.slow
def test_pages_go_on_through_renames(store, raw, renaming):
    raw.org_a.insert_many({"_id": n} for n in range(2000))
    stop = renaming()
    assert ids_in_pages(store, size=10, newest_first=False) == list(range(2000))
    assert store.count({}) == 2000
    stop()


@pytest.mark.slow
def test_inserting_many_goes_on_through_renames(store, raw, renaming):
    stop = renaming()
    assert store.insert_many({"_id": n, "x": "x" * 200} for n in range(20_000)) == [*range(20_000)]
    stop()
    assert [found["_id"] for found in content(raw)] == list(range(20_000))


def test_an_insert_that_a_rename_stopped_in_the_middle_goes_on_there(
    store, raw, bare_client, failing
):
    """The server itself says at which document it stopped."""
    bare_client.admin.command(
        {"configureFailPoint": "hangDuringBatchInsert", "mode": {"skip": 1}, "data": {}}
    )
    try:
        inserting = threading.Thread(
            target=lambda: store.insert_many({"_id": n, "x": "x" * 4000} for n in range(500))
        )
        inserting.start()
        bare_client.admin.command(
            {"waitForFailPoint": "hangDuringBatchInsert", "timesEntered": 1, "maxTimeMS": 10_000}
        )
        some = raw.org_a.count_documents({})
        raw.org_a.rename("org_b")
    finally:
        bare_client.admin.command({"configureFailPoint": "hangDuringBatchInsert", "mode": "off"})
    inserting.join()
    assert 0 < some < 500
    assert [found["_id"] for found in content(raw)] == list(range(500))


@pytest.mark.slow
def test_counting_up_many_counts_each_once_through_renames(store, raw, renaming):
    raw.org_a.insert_many({"_id": n, "n": 0} for n in range(5000))
    stop = renaming()
    for _ in range(3):
        assert store.update_many({}, {"$inc": {"n": 1}}) == Changed(5000, 5000)
    assert store.delete_many({"_id": {"$lt": 2000}}) == 2000
    stop()
    assert content(raw) == [{"_id": n, "n": 3} for n in range(2000, 5000)]


def test_two_stores_never_see_each_other(store, tenant_db, raw):
    other = a_store(tenant_db, a_collection(tenant_db, "org_c"), "org_c", str)
    store.insert_one({"_id": "mine"})
    other.insert_one({"_id": "theirs"})
    raw.org_a.rename("was_a")
    raw.org_c.rename("org_a")
    raw.was_a.rename("org_c")
    assert [found["_id"] for found in other.find({}).documents] == ["theirs"]
    with pytest.raises(Nowhere):
        store.find({})


# A server that fails


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize(
    "fault",
    [
        {"closeConnection": True},
        {"errorCode": 91},
        {"errorCode": 11600},
        # The command was executed, and yet its answer is an error.
        {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
        {"writeConcernError": {"code": 91, "errmsg": "shutting down"}},
        {"writeConcernError": {"code": 11600, "errmsg": "interrupted at shutdown"}},
    ],
    ids=repr,
)
def test_a_write_that_fails_twice_is_executed_once(store, raw, failing, name, fault):
    raw.org_a.insert_many(FEW)
    failing(VERBS[name], {"times": 2}, appName="portal", **fault)
    WRITES[name](store)
    assert content(raw) == AFTERWARDS[name]


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("renamed", [False, True])
def test_a_write_whose_answer_was_lost_is_executed_once(line, raw, name, renamed, uuid):
    raw.org_a.insert_many(FEW)
    store = a_store(tenant_database(), uuid, "org_a", str)
    line.break_after(VERBS[name], (lambda: raw.org_a.rename("org_b")) if renamed else str)
    WRITES[name](store)
    assert line.broken_at == [VERBS[name]]
    assert content(raw) == AFTERWARDS[name]


@pytest.mark.parametrize("verb", ["update", "commitTransaction", "find"])
def test_a_batch_whose_answer_was_lost_is_executed_once(line, raw, uuid, verb):
    raw.org_a.insert_many(FEW)
    store = a_store(tenant_database(), uuid, "org_a", str)
    line.break_after(verb)
    assert store.update_many({"n": 0}, {"$inc": {"n": 1}}) == Changed(4, 4)
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
def test_a_batch_that_fails_is_executed_once(store, raw, failing, verb, fault):
    raw.org_a.insert_many(FEW)
    failing(verb, {"times": 2}, appName="portal", **fault)
    assert store.update_many({"n": 0}, {"$inc": {"n": 1}}) == Changed(4, 4)
    assert content(raw) == AFTERWARDS["update_many"]


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("fault", [{"closeConnection": True}, {"errorCode": 11600}], ids=repr)
def test_a_read_that_fails_is_sent_again(store, failing, name, fault):
    store.insert_many(FEW)
    expected = READS[name](store)
    verb = "find" if name in ("get", "find") else "aggregate"
    failing(verb, {"times": 2}, appName="portal", **fault)
    assert READS[name](store) == expected


@pytest.mark.parametrize("name", [*WRITES, *READS])
@pytest.mark.parametrize(
    "fault",
    [{"closeConnection": True}, {"blockConnection": True, "blockTimeMS": 400}],
    ids=repr,
)
def test_a_server_that_stays_away_is_told_in_the_callers_time(store, failing, name, fault):
    store.insert_many(FEW)
    verbs = ["insert", "update", "delete", "find", "aggregate"]
    failing("ping", "alwaysOn", failCommands=verbs, appName="portal", **fault)
    begin = time.monotonic()
    with pytest.raises(PyMongoError) as away, pymongo.timeout(0.2):
        {**WRITES, **READS}[name](store)
    assert is_unavailable(away.value)
    assert time.monotonic() - begin < 1.2


@pytest.mark.parametrize("name", VERBS)
def test_a_write_that_no_majority_has_is_not_acknowledged(store, failing, name):
    store.insert_many(FEW)
    unknown = {"code": 64, "errmsg": "waiting for replication timed out"}
    failing(VERBS[name], "alwaysOn", appName="portal", writeConcernError=unknown)
    with pytest.raises(PyMongoError) as away, pymongo.timeout(0.3):
        WRITES[name](store)
    assert is_unavailable(away.value)
    never = {"code": 100, "errmsg": "not enough members"}
    failing(VERBS[name], "alwaysOn", appName="portal", writeConcernError=never)
    with pytest.raises(WriteConcernError):
        WRITES[name](store)


def test_a_batch_whose_end_stays_unknown_is_never_begun_again(store, raw, failing, monkeypatch):
    raw.org_a.insert_many(FEW)
    monkeypatch.setattr(portal_store, "TRANSACTION_SECONDS", 0.5)
    unknown = {"code": 91, "errmsg": "shutting down"}
    failing("commitTransaction", "alwaysOn", appName="portal", writeConcernError=unknown)
    with pytest.raises(PyMongoError) as away:
        store.update_many({"n": 0}, {"$inc": {"n": 1}})
    assert is_unavailable(away.value)
    assert content(raw) == AFTERWARDS["update_many"]


def test_a_write_that_nobody_locates_ends_in_the_callers_time(tenant_db, uuid, raw):
    """As while an operation runs that doesn't end."""
    raw.org_a.rename("elsewhere")
    store = a_store(tenant_db, uuid, "org_a", lambda found: "org_a")
    with pytest.raises(PyMongoError) as away, pymongo.timeout(0.5):
        store.insert_one({"_id": 1})
    assert is_unavailable(away.value)
    raw.elsewhere.rename("org_a")
    store.insert_one({"_id": 1})
    assert content(raw) == [{"_id": 1}]


def test_the_drivers_own_numbers_stay_off_the_stores_client():
    """Else the server would refuse them: each number must be higher than the session's last."""
    assert retryable_write_client().options.retry_writes is False


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_nothing_passes_for_a_part_of_a_transaction(store, raw, name):
    raw.org_a.insert_many(FEW)
    with pytest.raises(RuntimeError):
        transaction(lambda: {**WRITES, **READS}[name](store))
    assert content(raw) == FEW
