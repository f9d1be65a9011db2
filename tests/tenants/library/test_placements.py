"""The same answers and errors by each strategy, and nothing that crosses between organizations that
share a collection."""

import copy
import math
import re
from typing import NamedTuple

import bson
import pymongo
import pytest
from bson import MaxKey, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from pymongo.errors import BulkWriteError, PyMongoError

from tests.tenants.library import operations
from tests.tenants.library.conftest import APPLICATION, library

errors = library("errors")
shared_placement = library("placements.shared")

STANDARD = operations.STANDARD
STORED = [
    {"_id": 1, "a": 1, "n": 1}, {"_id": 2, "a": 2, "n": 2}, {"_id": "a", "a": [1, 2]},
    {"_id": {"x": 1}, "a": {"b": 1}}, {"_id": {"o": 1, "i": 2}, "b": 0},
    {"_id": operations.OBJECT_IDS[0], "a": 1},
]  # fmt: skip
TOLD = ("inserted_id", "inserted_ids", "matched_count", "modified_count", "upserted_id",
        "deleted_count", "bulk_api_result")  # fmt: skip
POOL = 1


class Placed:
    """An organization by each strategy, and others in the same shared collection, with the same
    ``_id``s."""

    def __init__(self, fake, tenants, neighbours):
        fake.clear()
        self.neighbours = [fake.create(f"neighbour-{n}", "shared") for n in range(neighbours)]
        self.ids = {
            strategy: fake.create(strategy, strategy)
            for strategy in ("collection", "database", "shared")
        }
        self.stores = {strategy: tenants.by_id(each) for strategy, each in self.ids.items()}
        self.pool = fake.data[fake.pool(POOL).names[0]]
        self.raw = {
            strategy: fake.client[placement["database"]][placement["collection"]]
            for strategy in ("collection", "database")
            for placement in [fake.entry(strategy)["placement"]]
        }
        self.fill_neighbours()
        self.others = {"_id.o": {"$ne": self.ids["shared"]}}
        self.before = self.untouched()

    def fill(self, strategy):
        """Begin with the same documents, by no way of the library's."""
        if strategy == "shared":
            self.pool.delete_many({"_id.o": {"$nin": self.neighbours}})
            self._fill_pool(self.ids[strategy])
        else:
            self.raw[strategy].delete_many({})
            self.raw[strategy].insert_many(copy.deepcopy(STORED))

    def begin_indexes(self):
        """Have own collections have the index ``a_1``, and no other."""
        for each in self.raw.values():
            each.drop_indexes()
            each.create_index("a")

    def drop_indexes(self):
        for each in self.raw.values():
            each.drop_indexes()

    def disturb(self):
        """Write to a neighbour, and take it back."""
        self.pool.insert_one({"_id": {"o": self.neighbours[0], "i": "new"}, "theirs": True})
        self.pool.delete_one({"_id": {"o": self.neighbours[0], "i": "new"}})

    def untouched(self):
        """All that isn't the organization's, encoded."""
        found = self.pool.with_options(STANDARD.with_options(document_class=RawBSONDocument))
        return [bytes(each.raw) for each in found.find(self.others, sort={"_id": 1})]

    def check(self):
        """Each stored document is of an organization, and the neighbours' are as they were."""
        assert self.untouched() == self.before
        of_own = {"_id": {"$gt": {"o": self.ids["shared"]},
                          "$lt": {"o": self.ids["shared"], "i": MaxKey(), "x": 0}}}  # fmt: skip
        own = self.pool.count_documents(of_own)
        assert own + len(self.before) == self.pool.count_documents({})

    def fill_neighbours(self):
        """Begin with others' documents, by which they may be told apart."""
        self.pool.delete_many({"_id.o": {"$in": self.neighbours}})
        for each in self.neighbours:
            self._fill_pool(each, theirs=True)

    def _fill_pool(self, organization, **others):
        self.pool.insert_many(
            {**copy.deepcopy(each), "_id": {"o": organization, "i": each["_id"]}, **others}
            for each in STORED
        )


@pytest.fixture(
    scope="module", params=[1, pytest.param(49, marks=pytest.mark.full)], ids="beside {}".format
)
def placed(request, shared_fake):
    with library().Tenants(shared_fake.uri, tz_aware=True, appname=APPLICATION) as tenants:
        yield Placed(shared_fake, tenants, request.param)


class Unavailable(NamedTuple):
    """The refusal of what a shared collection hasn't, after so many that were ``done``."""

    what: str
    done: int = 0


class Undone(Exception):
    """Has a transaction be aborted."""


