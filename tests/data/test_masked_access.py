"""Keys that may not see sensitive fields: nothing they ask tells a masked value."""

import json

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.data.masks.masks import MASKED, Mask
from portal.documents.organizations import Strategy
from portal.organizations.storage import tenant_of
from tests.data.conftest import ACME, DataProgram
from tests.data.test_masks import DOCUMENTS
from tests.factories import a_key, an_organization
from tests.program import fault

CANARY = "canary-4711"


@pytest.fixture
def reader(app, acme):
    """A program that may do all there is with documents, but not see what is sensitive."""
    acme.update(set__masked_fields=["iban", "contact.email"])
    key = a_key(acme, None, ["documents.read", "documents.write", "indexes.manage"])
    return DataProgram(app, key)


@pytest.fixture
def seer(app, acme):
    """A program that may see what is sensitive, too."""
    return DataProgram(app, a_key(acme, None, ["documents.read", "documents.unmask"]))


@pytest.fixture
def documents(stored):
    stored.insert_many(
        [
            {
                "_id": 1,
                "iban": CANARY,
                "city": "Bonn",
                "contact": {"email": CANARY, "name": "Mara"},
            },
            {"_id": 2, "city": "Ulm", "contact": {"name": "Teo"}},
        ]
    )
    return stored


def post(program, path, **body):
    return program.send("POST", f"{ACME}/{path}", json.dumps(body))


def test_masked_fields_are_hidden_in_documents_lists_and_streams(reader, seer, documents):
    one = reader.one("1").json["document"]
    assert one["iban"] == MASKED
    assert one["contact"] == {"name": "Mara", "email": MASKED}
    assert seer.one("1").json["document"]["iban"] == CANARY
    listed = reader.get(ACME).json["documents"]
    assert [each["iban"] for each in listed] == [MASKED, MASKED]
    projected = reader.get(ACME, query_string={"projection": '{"city": 1, "iban": 1}'})
    assert [set(each) for each in projected.json["documents"]] == [{"_id", "city", "iban"}] * 2
    stream = reader.get(ACME, headers={"Accept": "application/x-ndjson"})
    assert stream.text.count(MASKED) == 4
    for answer in (projected, stream):
        assert CANARY not in answer.text


@pytest.mark.each_case
@pytest.mark.parametrize("strategy", list(Strategy))
def test_masks_hold_wherever_documents_are(app, strategy):
    organization = an_organization("Delta Press", strategy=strategy)
    tenant_of(organization).insert_one({"_id": 1, "iban": CANARY, "a": {"b.c": CANARY}, "n": 1})
    organization.update(set__masked_fields=["iban", "a.b.c"])
    program = DataProgram(app, a_key(organization, None, ["documents.read"]))
    documents = "/org/delta-press/documents"
    [listed] = program.get(f"{documents}?json=relaxed").json["documents"]
    assert listed == {"_id": 1, "iban": MASKED, "a": {"b.c": MASKED}, "n": 1}
    body = json.dumps({"pipeline": [{"$match": {"n": 1}}, {"$project": {"all": "$$ROOT"}}]})
    [result] = program.send("POST", f"{documents}/aggregate?json=relaxed", body).json["results"]
    assert result == {"_id": 1, "all": {"_id": 1, "a": {}, "n": 1}}


def test_the_version_of_a_document_is_the_same_for_everybody(reader, seer, documents):
    assert reader.one("1").headers["ETag"] == seer.one("1").headers["ETag"]


@pytest.mark.parametrize(
    "query", [{"iban": {"$gt": "c"}}, {"$expr": {"$eq": ["$contact.email", 1]}}]
)
def test_no_filter_tells_a_masked_value(reader, documents, query):
    text = json.dumps(query)
    asked = [
        reader.get(ACME, query_string={"filter": text}),
        post(reader, "query", filter=query),
        post(reader, "count", filter=query),
        post(reader, "aggregate", pipeline=[{"$match": query}]),
        post(reader, "update", filter=query, update={"$set": {"city": "x"}}),
        post(reader, "delete", filter=query),
        reader.get(ACME, query_string={"sort": '{"iban": 1}'}),
        reader.get(ACME, query_string={"projection": '{"x": "$iban"}'}),
    ]
    assert [fault(each)[:2] for each in asked] == [(403, "field_masked")] * len(asked)
    assert documents.count_documents({"city": "Bonn"}) == 1


def test_text_search_is_refused_where_it_reads_a_masked_field(reader, documents):
    query = {"$text": {"$search": CANARY}}
    documents.create_index([("city", "text")])
    assert post(reader, "count", filter=query).json["count"] == 0
    change = {"filter": query, "set": {"city": "x"}}
    assert post(reader, "change/preview", **change).status_code == 200
    documents.drop_indexes()
    documents.create_index([("city", "text"), ("iban", "text")])
    assert fault(post(reader, "count", filter=query))[:2] == (403, "field_masked")
    assert fault(post(reader, "change/preview", **change))[:2] == (403, "field_masked")


@pytest.mark.attack("X4")
def test_no_index_of_a_masked_field_is_built(reader, documents):
    for index in (
        {"keys": {"iban": 1}},
        {"keys": {"contact": 1}},
        {"keys": {"city": 1}, "partial_filter": {"iban": {"$gt": "c"}}},
    ):
        answer = reader.send("POST", "/org/acme-corp/indexes", json.dumps(index))
        assert fault(answer)[:2] == (403, "field_masked")
    assert list(documents.index_information()) == ["_id_"]


