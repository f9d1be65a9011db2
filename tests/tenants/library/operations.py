"""Operations of every kind as hypothesis makes them: filters, updates and pipelines that speak of
``_id`` in each way there is."""

from datetime import UTC, datetime
from uuid import UUID

import bson
import pymongo
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import UuidRepresentation
from bson.raw_bson import RawBSONDocument
from hypothesis import strategies as st

STANDARD = bson.CodecOptions(uuid_representation=UuidRepresentation.STANDARD)

OBJECT_IDS = [ObjectId(f"{n:024x}") for n in (1, 2)]
IDS = [
    1, 2, 2.5, 3, Int64(2**40), "a", "b", "$a", "", None, True, {"x": 1}, {"x": 2, "y": 1}, {},
    {"o": 1, "i": 2}, {"i": 1}, *OBJECT_IDS, datetime(2026, 1, 1, tzinfo=UTC), Binary(b"x"),
    UUID(int=7), MinKey(), MaxKey(), Timestamp(1, 1), Decimal128("4.5"), Code("c"),
    {"x": [1, 2]}, DBRef("c", 1), float("nan"),
]  # fmt: skip
UNSTORABLE = [[1], [], Regex("a"), {"$x": 1}]
VALUES = [0, 1, 2, "a", None, [1, 2], {"b": 1}, {"_id": 1}]

ids = st.sampled_from(IDS)
any_ids = st.one_of(ids, ids, ids, st.sampled_from(UNSTORABLE))
values = st.sampled_from(VALUES)
fields = st.sampled_from(["a", "b", "a.b"])

# Filters


def of_one(*choices):
    return st.one_of(*choices)