def outcome(store, operation, disturb=lambda: None):
    """The result or error of an operation, with the same placeholder for all that is new, though
    others are disturbed meanwhile."""
    try:
        if operation[0] in operations.TOGETHER:
            return together(store, disturb, *operation)
        return answer(store, operation)
    except errors.NeedsOwnPlacement as error:
        return Unavailable(error.what)
    except errors.PartialWrite as error:
        if isinstance(error.__cause__, errors.NeedsOwnPlacement):
            return Unavailable(error.__cause__.what, error.done)
        return "PartialWrite", error.done, getattr(error.__cause__, "code", None)


def answer(store, operation):
    """The outcome, unless it is a refusal or is of a part."""
    name, arguments, options = copy.deepcopy(operation)
    try:
        result = getattr(store, name)(*arguments, **options)
        if hasattr(result, "to_list"):
            result = result.to_list()
    except BulkWriteError as error:
        failed = [
            (each["index"], code_of(each["code"], *written_by(operation, each["index"])))
            for each in error.details["writeErrors"]
        ]
        return "BulkWriteError", failed, {n: v for n, v in error.details.items() if n[0] == "n"}
    except (PyMongoError, errors.QueryRefused, errors.NotOffered, TypeError) as error:
        key = comparable((getattr(error, "details", None) or {}).get("keyValue"))
        code = code_of(getattr(error, "code", None), *written_by(operation))
        return type(error).__name__, code, key
    told = {key: getattr(result, key) for key in TOLD if hasattr(result, key)}
    if name == "replace_one" and options.get("upsert"):
        told.pop("modified_count", None)  # of one that was equal before, which is told anyhow
    ordered = options.get("sort") or (name == "aggregate" and is_ordered(arguments[0]))
    if not told and isinstance(result, list) and not ordered:
        return in_order(result)
    return comparable(told or result)


def together(store, disturb, name, arguments, options):
    """The outcomes of several operations: in a transaction, or of the changes that a stream tells
    of them."""
    calls, how = copy.deepcopy(arguments)
    if name == "watch":
        return watched(store, disturb, calls, how, options)
    told = []

    def body(transaction):
        told.clear()
        for call in calls:
            if not is_of_one(transaction, call):
                return
            told.append(outcome(transaction, call))
            disturb()
            if isinstance(told[-1], Unavailable | tuple):  # the server has aborted it, or it should
                raise Undone
        if not how:
            raise Undone

    try:
        if name == "with_transaction":
            store.with_transaction(body)
        else:
            with store.transaction() as transaction:
                body(transaction)
    except Undone:
        unavailable = next((each for each in told if isinstance(each, Unavailable)), None)
        return Unavailable(unavailable.what) if unavailable else ["undone", *told]
    return told


# Of a change, what isn't of its time or place.
ELSEWHERE = ("_id", "ns", "clusterTime", "wallTime", "lsid", "txnNumber", "collectionUUID")


def watched(store, disturb, calls, pipeline, options):
    """The outcomes of the operations, and the changes by them."""
    told, changes = [], []
    with store.watch(pipeline, max_await_time_ms=20, **options) as stream:
        for call in calls:
            if not is_of_one(store, call):
                break
            told.append(outcome(store, call))
            disturb()
            if isinstance(told[-1], Unavailable):
                break
        store.insert_one(copy.deepcopy(operations.END))
        while not changes or changes[-1]["documentKey"] != operations.END:
            changes.append({k: v for k, v in next(stream).items() if k not in ELSEWHERE})
    if told and isinstance(told[-1], Unavailable):
        return Unavailable(told[-1].what, 1)
    return told, in_order(changes)


def replaces_or_inserts(operation):
    """Tell whether it has a replacement that upserts: in a shared collection that is a pipeline,
    which changes, and has told, what differs."""
    name, arguments, options = operation
    if name == "bulk_write":
        return any(isinstance(each, pymongo.ReplaceOne) and each._upsert for each in arguments[0])
    return "replace" in name and bool(options.get("upsert") or (arguments[4:5] or [False])[0])


def code_of(code, query=None, update=None, upsert=False):
    """The code, but for one of an upsert that finds by an ``_id`` that can't be stored, and changes
    ``_id`` too: it is refused for both, and servers tell either."""
    twice = upsert and has(query, *operations.UNSTORABLE) and "_id" in repr(update)
    return "refused" if twice and code in (14, 28, 53, 54, 66) else code