@pytest.mark.attack("X4")
def test_the_index_that_a_query_used_is_not_told(reader, documents):
    documents.create_index([("city", 1), ("iban", 1)])
    stages = [{"$match": {"city": "Bonn"}}, {"$project": {"k": {"$meta": "indexKey"}}}]
    answer = post(reader, "aggregate", pipeline=stages)
    assert fault(answer)[:2] == (403, "field_masked")


@pytest.mark.parametrize(
    "stages",
    [
        [{"$project": {"x": "$$ROOT"}}],
        [{"$group": {"_id": "$contact", "all": {"$push": "$$ROOT"}}}],
        [{"$replaceWith": {"x": {"$objectToArray": "$$ROOT"}}}],
        [{"$facet": {"x": [{"$group": {"_id": {"$getField": "iban"}}}]}}],
        [{"$sortByCount": {"$getField": {"field": "iban", "input": "$$CURRENT"}}}],
        [{"$redact": {"$cond": [{"$eq": [{"$getField": "iban"}, CANARY]}, "$$KEEP", "$$PRUNE"]}}],
        [{"$match": {"city": "Bonn"}}, {"$sort": {"city": 1}}, {"$limit": 1}],
    ],
    ids=repr,
)
def test_pipelines_lose_masked_fields_before_anything_reads_them(reader, documents, stages):
    answer = post(reader, "aggregate", pipeline=stages)
    assert answer.status_code == 200, answer.text
    assert CANARY not in answer.text


def test_a_pipeline_that_names_a_masked_field_is_refused(reader, documents):
    for stage in ({"$group": {"_id": "$iban"}}, {"$sort": {"contact": 1}}, {"$unwind": "$iban"}):
        assert fault(post(reader, "aggregate", pipeline=[stage]))[:2] == (403, "field_masked")
    own = [{"$group": {"_id": "$city", "iban": {"$sum": 1}}}, {"$sort": {"iban": 1}}]
    assert post(reader, "aggregate", pipeline=own).status_code == 200


def test_a_document_is_replaced_around_its_masked_values(reader, documents):
    shown = reader.one("1").json["document"]
    untouched = reader.send("PUT", f"{ACME}/1", json.dumps(shown))
    assert untouched.json["modified"] == 0
    answer = reader.send("PUT", f"{ACME}/1", json.dumps({**shown, "city": "Köln"}))
    assert answer.status_code == 200, answer.text
    assert documents.find_one({"_id": 1}) == {
        "_id": 1, "iban": CANARY, "city": "Köln", "contact": {"name": "Mara", "email": CANARY},
    }  # fmt: skip
    for document in ({"city": "x"}, {**shown, "iban": "guess"}, {**shown, "contact": 1}):
        refused = reader.send("PUT", f"{ACME}/1", json.dumps(document))
        assert fault(refused)[:2] == (403, "field_masked")


@pytest.mark.attack("X4")
def test_no_write_sets_or_reads_a_masked_field(reader, documents):
    refused = [
        reader.insert('{"iban": "guess"}'),
        reader.insert('{"iban": "guess"}\n', kind="application/x-ndjson"),
        reader.send("PATCH", f"{ACME}/1", '{"$set": {"iban": "guess"}}'),
        reader.send("PATCH", f"{ACME}/1", '{"$rename": {"iban": "open"}}'),
        reader.send("PATCH", f"{ACME}/1", '[{"$set": {"open": "$iban"}}]'),
        post(reader, "update", filter={}, update=[{"$set": {"open": "$contact"}}]),
    ]
    assert [fault(each)[:2] for each in refused] == [(403, "field_masked")] * len(refused)
    assert documents.count_documents({}) == 2


def test_what_stands_for_a_hidden_value_never_replaces_it(reader, app, acme, documents):
    exported = reader.one("1").json["document"]
    writer = a_key(acme, None, ["documents.read", "documents.write", "documents.unmask"])
    admin = DataProgram(app, writer)
    for answer in (
        admin.send("PUT", f"{ACME}/1", json.dumps(exported)),
        admin.insert(json.dumps({**exported, "_id": 7})),
        admin.insert(json.dumps({**exported, "_id": 7}), kind="application/x-ndjson"),
    ):
        assert fault(answer)[:2] == (422, "masked_text")
    assert documents.count_documents({"iban": CANARY}) == 1
    assert admin.insert(json.dumps({"_id": 7, "city": MASKED})).status_code == 201


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(DOCUMENTS, min_size=1, max_size=20))
def test_no_pipeline_sees_a_masked_value_wherever_it_is(acme, stored, documents):
    masked = frozenset({"iban", "contact.email", "parts.price.n", "$x", "n.email.contact.price"})
    stored.delete_many({})
    tenant_of(acme).insert_many([{"_id": n, **each} for n, each in enumerate(documents)])
    everything = [{"$replaceWith": {"all": "$$ROOT"}}]
    seen = tenant_of(acme).aggregate(Mask(masked).visible(everything))
    for document in seen:
        encoded = bson.encode(document["all"])
        assert shows_nothing(bson.decode(Mask(masked).hide(encoded)), document["all"])


def shows_nothing(hidden, seen):
    """Tell whether what was seen has no value that is hidden."""
    if isinstance(hidden, dict):
        return all(
            name not in seen or seen[name] == MASKED
            if hidden[name] == MASKED
            else shows_nothing(hidden[name], seen[name])
            for name in hidden
        )
    if isinstance(hidden, list):
        return all(shows_nothing(*pair) for pair in zip(hidden, seen, strict=True))
    return hidden == seen
