"""Filters, updates and pipelines that would reach elsewhere, and what isn't offered."""

import inspect

import bson
import pymongo
import pytest
from bson import Code, DBRef
from bson.raw_bson import RawBSONDocument
from pymongo.change_stream import ChangeStream
from pymongo.collection import Collection
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor

from tests.tenants.library.conftest import library

errors, queries, unsupported = library("errors"), library("queries"), library("unsupported")
cursors, streams = library("_sync.cursors"), library("_sync.streams")
QueryRefused = errors.QueryRefused


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


def options_of(function):
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return {each.name for each in parameters if each.kind in named} - {"self"}


def test_every_option_of_pymongo_is_taken_or_has_something_instead():
    tenant, instead = library().Tenant, unsupported.INSTEAD_OF_OPTION.keys()
    instead |= unsupported.INSTEAD  # those of with_options are attributes as well
    beside = {
        "watch": streams.STREAM_OPTIONS | unsupported.INSTEAD_OF_STREAM_OPTION.keys(),
        "find_one": {"limit"},  # which is 1
    }
    for name, method in inspect.getmembers(Collection, inspect.isfunction):
        if name.startswith("_") or name == "next" or name in unsupported.INSTEAD:
            continue
        theirs = options_of(Cursor.__init__) if name in ("find", "find_one") else options_of(method)
        ours = options_of(getattr(tenant, name)) | beside.get(name, set())
        if name.startswith("find_one_and"):
            ours |= options_of(tenant._find_and_modify)
        assert theirs - {"collection"} <= ours | instead, name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(Cursor, cursors.Found), (CommandCursor, cursors.Results), (ChangeStream, streams.Stream)],
)
def test_every_method_of_pymongos_results_is_there_or_has_something_instead(theirs, ours):
    special = {"__getitem__", "__copy__", "__deepcopy__", "__enter__", "__next__", "__iter__"}
    names = {name for name in dir(theirs) if name[0] != "_" or name in special & {*vars(theirs)}}
    assert names <= {*dir(ours)} | unsupported.INSTEAD_OF_RESULT.keys()


def test_an_asynchronous_result_is_iterated_asynchronously_alone():
    with pytest.raises(TypeError, match="not iterable"):
        iter(library("_async.cursors").AsyncFound(None, {}))


def test_methods_of_results_that_are_not_offered_say_what_to_use(store):
    for result in (store.find(), store.aggregate([])):
        for name in ("distinct", "explain", "cursor_id"):
            with pytest.raises(errors.NotOffered, match=name):
                getattr(result, name)
        assert not hasattr(result, "nothing")


def test_options_that_are_not_offered_say_what_to_use(store):
    for use in (
        lambda: store.find({}, max=[("a", 1)]),
        lambda: store.find_one({}, return_key=True),
        lambda: store.watch(collation={"locale": "en"}),
        lambda: store.watch(session=object()),
    ):
        with pytest.raises(errors.NotOffered):
            use()
    store.insert_many({"n": n} for n in range(3))
    assert store.find_one({}, sort={"n": -1}, allow_disk_use=True, batch_size=2)["n"] == 2


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: queries.check_update({"email": "b"}), "an update has no operator email"),
        (lambda: queries.check_pipeline([{"match": {}}]), "no stage match is allowed here"),
    ],
)
def test_a_name_is_not_at_the_beginning_of_a_sentence(refused, words):
    """Pages would have it begin with a capital there, and name another field."""
    with pytest.raises(QueryRefused, match=words):
        refused()