def written_by(operation, index=0):
    """The filter and the update of a statement of an operation that has both, and if it upserts."""
    name, arguments, options = operation
    if name == "bulk_write":
        request = arguments[0][index]
        if isinstance(request, pymongo.UpdateOne | pymongo.UpdateMany | pymongo.ReplaceOne):
            return request._filter, request._doc, bool(request._upsert)
        return ()
    if name.startswith(("find_one_and_update", "find_one_and_replace")):
        return (*arguments[:2], arguments[4])
    if name.startswith(("update", "replace")):
        return (*arguments[:2], options["upsert"])
    return ()


def has(value, *sought):
    """True where a filter has one of the values, at any depth."""
    if value in sought:
        return True
    inside = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and any(has(each, *sought) for each in inside)


# What the library's README says isn't there: by the words of the refusal, what is in the operation.
UNAVAILABLE = {
    "an index": lambda told, upserts: re.match(r"\('(create|drop)_index'", told),
    r"\$jsonSchema with nothing": lambda told, upserts: "{'nothing': 1}" in told,
    "the meta value sortKey": lambda told, upserts: "{'$meta': 'sortKey'}" in told,
    "an upsert that finds by a part of _id": lambda told, upserts: upserts and "'_id." in told,
    "an upsert by a pipeline that replaces the document": lambda told, upserts: (
        upserts and re.search(r"\$(replace|unset|project)", told)
    ),
    r"an upsert that makes its _id by \$\w+": lambda told, upserts: upserts and "'_id" in told,
    "an upsert of an empty timestamp": lambda told, upserts: upserts and "Timestamp(0, 0)" in told,
}


def is_unavailable(what, operation):
    """Tell whether an organization in a shared collection is documented not to have this."""
    upserts = any(
        written[2]
        for index in range(len(operation[1][0]) if operation[0] == "bulk_write" else 1)
        if (written := written_by(operation, index))
    )
    calls = operation[1][0] if operation[0] in operations.TOGETHER else ()
    return any(is_unavailable(what, call) for call in calls) or any(
        re.fullmatch(words, what) and shows(repr(operation), upserts)
        for words, shows in UNAVAILABLE.items()
    )


def is_ordered(pipeline):
    names = [next(iter(stage)) for stage in pipeline]
    return "$sort" in names and {*names} <= {"$match", "$sort", "$skip", "$limit", "$set"}


def in_order(values):
    return sorted(
        map(comparable, values), key=lambda each: bson.encode({"": each}, codec_options=STANDARD)
    )


# As the driver makes them: of this century, where those of the operations are of 1970.
NEW_ID = re.compile("[6-7][0-9a-f]{23}")


def comparable(value):
    if isinstance(value, ObjectId) and value not in operations.OBJECT_IDS:
        return "<new>"
    if isinstance(value, str):  # one that was computed of such an id
        return NEW_ID.sub("<new>", value)
    if isinstance(value, Timestamp) and value.time > 1:
        return "<now>"
    if isinstance(value, float) and math.isnan(value):
        return "<nan>"
    if isinstance(value, dict):
        sets = ("ids", "types")  # whose order is anyhow
        return {n: in_order(v) if n in sets else comparable(v) for n, v in value.items()}
    return [comparable(each) for each in value] if isinstance(value, list) else value


def is_of_one(store, operation):
    """True unless more than one document matches where an order decides which one is meant."""
    name, arguments, _ = operation
    if name not in ("update_one", "replace_one", "delete_one"):
        return True
    try:
        return store.count_documents(arguments[0], limit=2) < 2
    except (PyMongoError, errors.QueryRefused):
        return True


def compare(placed, strategy, name, examples):
    own, other = placed.stores["collection"], placed.stores[strategy]

    @given(operation=operations.OPERATIONS[name])
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def compared(operation):
        for each in ("collection", strategy):
            placed.fill(each)
        if name in operations.OF_INDEXES:
            placed.begin_indexes()
        if not is_of_one(own, operation):
            return
        if name == "watch" and any(map(replaces_or_inserts, operation[1][0])):
            return
        found = outcome(other, operation, placed.disturb)
        if isinstance(found, Unavailable):
            assert strategy == "shared"
            assert is_unavailable(found.what, operation), (found, operation)
        else:
            assert found == outcome(own, operation), operation
        if name not in operations.READING:
            placed.check()
            if not isinstance(found, Unavailable) or not found.done:
                assert in_order(other.find()) == in_order(own.find()), operation
        if name in operations.OF_INDEXES and strategy != "shared":
            assert in_order(other.list_indexes()) == in_order(own.list_indexes()), operation

    try:
        compared()
    finally:
        placed.drop_indexes()


def test_every_operation_of_the_library_is_compared():
    tenant = library().Tenant
    offered = {each for each in dir(tenant) if callable(getattr(tenant, each)) and each[0] != "_"}
    of_the_handle = {"with_options", "resolve"}
    assert offered - of_the_handle == {name.split()[0] for name in operations.OPERATIONS}