id_conditions = of_one(
    any_ids,
    any_ids,
    st.builds(lambda op, v: {op: v}, st.sampled_from(["$eq", "$ne"]), any_ids),
    st.builds(lambda op, v: {op: v}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), any_ids),
    st.builds(lambda low, high: {"$gte": low, "$lt": high}, ids, ids),
    st.builds(lambda op, vs: {op: vs}, st.sampled_from(["$in", "$nin", "$all"]),
              st.lists(any_ids, max_size=3)),
    st.builds(lambda v, w: {"$eq": v, "$gte": w}, ids, ids),
    st.builds(lambda v, w: {"$in": [v, w], "$ne": v}, ids, ids),
    st.builds(lambda v: {"$not": {"$gt": v}}, ids),
    st.sampled_from(
        [{"$exists": True}, {"$exists": False}, {"$type": "number"}, {"$type": "object"},
         {"$regex": "^a"}, {"$mod": [2, 1]}, {"$in": 5}, {"$nothing": 1}, {"$size": 1},
         {"$elemMatch": {"$gt": 0}}, {"$bitsAllSet": 1}, {"$not": Regex("a")}, {"$gt": Regex("a")}]
    ),
)  # fmt: skip
expressions = of_one(
    st.builds(lambda op, v: {op: ["$_id", {"$literal": v}]},
              st.sampled_from(["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]), ids),
    st.builds(lambda v: {"$eq": ["$$ROOT._id", {"$literal": v}]}, ids),
    st.builds(lambda v: {"$eq": ["$$CURRENT._id", {"$literal": v}]}, ids),
    st.sampled_from(
        [{"$eq": ["$_id.x", 1]}, {"$eq": ["$a", "$_id"]}, {"$gt": ["$a", 0]}, "$_id", "$a",
         {"$eq": [{"$getField": "_id"}, 1]}, {"$eq": [{"$type": "$_id"}, "object"]},
         {"$eq": [{"$type": "$_id.o"}, "objectId"]}, {"$eq": [{"$type": "$$ROOT._id.o"}, "int"]},
         {"$let": {"vars": {"d": "$$ROOT"}, "in": {"$eq": ["$$d._id", 1]}}},
         {"$eq": [{"$size": {"$objectToArray": "$$ROOT"}}, 2]},
         {"$eq": [{"$literal": "$$ROOT"}, "x"]}, {"$nothing": 1}]
    ),
)  # fmt: skip
schemas = st.sampled_from(
    [{"properties": {"_id": {"bsonType": "int"}}}, {"required": ["_id", "a"]},
     {"properties": {"_id": {"enum": [1, "a"]}, "a": {"bsonType": "int"}}},
     {"anyOf": [{"properties": {"_id": {"minimum": 2}}}, {"required": ["b"]}]},
     {"not": {"properties": {"_id": {"bsonType": "object"}}}}, {"bsonType": "object"},
     {"additionalProperties": False, "properties": {"_id": {}, "a": {}}}, {"nothing": 1}]
)  # fmt: skip
conditions = of_one(
    st.just({}),
    st.builds(lambda c: {"_id": c}, id_conditions),
    st.builds(lambda c: {"_id": c}, id_conditions),
    st.builds(lambda c, f, v: {f: v, "_id": c}, id_conditions, fields, values),
    st.builds(lambda f, v: {f: v}, fields, values),
    st.builds(lambda f, v: {f: {"$gte": v}}, fields, values),
    st.builds(lambda p, v: {p: v}, st.sampled_from(["_id.x", "_id.i", "_id.o", "_id.x.0"]), values),
    st.builds(lambda e: {"$expr": e}, expressions),
    st.builds(lambda e, c: {"$expr": e, "_id": c}, expressions, id_conditions),
    st.builds(lambda s: {"$jsonSchema": s}, schemas),
    st.sampled_from(
        [{"a": {"$elemMatch": {"_id": 1}}}, {"$comment": "c"}, {"$and": 1}, {"$nothing": 1},
         {"a._id": 1}]
    ),
)  # fmt: skip
filters = st.recursive(
    conditions,
    lambda inner: st.builds(
        lambda op, parts: {op: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)

# Updates

id_paths = st.sampled_from(["_id", "_id", "_id.x", "_id.i", "_id.o"])
updates = of_one(
    st.builds(lambda f, v: {"$set": {f: v}}, fields, values),
    st.builds(lambda f: {"$inc": {f: 1}}, fields),
    st.builds(lambda op, v: {op: {"_id": v}}, st.sampled_from(["$set", "$setOnInsert"]), any_ids),
    st.builds(lambda op, v: {op: {"_id": v}, "$inc": {"n": 1}}, st.sampled_from(["$min", "$max"]),
              ids),
    st.builds(lambda op, p: {op: {p: 1}},
              st.sampled_from(["$set", "$unset", "$inc", "$push", "$rename", "$mul", "$addToSet",
                               "$pull", "$currentDate", "$bit"]), id_paths),
    st.sampled_from(
        [{"$rename": {"a": "_id"}}, {"$rename": {"_id": "c"}}, {"$rename": {"a": "c"}},
         {"$push": {"a": 3}}, {"$unset": {"a": ""}}, {"$set": {"_id": 1, "_id.x": 2}},
         {"$setOnInsert": {"c": 1}, "$set": {"d": 1}}, {"$set": {"a.$[]": 7}},
         {"$pull": {"a": {"_id": 1}}}, {"$set": 1}, {"$setOnInsert": 1}, {"$set": {"a.$": 9}}]
    ),
)  # fmt: skip
update_stages = st.sampled_from(
    [{"$set": {"a": "$_id"}}, {"$set": {"a": "$$ROOT"}}, {"$set": {"_id": 1}}, {"$unset": "a"},
     {"$set": {"_id": "$_id"}}, {"$set": {"_id": {"o": 1}}}, {"$set": {"_id.o": 1}},
     {"$set": {"_id.i": 5}}, {"$set": {"c": {"$type": "$_id.o"}}}, {"$unset": "_id"},
     {"$replaceWith": {"a": "$_id"}}, {"$replaceWith": "$$ROOT"}, {"$project": {"a": 1}},
     {"$project": {"_id": 0, "a": 1}}, {"$replaceRoot": {"newRoot": {"_id": "$_id", "c": 1}}},
     {"$replaceWith": {"$mergeObjects": ["$$ROOT", {"_id": {"o": "x", "i": 1}}]}},
     {"$set": {"a": {"$add": ["$n", 1]}}}, {"$set": {"_id": "$$REMOVE"}}, {"$set": {"_id": [1]}}]
)  # fmt: skip
update_pipelines = st.lists(update_stages, min_size=1, max_size=3)
replacements = of_one(
    st.builds(lambda v: {"a": v}, values),
    st.builds(lambda i, v: {"_id": i, "a": v}, any_ids, values),
    st.sampled_from([{}, {"a": {"$b": 1}}, {"a.b": 1}, {"t": Timestamp(0, 0)}]),
)
any_updates = of_one(updates, updates, update_pipelines)

# Reads

id_sorts = st.sampled_from([{"_id": 1}, {"_id": -1}, {"a": 1, "_id": 1}, {"a": -1, "_id": -1},
                            {"_id.x": 1, "_id": 1}])  # fmt: skip
projections = of_one(
    st.none(),
    st.sampled_from(
        [["a"], {"a": 1}, {"a": 0}, {"_id": 0}, {"_id": 1}, {"_id": 0, "a": 1}, {"a": "$_id"},
         {"r": "$$ROOT"}, {"r": "$$ROOT._id"}, {"c": {"$concat": [{"$toString": "$_id"}, "!"]}},
         {"_id": "$a"}, {"_id": {"$type": "$_id"}}, {"n": {"m": "$_id"}}, {"l": ["$_id", "$a"]},
         {"a": {"$slice": 1}}, {"a": {"$elemMatch": {"$gt": 1}}}, {"a": {"$slice": 1}, "r": "$_id"},
         {"c": {"$literal": 1}}, {"c": "text"}, {"k": {"$meta": "sortKey"}}, {"_id": {"k": "$a"}},
         {"a": {}}, {"_id": 1, "_id.x": 1}, {"a": 1, "b": 0}]
    ),
)  # fmt: skip
part_projections = st.sampled_from([{"_id.x": 1}, {"_id.x": 0}, {"_id": {"x": 1}}, {"_id.o": 1}])
stages = of_one(
    st.builds(lambda f: {"$match": f}, filters),
    st.builds(lambda s: {"$sort": s}, id_sorts),
    st.builds(lambda p: {"$project": p}, st.sampled_from(
        [{"a": 1}, {"_id": 0, "a": 1}, {"x": "$_id"}, {"_id": 1}, {"_id": "$a"}, {"_id.x": 1}])),
    st.sampled_from(
        [{"$group": {"_id": "$_id", "n": {"$sum": 1}}}, {"$group": {"_id": "$a"}},
         {"$group": {"_id": None, "ids": {"$addToSet": "$_id"}}}, {"$count": "n"},
         {"$group": {"_id": None, "types": {"$addToSet": {"$type": "$_id.o"}}}},
         {"$set": {"r": "$$ROOT"}}, {"$set": {"_id": "$a"}}, {"$unset": "_id"},
         {"$replaceWith": {"w": "$$ROOT"}}, {"$unwind": "$a"}, {"$sortByCount": "$a"},
         {"$facet": {"all": [{"$match": {"_id": 1}}], "n": [{"$count": "n"}]}},
         {"$redact": {"$cond": [{"$eq": ["$_id", 1]}, "$$PRUNE", "$$KEEP"]}},
         {"$bucket": {"groupBy": "$n", "boundaries": [0, 5], "default": "other"}},
         {"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"i": {"$documentNumber": {}}}}},
         {"$set": {"k": {"$meta": "sortKey"}}}, {"$nothing": {}}]
    ),
)  # fmt: skip
pipelines = of_one(
    st.lists(stages, max_size=4),
    # Limits only after an order in which no two are equal.
    st.builds(
        lambda f, s, n, rest: [{"$match": f}, {"$sort": s}, {"$skip": n}, {"$limit": 2}, *rest],
        filters, id_sorts, st.integers(0, 2), st.lists(stages, max_size=2),
    ),
    st.builds(lambda s, rest: [{"$sort": s}, {"$limit": 3}, *rest], id_sorts,
              st.lists(stages, max_size=2)),
)  # fmt: skip


def _call(name, /, *arguments, **options):
    return name, arguments, options


documents = st.builds(lambda i, a: {"_id": i, "a": a}, any_ids, values)
encoded = documents.map(lambda d: RawBSONDocument(bson.encode(d, codec_options=STANDARD)))
upserts = st.booleans()
requests = of_one(
    st.builds(pymongo.InsertOne, documents),
    st.builds(pymongo.UpdateMany, filters, any_updates, upsert=upserts),
    st.builds(lambda i, u, up: pymongo.UpdateOne({"_id": i}, u, upsert=up), any_ids, any_updates,
              upserts),
    st.builds(lambda i, r, up: pymongo.ReplaceOne({"_id": i}, r, upsert=up), any_ids, replacements,
              upserts),
    st.builds(lambda i: pymongo.DeleteOne({"_id": i}), any_ids),
    st.builds(pymongo.DeleteMany, filters),
)  # fmt: skip
after = st.booleans()

READING = {
    "find": st.builds(
        lambda f, p, s, n, k: _call("find", f, p, sort=s, limit=n, skip=k),
        filters, projections, st.one_of(st.none(), id_sorts), st.sampled_from([0, 0, 2]),
        st.sampled_from([0, 0, 1]),
    ),
    "find_one": st.builds(
        lambda f, p, s: _call("find_one", f, p, sort=s), filters,
        st.one_of(projections, part_projections), id_sorts),
    "find_one by id": st.builds(lambda i: _call("find_one", {"_id": {"$eq": i}}), any_ids),
    "count_documents": st.builds(lambda f: _call("count_documents", f), filters),
    "estimated_document_count": st.just(_call("estimated_document_count")),
    "distinct": st.builds(
        lambda k, f: _call("distinct", k, f),
        st.sampled_from(["_id", "a", "_id.x", "_id.o", "a.b"]), filters),
    "aggregate": st.builds(lambda p: _call("aggregate", p), pipelines),
    "index_information": st.just(_call("index_information")),
    "list_indexes": st.just(_call("list_indexes")),
}  # fmt: skip
WRITING = {
    "insert_one": st.builds(lambda d: _call("insert_one", d), documents),
    "insert_many": st.builds(
        lambda ds, o: _call("insert_many", ds, ordered=o),
        st.lists(documents, min_size=1, max_size=4), st.booleans()),
    "insert_encoded": st.builds(
        lambda ds: _call("insert_encoded", ds), st.lists(encoded, min_size=1, max_size=4)),
    "insert_literal": st.builds(lambda d: _call("insert_literal", d), encoded),
    "update_one": st.builds(
        lambda f, u, up: _call("update_one", f, u, upsert=up), filters, any_updates, upserts),
    "update_many": st.builds(
        lambda f, u, up: _call("update_many", f, u, upsert=up), filters, any_updates, upserts),
    "replace_one": st.builds(
        lambda f, r, up: _call("replace_one", f, r, upsert=up), filters, replacements, upserts),
    "delete_one": st.builds(lambda f: _call("delete_one", f), filters),
    "delete_many": st.builds(lambda f: _call("delete_many", f), filters),
    "bulk_write": st.builds(
        lambda rs, o: _call("bulk_write", rs, ordered=o),
        st.lists(requests, min_size=1, max_size=3), st.booleans()),
    "find_one_and_update": st.builds(
        lambda f, u, p, s, up, new: _call("find_one_and_update", f, u, p, s, up, new),
        filters, any_updates, projections, id_sorts, upserts, after),
    "find_one_and_replace": st.builds(
        lambda f, r, p, s, up, new: _call("find_one_and_replace", f, r, p, s, up, new),
        filters, replacements, projections, id_sorts, upserts, after),
    "find_one_and_delete": st.builds(
        lambda f, p, s: _call("find_one_and_delete", f, p, s), filters, projections, id_sorts),
}  # fmt: skip
ONE = {**READING, **WRITING}
some = st.lists(of_one(*ONE.values()), min_size=1, max_size=3)
some_written = st.lists(of_one(*WRITING.values()), min_size=1, max_size=3)
# Each tells of the document by which the stream is known to have told all before it.
END = {"_id": "the end"}
of_the_end = {"documentKey._id": END["_id"]}
change_pipelines = of_one(
    st.just([]),
    st.builds(lambda v: [{"$match": {"$or": [of_the_end, {"documentKey._id": v}]}}], ids),
    st.builds(lambda v: [{"$match": {"$or": [of_the_end, {"fullDocument._id": v}]}}], ids),
    st.sampled_from([
        [{"$match": {"operationType": "insert"}}],
        [{"$match": {"$or": [of_the_end, {"documentKey._id.o": {"$type": "objectId"}}]}}],
        [{"$set": {"type": {"$type": "$documentKey._id.o"}}}],
        [{"$project": {"documentKey": 1, "operationType": 1}}],
        [{"$set": {"id": "$fullDocument._id", "fullDocument": "$$REMOVE"}}],
    ]),
)  # fmt: skip
TOGETHER = {
    "transaction": st.builds(lambda cs, keeps: _call("transaction", cs, keeps), some,
                             st.booleans()),
    "with_transaction": st.builds(lambda cs, keeps: _call("with_transaction", cs, keeps), some,
                                  st.booleans()),
    "watch": st.builds(
        lambda cs, p, full: _call("watch", cs, p, full_document=full), some_written,
        change_pipelines, st.sampled_from([None, "updateLookup"])),
}  # fmt: skip
fields_of_indexes = st.sampled_from(
    ["a", "a.b", "$a", "", [("a", 1), ("_id", -1)], [("a", "text")], [("a", "hashed")],
     [("_id", 1)], [("a", 1), ("a", -1)], [("a", "2dsphere")], [("$**", 1)]]
)  # fmt: skip
options_of_indexes = st.sampled_from(
    [{}, {"unique": True}, {"sparse": True}, {"name": "named"}, {"expireAfterSeconds": 9},
     {"expireAfterSeconds": -1}, {"partialFilterExpression": {"a": {"$gt": 1}}}, {"nothing": 1},
     {"unique": True, "partialFilterExpression": {"n": {"$exists": True}}}]
)  # fmt: skip
OF_INDEXES = {
    "create_index": st.builds(lambda f, o: _call("create_index", f, **o), fields_of_indexes,
                              options_of_indexes),
    "drop_index": st.builds(lambda f: _call("drop_index", f),
                            of_one(st.just("a_1"), st.just("_id_"), fields_of_indexes)),
}  # fmt: skip
OPERATIONS = {**ONE, **TOGETHER, **OF_INDEXES}