@pytest.mark.parametrize("name", operations.OPERATIONS)
def test_a_shared_collection_gives_an_own_ones_answers_and_errors(placed, name):
    compare(placed, "shared", name, 3 if name in operations.TOGETHER else 12)


@pytest.mark.full
@pytest.mark.parametrize("strategy", ["database", "shared"])
@pytest.mark.parametrize("name", operations.OPERATIONS)
def test_every_strategy_gives_the_same_answers_and_errors(placed, strategy, name):
    compare(placed, strategy, name, 300)


# The same, with the tenant taken out of one command at a time


def without_tenant(value, *, finding=False):
    """What is sent, without the organization in it."""
    if isinstance(value, RawBSONDocument):
        value = bson.decode(value.raw, STANDARD)
    if isinstance(value, list):
        return [without_tenant(each, finding=finding) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"o", "i"}:
        return value["i"]
    without = {}
    for name, each in value.items():
        inside = finding or name in ("q", "query", "filter", "$match")
        if not (inside and name == "_id" and isinstance(each, dict)):
            without[name] = without_tenant(each, finding=inside)
        elif "i" in each:
            without["_id.i"] = each["i"]
    return without


def each_command(store):
    """One operation or more for each command that is bound to an organization, and whether all that
    it tells is of that one."""
    yield "find", lambda: len(store.find({}).to_list()) == len(STORED)
    yield "find", lambda: store.find_one({"_id": 1}) == STORED[0]
    yield "find", lambda: len(store.find({"$or": [{"_id": 1}, {"a": 1}]}).to_list()) == 3
    yield "aggregate", lambda: store.count_documents({}) == len(STORED)
    yield "aggregate", lambda: len(store.aggregate([{"$sample": {"size": 99}}]).to_list()) == 6
    yield "count", lambda: store.estimated_document_count() == len(STORED)
    yield "insert", lambda: store.insert_one({"_id": "new"}).inserted_id == "new"
    yield "insert", lambda: store.insert_many([{"_id": "new"}]).inserted_ids == ["new"]
    yield "update", lambda: store.update_many({}, {"$set": {"z": 1}}).modified_count == 6
    yield "update", lambda: store.update_one({"_id": "no"}, {"$set": {"z": 1}}, upsert=True)
    yield "update", lambda: store.update_one({"z": 1}, {"$set": {"y": 1}}, upsert=True)
    yield "update", lambda: store.update_one({"z": 1}, [{"$set": {"y": 1}}], upsert=True)
    yield "update", lambda: store.replace_one({"z": 1}, {"y": 1}, upsert=True)
    yield "delete", lambda: store.delete_one({"n": 1}).deleted_count
    yield "delete", lambda: store.delete_many({"n": {"$gt": 0}}).deleted_count == 2
    yield "findAndModify", lambda: store.find_one_and_delete({"n": 1}, sort={"_id": 1})["_id"] == 1
    new = {"upsert": True, "return_document": pymongo.ReturnDocument.AFTER}
    yield "findAndModify", lambda: store.find_one_and_update({"z": 1}, {"$set": {"y": 1}}, **new)
    yield "listIndexes", lambda: [*store.index_information()] == ["_id_"]


KINDS = range(len([*each_command(None)]))


def is_told_apart(placed, kind):
    """Tell whether an operation reaches the organization's documents and no others."""
    placed.fill("shared")
    [*commands] = each_command(placed.stores["shared"])
    try:
        told = commands[kind][1]()
        placed.check()
    except (AssertionError, PyMongoError, TypeError):  # the last where a bare _id is unwrapped
        return False
    finally:
        placed.fill_neighbours()
    return bool(told)


def test_each_command_is_tried_without_its_tenant():
    assert {verb for verb, _ in each_command(None)} == set(shared_placement.BINDING)


def test_indexes_of_others_are_noticed(placed, monkeypatch):
    """The command finds no documents, so that its reply is what is bound."""
    [kind] = (kind for kind, (verb, _) in enumerate(each_command(None)) if verb == "listIndexes")
    bound = shared_placement.Shared.reply

    def unbound(self, verb, reply, codec_options):
        return reply if verb == "listIndexes" else bound(self, verb, reply, codec_options)

    placed.pool.create_index("theirs")
    try:
        assert is_told_apart(placed, kind)
        monkeypatch.setattr(shared_placement.Shared, "reply", unbound)
        assert not is_told_apart(placed, kind)
    finally:
        placed.pool.drop_index("theirs_1")


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_without_its_tenant_is_noticed(placed, monkeypatch, kind):
    assert is_told_apart(placed, kind)
    verb = [*each_command(None)][kind][0]
    if verb == "listIndexes":  # it finds no documents: see above
        return
    bind = shared_placement.BINDING[verb]

    def unbound(*arguments):
        bind(*arguments)
        sent = arguments[1]
        sent.update(without_tenant(sent))

    monkeypatch.setitem(shared_placement.BINDING, verb, unbound)
    assert not is_told_apart(placed, kind)


def forged(other):
    """An ``_id`` as it is stored for another organization."""
    return {"o": other, "i": 1}


# What got past libraries that put a tenant's id into queries: operations that were forgotten, ids
# alone, second queries of one operation, and tenants that the caller names.
ATTEMPTS = {
    "an id of another": lambda s, o: s.find_one(forged(o)),
    "a filter by another": lambda s, o: s.find({"_id.o": o}).to_list(),
    "an alternative": lambda s, o: s.find({"$or": [{"_id": forged(o)}, {"theirs": True}]}).to_list(),
    "all but none": lambda s, o: s.find({"$nor": [{"_id": {"$exists": False}}]}).to_list(),
    "bounds of another": lambda s, o: s.find(
        {"_id": {"$gte": {"o": o}, "$lt": {"o": o, "i": MaxKey(), "x": 0}}}
    ).to_list(),
    "the root": lambda s, o: s.find({"$expr": {"$eq": ["$$ROOT._id.o", o]}}).to_list(),
    "a pipeline by another": lambda s, o: s.aggregate([{"$match": {"_id.o": o}}]).to_list(),
    "a facet": lambda s, o: s.aggregate([{"$facet": {"a": [{"$match": {}}]}}]).to_list(),
    "a sample": lambda s, o: s.aggregate([{"$sample": {"size": 999}}]).to_list(),
    "distinct values": lambda s, o: s.distinct("theirs"),
    "an update of all": lambda s, o: s.update_many({}, {"$set": {"mine": 1}}),
    "an update of an id": lambda s, o: s.update_one({"_id": forged(o)}, {"$set": {"mine": 1}}),
    "a tenant set": lambda s, o: s.update_one({"_id": 1}, {"$set": {"_id.o": o}}),
    "an id set": lambda s, o: s.update_one({"_id": 1}, {"$set": {"_id": forged(o)}}),
    "a tenant by pipeline": lambda s, o: s.update_one({"_id": 1}, [{"$set": {"_id.o": o}}]),
    "an id by pipeline": lambda s, o: s.update_one(
        {"_id": 1}, [{"$replaceWith": {"_id": {"$literal": forged(o)}}}]
    ),
    "a tenant renamed": lambda s, o: s.update_one({"_id": 1}, {"$rename": {"a": "_id.o"}}),
    "a replacement": lambda s, o: s.replace_one({"_id": 1}, {"_id": forged(o), "mine": 1}),
    "an upsert": lambda s, o: s.update_one({"_id": forged(o)}, {"$set": {"b": 1}}, upsert=True),
    "an upsert by filter": lambda s, o: s.update_one({"theirs": {"$exists": True}}, {"$set": {"b": 1}}, True),
    "an upserted replacement": lambda s, o: s.replace_one({"x": 1}, {"_id": forged(o)}, True),
    "an insert": lambda s, o: s.insert_one({"_id": forged(o)}),
    "an insert of many": lambda s, o: s.insert_many([{"_id": forged(o)}, {"o": o, "i": 1}]),
    "a bulk": lambda s, o: s.bulk_write(
        [pymongo.InsertOne({"_id": forged(o)}), pymongo.DeleteMany({"theirs": True})]
    ),
    "a deletion of all": lambda s, o: s.delete_many({}),
    "a deletion of an id": lambda s, o: s.delete_one({"_id": forged(o)}),
    "a deletion and return": lambda s, o: s.find_one_and_delete({"theirs": True}),
    "a count": lambda s, o: s.count_documents({"theirs": True}) or None,
    "another collection": lambda s, o: s.aggregate(
        [{"$lookup": {"from": "shared_1_1", "pipeline": [], "as": "all"}}]
    ).to_list(),
}  # fmt: skip


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_got_past_others_libraries_stays_inside(placed, attempt):
    placed.fill("shared")
    try:
        found = ATTEMPTS[attempt](placed.stores["shared"], placed.neighbours[0])
    except (PyMongoError, errors.QueryRefused):
        found = None
    placed.check()
    assert "theirs" not in repr(found)
    shown = placed.stores["shared"].find().to_list()
    assert "theirs" not in repr(shown)
