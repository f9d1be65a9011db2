"""Documents by the API: exact, versioned, bounded, once."""

import json
from dataclasses import replace
from urllib.parse import quote

import bson
import pytest
from bson import Int64, ObjectId
from bson.raw_bson import RawBSONDocument

from portal import settings as portal_settings
from portal.data import plans, reading, writing
from portal.data.document_ids import address_of
from portal.organizations.lifecycle.renaming import rename_organization
from portal.tenants.elements import framed, has_name_twice
from tests.data.conftest import ACME, DataProgram
from tests.factories import a_context, a_key, an_organization
from tests.program import fault
from tests.tenants.library.works import at_once


def raw_of(stored, document_id):
    found = stored.with_options(bson.CodecOptions(document_class=RawBSONDocument))
    return bytes(found.find_one({"_id": document_id}).raw)


def test_a_document_is_written_and_read_to_the_byte(writer, stored):
    text = '{"_id": 1, "long": {"$numberLong": "5"}, "double": 2.0, "zero": {"$numberDouble": "-0.0"}, "at": {"$date": {"$numberLong": "253402300800000"}}, "old": {"$symbol": "x"}, "b": {"10": 1, "2": 2}}'
    answer = writer.insert(text)
    assert answer.status_code == 201
    assert answer.json["ids"] == [{"$numberInt": "1"}]
    before = raw_of(stored, 1)
    read = writer.get(answer.headers["Location"].removeprefix("http://localhost"))
    assert read.json["exact"] is True
    document = json.dumps(read.json["document"])
    replaced = writer.send("PUT", f"{ACME}/1", document)
    assert replaced.status_code == 200
    assert replaced.json["modified"] == 0
    assert replaced.headers["ETag"] == read.headers["ETag"]
    assert raw_of(stored, 1) == before


def test_relaxed_text_is_asked_for(writer, stored):
    stored.insert_one({"_id": 1, "n": Int64(5)})
    assert writer.one("1").json["document"]["n"] == {"$numberLong": "5"}
    assert writer.one("1", query_string={"json": "relaxed"}).json["document"]["n"] == 5


def test_many_are_inserted_or_none(writer, stored):
    answer = writer.insert('[{"_id": 1}, {"title": "x"}, {"_id": "a/b"}]')
    assert answer.status_code == 201
    assert answer.json["inserted"] == 3
    assert "Location" not in answer.headers
    assert [each["_id"] for each in stored.find({}, sort=[("_id", 1)])][:2] == [1, "a/b"]
    refused = writer.insert('[{"_id": 7}, {"_id": 1}]')
    assert fault(refused) == (409, "duplicate_key", set())
    assert stored.count_documents({}) == 3


IDS = ["", "a/b", "..", "%2F", "8/zn6MXCRkK/MeMgi27eJQ==", "a&b?c#d", "https://fr.test.ca/page%2F%3Ffilter%5Blang%5D%3Dfr", ObjectId("507f1f77bcf86cd799439011"), "507f1f77bcf86cd799439011", None, -5, Int64(5), 0.5, {"b": 1, "a": 2}]  # fmt: skip


def test_every_id_has_a_url(writer, stored):
    stored.insert_one({"_id": "another"})
    for value in IDS:
        stored.insert_one({"_id": value, "is": "it"})
        place = f"{ACME}/{address_of(bson.encode({'': value}))}"
        assert writer.get(place).json["document"]["is"] == "it", value
        assert writer.send("PATCH", place, '{"$set": {"is": "that"}}').status_code == 200, value
        assert stored.find_one({"_id": {"$eq": value}})["is"] == "that", value
        assert writer.delete(place).json["deleted"] == 1, value
        assert stored.count_documents({}) == 1, value


def test_24_digits_are_an_object_id_and_never_a_string(writer, stored):
    digits = str(ObjectId())
    stored.insert_one({"_id": digits})
    assert fault(writer.one(digits)) == (404, "document_not_found", set())
    assert writer.one(f'"{digits}"').status_code == 200
    assert fault(writer.one("a b")) == (422, "invalid_document_id", set())


def test_a_version_is_that_of_the_whole_document_and_a_stale_one_changes_nothing(writer, stored):
    stored.insert_one({"_id": 1, "a": 1, "b": 1})
    read = writer.one("1")
    projected = writer.one("1", query_string={"projection": '{"a": 1}'})
    assert projected.headers["ETag"] == read.headers["ETag"]
    assert set(projected.json["document"]) == {"_id", "a"}
    seen = {"If-Match": read.headers["ETag"]}
    changed = writer.send("PATCH", f"{ACME}/1", '{"$inc": {"b": 1}}', headers=seen)
    assert changed.status_code == 200
    for method, body in (("PATCH", '{"$inc": {"b": 1}}'), ("PUT", "{}"), ("DELETE", None)):
        refused = writer.send(method, f"{ACME}/1", body, headers=seen)
        assert fault(refused) == (412, "precondition_failed", set())
    assert stored.find_one() == {"_id": 1, "a": 1, "b": 2}
    seen = {"If-Match": changed.headers["ETag"]}
    assert writer.send("PUT", f"{ACME}/1", '{"a": 3}', headers=seen).status_code == 200
    assert stored.find_one() == {"_id": 1, "a": 3}


def test_a_change_that_changes_nothing_is_done_and_leaves_the_version(writer, stored):
    """pyeve/eve 920, hasura/graphql-engine 6061: it is no conflict, and answered as any other."""
    stored.insert_one({"_id": 1, "a": 1})
    tag = writer.one("1").headers["ETag"]
    for body in ('{"$set": {"a": 1}}', '{"$set": {}}', '{"$set": {"a": 1}}'):
        answer = writer.send("PATCH", f"{ACME}/1", body, headers={"If-Match": tag})
        assert (answer.status_code, answer.headers["ETag"]) == (200, tag), body
    assert stored.find_one() == {"_id": 1, "a": 1}


def test_of_changes_at_one_moment_with_one_version_one_is_done(app, acme, stored):
    """pyeve/eve 1231 1373: what the version is compared with must not change before the write."""
    stored.insert_one({"_id": 1, "n": 0})
    key = a_key(acme, None, ["documents.read", "documents.write"])
    tag = DataProgram(app, key).one("1").headers["ETag"]

    def change():
        asked = ("PATCH", f"{ACME}/1", '{"$inc": {"n": 1}}')
        return DataProgram(app, key).send(*asked, headers={"If-Match": tag}).status_code

    assert sorted(at_once([change] * 4)) == [200, 412, 412, 412]
    assert stored.find_one() == {"_id": 1, "n": 1}


def test_a_missing_document_is_not_created(writer, stored):
    for method, body in (("PUT", "{}"), ("PATCH", '{"$set": {"a": 1}}'), ("DELETE", None)):
        refused = writer.send(method, f"{ACME}/1", body)
        assert fault(refused) == (404, "document_not_found", set())
    assert stored.count_documents({}) == 0


def test_an_id_stays(writer, stored):
    stored.insert_one({"_id": 1})
    assert fault(writer.send("PUT", f"{ACME}/1", '{"_id": 2}'))[:2] == (422, "invalid_query")
    assert fault(writer.send("PATCH", f"{ACME}/1", '{"$set": {"_id": 2}}'))[:2] == (
        422,
        "write_refused",
    )
    assert fault(writer.send("PUT", f"{ACME}/1", '{"$set": {"a": 2}}'))[:2] == (
        422,
        "invalid_query",
    )


SAME_IDS = [
    ('{"$numberDouble": "NaN"}', '{"$numberDouble": "NaN"}'),
    ('{"$numberDouble": "NaN"}', '{"$numberDecimal": "NaN"}'),
    ("42", '{"$numberDecimal": "42"}'),
    ("42", "42.0"),
    ('{"a": 1, "b": 2}', '{"a": 1, "b": 2}'),
    ('{"$symbol": "x"}', '{"$symbol": "x"}'),
]
OTHER_IDS = [
    ("1", "true"),
    ("true", "1"),
    ("1", "1.5"),
    ('{"$numberDouble": "NaN"}', "1"),
    ('{"$symbol": "x"}', '"x"'),
    ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
]


@pytest.mark.parametrize(
    ("stored_id", "sent", "status"),
    [*((*each, 200) for each in SAME_IDS), *((*each, 422) for each in OTHER_IDS)],
)
def test_an_id_in_a_replacement_is_the_same_as_the_server_compares_them(
    writer, stored, stored_id, sent, status
):
    assert writer.insert(f'{{"_id": {stored_id}}}').status_code == 201
    answer = writer.send("PUT", f"{ACME}/{quote(stored_id, safe='')}", f'{{"_id": {sent}, "a": 1}}')
    assert answer.status_code == status, answer.text
    expected = {"_id": json.loads(stored_id), **({"a": 1} if status == 200 else {})}
    [found] = writer.get(ACME, query_string={"json": "relaxed"}).json["documents"]
    assert found == expected


def test_faults_in_a_body_are_told_with_their_place(writer, stored):
    refused = writer.insert('{"a": [1, {"b": NaN}]}')
    assert fault(refused) == (422, "invalid_extended_json", {"/a/1/b"})
    refused = writer.insert('{"a": 1,\n "a": 2}')
    assert fault(refused) == (422, "invalid_extended_json", {"/a"})
    assert stored.count_documents({}) == 0


@pytest.mark.attack("Q3")
def test_errors_name_keys_and_never_values(writer, stored):
    stored.create_index([("email", 1), ("tenant", 1)], unique=True)
    stored.insert_one({"email": "secret@acme.example", "tenant": 7})
    refused = writer.insert('{"email": "secret@acme.example", "tenant": 7}')
    assert fault(refused) == (409, "duplicate_key", set())
    assert "email, tenant" in refused.text
    assert "secret" not in refused.text
    stored.database.command("collMod", stored.name, validator={"salary": {"$lt": 90_000}})
    stored.insert_one({"_id": 1, "salary": 80_000})
    refused = writer.send("PATCH", f"{ACME}/1", '{"$inc": {"salary": 50000}}')
    assert fault(refused) == (422, "document_invalid", set())
    assert "000" not in refused.text


@pytest.mark.slow
def test_pages_have_every_document_once_where_values_are_equal(writer, stored):
    stored.insert_many({"_id": n, "a": n % 3, "b": n} for n in range(50))
    stored.insert_many(
        [
            {"_id": "x"},
            {"_id": "y", "a": None},
            {"_id": None, "a": "text"},
            {"_id": {"a": 1}, "a": {}},
        ]
    )
    stored.create_index([("a", 1), ("_id", 1)])
    everything = len(list(stored.find()))
    for sort in ('{"_id": 1}', '{"_id": -1}', '{"a": 1}', '{"a": -1}', '{"a": 1, "_id": -1}'):
        found = writer.ids(sort=sort, limit=7)
        assert len(found) == everything
        assert len({json.dumps(each) for each in found}) == everything, sort
    order = [document["_id"] for document in stored.find({}, sort=[("a", 1), ("_id", 1)])]
    [first, *_] = writer.ids(sort='{"a": 1}', limit=7, json="relaxed")
    assert first == order[0]


@pytest.mark.parametrize(
    "reference",
    [
        {"$ref": "users", "$id": 1},
        {"$id": 1, "$ref": "users"},
        {"$db": "d", "$id": 1, "$ref": "users"},
        {"type": "x", "$ref": "users", "$id": 2},
        {"$ref": "users", "$id": 1, "type": "x", "$db": "d"},
    ],
    ids=json.dumps,
)
def test_a_reference_is_found_and_set_whatever_the_order_of_its_keys(writer, stored, reference):
    stored.insert_many([{"_id": 1, "by": {**reference}}, {"_id": 2, "by": [{**reference}]}])
    text = json.dumps(reference)
    for query in (f'{{"by": {text}}}', f'{{"by": {{"$in": [{text}]}}}}'):
        assert writer.ids(filter=query, json="relaxed") == [1, 2]
    before = raw_of(stored, 1)
    assert writer.send("PATCH", f"{ACME}/1", f'{{"$set": {{"by": {text}}}}}').json["modified"] == 0
    assert raw_of(stored, 1) == before


def test_a_page_of_large_documents_ends_early(writer, stored, monkeypatch):
    """The portal has as many as that in memory, however many were asked for."""
    monkeypatch.setattr(reading, "PAGE_BYTES", 1000)
    stored.insert_many({"_id": n, "text": "x" * (400 if n < 5 else 2000)} for n in range(8))
    assert len(writer.get(ACME, query_string={"limit": 100}).json["documents"]) == 3
    assert writer.ids(limit=100, json="relaxed") == [*range(8)]
    assert writer.ids(limit=2, sort='{"_id": -1}', json="relaxed") == [*reversed(range(8))]
    whole = writer.get(ACME, query_string={"filter": '{"_id": 7}'}).json
    assert (len(whole["documents"]), whole["next"]) == (1, None)


UNKEPT = [
    ({}, {"_id": "$n"}),
    ({}, {"_id": {"$toString": "$_id"}}),
    ({}, {"_id": {"x": 1}}),
    ({}, {"_id.x": 1}),
    ({"a": 1}, {"_id": 1}),
    ({"a": 1}, {"_id": 1, "list": {"$slice": 1}}),
    ({"a": 1}, {"a": "$n"}),
    ({"a": 1}, {"a": {"$toUpper": "$a"}}),
    ({"a": 1}, {"a": None}),
    ({"a": 1}, {"a": {"b": 1}}),
    ({"a": 1}, {"a.b": 0}),
    ({"a": 1}, {"n": {"$add": ["$n", 1]}}),
    ({"a": 1}, {"list": {"$elemMatch": {"b": 1}}}),
    ({"a.b": 1}, {"a": "$n"}),
    ({"a.b": 1}, {"a": {"$slice": 1}}),
    ({"a.b": 1}, {"a": {"b": 0}}),
    ({"a.b": 1}, {"a": False}),
]
KEPT = [
    ({"n": 1}, {"list": {"$slice": 1}}),
    ({"n": 1}, {"_id": 1, "list": 0}),
    ({"n": 1}, {"n": {"$numberDecimal": "1"}}),
    ({"n": 1}, {"n": 1, "title": {"$toUpper": "$title"}}),
    ({"a.b": 1}, {"a": 1}),
    ({"a.b": 1}, {"a": {"b": 1}}),
    ({"a.b": 1}, {"a.c": 0}),
]


@pytest.mark.parametrize(("sort", "projection"), UNKEPT, ids=str)
def test_a_projection_that_changes_what_pages_go_on_by_is_refused(writer, sort, projection):
    query = {"sort": json.dumps(sort), "projection": json.dumps(projection)}
    refused = writer.get(ACME, query_string=query)
    assert fault(refused)[:2] == (422, "invalid_query")
    assert "keeps what is sorted by" in refused.json["error"]["message"]


def test_a_projection_that_keeps_what_pages_go_on_by_gives_every_document_once(writer, stored):
    stored.insert_many({"_id": n, "n": n, "a": {"b": n, "c": 0}, "list": [1, 2]} for n in range(5))
    for sort, projection in KEPT:
        query = {"sort": json.dumps(sort), "projection": json.dumps(projection), "json": "relaxed"}
        assert writer.ids(**query, limit=2) == [0, 1, 2, 3, 4], (sort, projection)


@pytest.mark.parametrize(
    "query",
    [
        {"$text": {"$search": "red"}},
        {"$and": [{"$text": {"$search": "red"}}, {"n": {"$gte": 0}}]},
        {"at": {"$near": {"$geometry": {"type": "Point", "coordinates": [7, 50]}}}},
    ],
    ids=["text", "text and more", "near"],
)
def test_pages_of_a_search_for_words_or_places_have_every_document_once(writer, stored, query):
    """The server takes such a filter once, and in no alternative."""
    place = {"type": "Point", "coordinates": [7.1, 50.7]}
    stored.insert_many({"_id": n, "s": "red", "n": n % 3, "at": place} for n in range(9))
    stored.create_index([("s", "text")])
    stored.create_index([("at", "2dsphere")])
    found = writer.ids(filter=json.dumps(query), sort='{"n": -1}', limit=4, json="relaxed")
    assert found == [8, 5, 2, 7, 4, 1, 6, 3, 0]
    assert len(writer.ids(filter=json.dumps(query), limit=4)) == 9


LISTS = {
    "lost, down": ([{"a": 5}, {"a": 4}, {"a": [1]}], {"a": -1}),
    "twice, up": ([{"a": 1}, {"a": [2]}, {"a": 3}, {"a": 4}], {"a": 1}),
    "on the way": ([{"a": {"b": 1}}, {"a": {"b": 2}}, {"a": [{"b": 3}]}], {"a.b": 1}),
    "an empty one": ([{"n": 1, "a": 1}, {"n": 1, "a": 2}, {"n": 2, "a": []}], {"n": 1, "a": -1}),
}


@pytest.mark.parametrize(("documents", "sort"), LISTS.values(), ids=LISTS)
def test_what_has_a_list_somewhere_is_not_paged_by_it(writer, stored, documents, sort):
    stored.insert_many({"_id": n, **each} for n, each in enumerate(documents))
    sorted_by = {"sort": json.dumps(sort)}
    for _ in ("without an index", "with one"):
        refused = writer.get(ACME, query_string={**sorted_by, "limit": 2})
        assert fault(refused)[:2] == (422, "invalid_query")
        assert "list" in refused.json["error"]["message"]
        whole = writer.ids(**sorted_by, limit=len(documents), json="relaxed")
        in_order = [*sort.items(), ("_id", next(reversed(sort.values())))]
        assert whole == [each["_id"] for each in stored.find(sort=in_order)]
        others = {"filter": '{"_id": {"$lt": 1}}'}
        assert writer.ids(**sorted_by, **others, limit=1, json="relaxed") == [0]
        stored.create_index(in_order)


def test_an_index_tells_that_nothing_is_a_list(writer, stored, commands):
    stored.insert_many({"_id": n, "a": n, "tags": ["x"]} for n in range(30))
    stored.create_index([("a", 1), ("_id", 1), ("tags", 1)])
    for looked_at in ("explain", "find"):
        commands.clear()
        assert writer.get(ACME, query_string={"sort": '{"a": 1}', "limit": 10}).json["next"]
        assert commands[-1] == looked_at
        stored.drop_indexes()
    assert len(writer.ids(sort='{"a": 1}', limit=10)) == 30


def test_a_look_for_lists_that_takes_long_refuses_nothing(writer, stored, monkeypatch):
    """An index keeps the mark of a list that was there once."""
    stored.insert_many({"_id": n, "a": n} for n in range(20))
    stored.insert_one({"_id": "x", "a": [1]})
    stored.create_index([("a", 1), ("_id", 1)])
    stored.delete_one({"_id": "x"})
    monkeypatch.setattr(plans, "_LOOKED_SECONDS", 1e-6)
    assert len(writer.ids(sort='{"a": 1}', limit=10)) == 20


def test_nothing_goes_on_for_ever_behind_an_id_that_a_query_cannot_carry(writer):
    """A DBPointer is sent as another type, which is less: it would be behind itself."""
    pointer = '{"$dbPointer": {"$ref": "a", "$id": {"$oid": "0123456789abcdef01234567"}}}'
    assert writer.insert(f'[{{"_id": 1}}, {{"_id": {pointer}}}, {{"_id": 2}}]').status_code == 201
    deleted = writer.send("POST", f"{ACME}/delete", '{"filter": {}}')
    assert fault(deleted)[:2] == (422, "partly_done")
    assert deleted.json["error"]["message"].startswith("2 documents are changed")
    writer.insert(f'{{"_id": {pointer.replace("0123", "f123")}}}')
    page = writer.get(ACME, query_string={"limit": 1})
    assert fault(page)[:2] == (422, "invalid_query")
    assert len(writer.get(ACME).json["documents"]) == 2


@pytest.mark.parametrize("after", ["x", "AAAA", address_of(bson.encode({"": 1}))[1:] * 2])
def test_a_forged_cursor_is_refused(writer, after):
    assert fault(writer.get(ACME, query_string={"after": after}))[:2] == (422, "invalid_query")


def test_a_query_in_a_body_is_the_same_as_in_the_url(writer, stored):
    stored.insert_many({"_id": n, "a": n} for n in range(9))
    body = '{"filter": {"a": {"$gt": 3}}, "sort": {"_id": -1}, "projection": {"a": 1}, "limit": 2}'
    answer = writer.send("POST", f"{ACME}/query", body)
    assert [each["_id"] for each in answer.json["documents"]] == [
        {"$numberInt": "8"},
        {"$numberInt": "7"},
    ]
    refused = writer.send("POST", f"{ACME}/query", '{"filter": 5, "order": {}, "limit": 5000}')
    assert fault(refused) == (422, "invalid_input", {"filter", "order", "limit"})


def test_a_page_comes_without_a_count_and_a_count_is_bounded(writer, stored, commands, monkeypatch):
    stored.insert_many({"a": n} for n in range(30))
    commands.clear()
    assert len(writer.get(ACME).json["documents"]) == 25
    assert "count" not in commands
    assert writer.send("POST", f"{ACME}/count", "").json["count"] == 30
    assert writer.send("POST", f"{ACME}/count", "{}").json["estimated"] is True
    monkeypatch.setattr("portal.data.reading.MOST_COUNTED", 10)
    counted = writer.send("POST", f"{ACME}/count", '{"filter": {"a": {"$lt": 20}}}').json
    assert (counted["count"], counted["more"], counted["estimated"]) == (10, True, False)


def test_a_scan_of_a_large_collection_is_refused_with_the_index_that_helps(
    writer, stored, monkeypatch
):
    monkeypatch.setattr(plans, "MOST_SCANNED", 10)
    stored.insert_many({"_id": n, "a": n, "b": n} for n in range(30))
    query = {"filter": '{"b": {"$gt": 3}, "a": 5}'}
    refused = writer.get(ACME, query_string=query)
    assert fault(refused) == (422, "index_needed", set())
    assert '{\\"a\\": 1, \\"_id\\": 1, \\"b\\": 1}' in refused.text
    for path, body in (
        ("count", '{"filter": {"a": 5}}'),
        ("aggregate", '{"pipeline": [{"$match": {"a": 5}}]}'),
        ("delete", '{"filter": {"a": 5}}'),
        ("query", '{"sort": {"a": 1}}'),
    ):
        assert fault(writer.send("POST", f"{ACME}/{path}", body))[1] == "index_needed", path
    stored.create_index([("a", 1), ("_id", 1)])
    assert len(writer.get(ACME, query_string=query).json["documents"]) == 1
    assert len(writer.ids(sort='{"a": -1}', limit=7)) == 30
    assert len(writer.ids(limit=7)) == 30


@pytest.mark.parametrize(
    "pipeline",
    [
        '[{"$sort": {"a": 1}}, {"$limit": 5}]',
        '[{"$set": {"x": 1}}, {"$match": {"a": 5}}]',
        '[{"$match": {}}, {"$match": {"a": 5}}]',
        '[{"$skip": 1}, {"$match": {"a": 5}}]',
        '[{"$limit": 1000}, {"$match": {"a": 5}}]',
        '[{"$unwind": "$b"}, {"$match": {"a": 5}}, {"$group": {"_id": "$b"}}]',
        '[{"$facet": {"found": [{"$match": {"a": 5}}]}}]',
        '[{"$match": {"_id": {"$gte": {"$minKey": 1}}, "a": 5}}]',
    ],
)
def test_an_aggregation_that_looks_for_few_in_a_large_collection_needs_an_index(
    writer, stored, monkeypatch, pipeline
):
    monkeypatch.setattr(plans, "MOST_SCANNED", 10)
    stored.insert_many({"_id": n, "a": n, "b": n} for n in range(30))
    refused = writer.send("POST", f"{ACME}/aggregate", f'{{"pipeline": {pipeline}}}')
    assert fault(refused) == (422, "index_needed", set())
    assert '{\\"a\\": 1}' in refused.text or '{\\"a\\": 1, \\"_id\\": 1}' in refused.text
    stored.create_index([("a", 1), ("_id", 1)])
    if "$skip" not in pipeline and "$limit" not in pipeline[:15] and "$facet" not in pipeline:
        served = writer.send("POST", f"{ACME}/aggregate", f'{{"pipeline": {pipeline}}}')
        assert served.status_code == 200


@pytest.mark.parametrize(
    "pipeline",
    [
        '[{"$group": {"_id": "$a", "n": {"$sum": 1}}}, {"$sort": {"n": -1}}]',
        '[{"$limit": 5}, {"$match": {"a": 5}}]',
        '[{"$sort": {"_id": -1}}, {"$limit": 5}]',
        '[{"$match": {"_id": {"$in": [1, 2]}, "a": 1}}, {"$sort": {"b": 1}}]',
        '[{"$facet": {"all": [{"$count": "n"}], "some": [{"$sort": {"a": 1}}, {"$limit": 5}]}}]',
        '[{"$sample": {"size": 1}}, {"$match": {"a": 5}}]',
        "[]",
    ],
)
def test_an_aggregation_about_all_or_few_documents_of_a_large_collection_needs_none(
    writer, stored, monkeypatch, pipeline
):
    monkeypatch.setattr(plans, "MOST_SCANNED", 10)
    stored.insert_many({"_id": n, "a": n, "b": n} for n in range(30))
    answer = writer.send("POST", f"{ACME}/aggregate", f'{{"pipeline": {pipeline}}}')
    assert answer.status_code == 200, answer.text


def test_an_aggregation_is_answered(writer, stored):
    stored.insert_many({"a": n % 2, "n": Int64(n)} for n in range(10))
    body = '{"pipeline": [{"$group": {"_id": "$a", "sum": {"$sum": "$n"}}}, {"$sort": {"_id": 1}}]}'
    results = writer.send("POST", f"{ACME}/aggregate", body).json["results"]
    assert results[0] == {"_id": {"$numberInt": "0"}, "sum": {"$numberLong": "20"}}


def test_an_aggregation_with_a_large_result_is_refused(writer, stored):
    stored.insert_one({"_id": 1, "text": "x" * 1024 * 1024})
    many = [{"$set": {"n": {"$range": [0, 20]}}}, {"$unwind": "$n"}]
    refused = writer.send("POST", f"{ACME}/aggregate", json.dumps({"pipeline": many}))
    assert fault(refused) == (422, "result_too_large", set())
    few = json.dumps({"pipeline": [*many, {"$limit": 15}]})
    assert len(writer.send("POST", f"{ACME}/aggregate", few).json["results"]) == 15


FORBIDDEN = [
    {"$where": "sleep(1)"},
    {"$or": [{"a": 1}, {"$and": [{"$where": "1"}]}]},
    {"$expr": {"$function": {"body": "f", "args": [], "lang": "js"}}},
    {"a": {"$not": {"$where": "1"}}},
    {"a": {"$elemMatch": {"$where": "1"}}},
]
STAGES = [
    {"$lookup": {"from": "org_other", "as": "x", "pipeline": []}},
    {"$out": "org_other"},
    {"$merge": {"into": "org_other"}},
    {"$unionWith": "org_other"},
    {"$graphLookup": {"from": "org_other"}},
    {"$facet": {"x": [{"$lookup": {"from": "org_other", "as": "x", "pipeline": []}}]}},
    {"$group": {"_id": 1, "x": {"$accumulator": {}}}},
    {"$project": {"x": {"$let": {"vars": {}, "in": {"$function": {}}}}}},
    {"$collStats": {}},
    {"$currentOp": {}},
    {"$listSessions": {}},
]


@pytest.mark.attack("Q2")
@pytest.mark.parametrize("query", FORBIDDEN, ids=str)
def test_a_filter_runs_no_code_anywhere(writer, stored, query):
    stored.insert_one({"_id": 1})
    text = json.dumps(query)
    answers = [
        writer.get(ACME, query_string={"filter": text}),
        writer.get(f"{ACME}/1", query_string={"projection": json.dumps({"x": query})}),
        writer.send("POST", f"{ACME}/query", json.dumps({"filter": query})),
        writer.send("POST", f"{ACME}/query", json.dumps({"projection": {"x": query}})),
        writer.send("POST", f"{ACME}/count", json.dumps({"filter": query})),
        writer.send("POST", f"{ACME}/aggregate", json.dumps({"pipeline": [{"$match": query}]})),
        writer.send(
            "POST", f"{ACME}/update", json.dumps({"filter": query, "update": {"$set": {"a": 1}}})
        ),
        writer.send("POST", f"{ACME}/delete", json.dumps({"filter": query})),
        writer.send("PATCH", f"{ACME}/1", json.dumps({"$pull": {"a": query}})),
        writer.send("PATCH", f"{ACME}/1", json.dumps([{"$set": {"a": query}}])),
        writer.send(
            "POST",
            "/org/acme-corp/indexes",
            json.dumps({"keys": {"a": 1}, "partial_filter": query}),
        ),
    ]
    for answer in answers:
        assert fault(answer)[:2] == (422, "invalid_query"), answer.text
    assert stored.find_one() == {"_id": 1}


@pytest.mark.attack("Q2")
def test_a_pipeline_stays_in_its_collection(writer):
    for stage in STAGES:
        answer = writer.send("POST", f"{ACME}/aggregate", json.dumps({"pipeline": [stage]}))
        assert fault(answer)[:2] == (422, "invalid_query"), stage
        answer = writer.send("PATCH", f"{ACME}/1", json.dumps([stage]))
        assert fault(answer)[0] in (404, 422), stage


def test_many_are_changed_and_deleted_by_a_filter(writer, stored):
    stored.insert_many({"_id": n, "a": n % 2} for n in range(1200))
    answer = writer.send(
        "POST", f"{ACME}/update", '{"filter": {"a": 1}, "update": {"$inc": {"n": 1}}}'
    )
    assert (answer.json["matched"], answer.json["modified"]) == (600, 600)
    assert stored.count_documents({"n": 1}) == 600
    answer = writer.send("POST", f"{ACME}/delete", '{"filter": {"a": 0}}')
    assert answer.json["deleted"] == 600
    assert stored.count_documents({}) == 600


@pytest.mark.parametrize(
    "given", [{}, {"filter": None}, {"filter": []}, {"filter": ""}, {"where": {}}], ids=str
)
def test_a_filter_that_was_left_out_does_not_stand_for_all(writer, stored, given):
    """hasura/graphql-engine 704 3438 5701 9552: a variable that was undefined emptied tables."""
    stored.insert_many([{"_id": n} for n in range(3)])
    for path, change in (("update", {"update": {"$set": {"n": 1}}}), ("delete", {})):
        refused = writer.send("POST", f"{ACME}/{path}", json.dumps({**given, **change}))
        assert fault(refused)[:2] == (422, "invalid_input")
        assert "filter" in fault(refused)[2]
        empty_id = {"filter": {"_id": {}}, **change}
        assert writer.send("POST", f"{ACME}/{path}", json.dumps(empty_id)).status_code == 200
    assert list(stored.find(sort={"_id": 1})) == [{"_id": n} for n in range(3)]


_TWICE = b"\x10n\0\x01\0\0\0\x10n\0\x02\0\0\0"
_LONG = b"\x02long\0\xc9\0\0\0" + b"x" * 200 + b"\0"
# Each of these pipelines ends a server before 6.0.9 (SERVER-76934).
ENDING = {
    "at the top": (_TWICE, [{"$set": {"n": 5}}]),
    "in a document": (b"\x03o\0" + framed(_TWICE), [{"$unset": "o.n"}]),
    "in a list": (b"\x04a\0" + framed(b"\x030\0" + framed(_TWICE)), [{"$unset": "a.n"}]),
}


@pytest.mark.attack("Q2")
@pytest.mark.parametrize(("fields", "pipeline"), ENDING.values(), ids=ENDING)
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_a_document_with_a_field_twice_is_only_replaced(
    writer, stored, acme, fields, pipeline, recorded
):
    acme.update(set__records_programs=recorded)
    document = framed(b"\x10_id\0\x01\0\0\0" + fields + _LONG)
    stored.insert_many([{"_id": 0}, RawBSONDocument(document)])
    many = json.dumps({"filter": {}, "update": pipeline})
    for answer in (
        writer.send("PATCH", f"{ACME}/1", json.dumps(pipeline)),
        writer.send("PATCH", f"{ACME}/1", '{"$unset": {"n": 1}}'),
        writer.send("POST", f"{ACME}/update", many),
    ):
        assert fault(answer)[:2] == (422, "field_twice")
    assert raw_of(stored, 1) == document
    assert stored.find_one({"_id": 0}) == {"_id": 0}
    assert writer.send("PUT", f"{ACME}/1", '{"n": 1}').json["modified"] == 1
    assert writer.send("PATCH", f"{ACME}/1", '[{"$set": {"n": 5}}]').json["modified"] == 1
    assert stored.find_one({"_id": 1}) == {"_id": 1, "n": 5}


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_field_that_comes_twice_between_look_and_update_is_seen(
    writer, stored, monkeypatch, many
):
    fields, pipeline = ENDING["in a document"]
    document = framed(b"\x10_id\0\x01\0\0\0" + fields)
    stored.insert_one({"_id": 1, "o": {"n": 1}})
    seen = []

    def look_and_let_it_come(found):
        seen.append(has_name_twice(found))
        if not any(seen):
            stored.replace_one({"_id": 1}, RawBSONDocument(document))
        return seen[-1]

    monkeypatch.setattr(writing, "has_name_twice", look_and_let_it_come)
    if many:
        body = json.dumps({"filter": {}, "update": pipeline})
        answer = writer.send("POST", f"{ACME}/update", body)
    else:
        answer = writer.send("PATCH", f"{ACME}/1", json.dumps(pipeline))
    assert fault(answer)[:2] == (422, "field_twice")
    assert seen == [False, True]
    assert raw_of(stored, 1) == document


KEY = {"Idempotency-Key": "once"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", '{"a": 1}'),
        ("POST", "", '[{"a": 1}, {"a": 2}]'),
        ("PUT", "/1", '{"n": 5}'),
        ("PATCH", "/1", '{"$inc": {"n": 1}}'),
        ("DELETE", "/1", None),
        ("POST", "/update", '{"filter": {}, "update": {"$inc": {"n": 1}}}'),
        ("POST", "/delete", '{"filter": {}}'),
    ],
)
def test_a_write_with_a_key_is_done_once(writer, stored, method, path, body):
    stored.insert_one({"_id": 1, "n": 1})
    first = writer.send(method, ACME + path, body, headers=KEY)
    after = list(stored.find())
    again = writer.send(method, ACME + path, body, headers=KEY)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.status_code == again.status_code < 300
    assert {**first.json, "repeated": 0} == {**again.json, "repeated": 0}
    assert list(stored.find()) == after
    if body:
        other = (
            body.replace("1", "2").replace("5", "6")
            if path != "/delete"
            else '{"filter": {"a": 1}}'
        )
        assert (
            fault(writer.send(method, ACME + path, other, headers=KEY))[1]
            == "idempotency_key_reused"
        )


def test_a_refused_write_leaves_its_key_free(writer, stored):
    stored.insert_one({"_id": 1})
    assert writer.insert('{"_id": 1}', headers=KEY).status_code == 409
    stored.delete_one({})
    assert writer.insert('{"_id": 1}', headers=KEY).status_code == 201


def test_the_record_of_a_write_has_no_document_in_it(writer, stored, acme):
    writer.insert('{"_id": 1, "secret": "sesame"}', headers=KEY)
    records = stored.database.client[f"{stored.database.name}_internal"]["document_idempotency"]
    [record] = records.find({"organization": acme.id})
    assert "sesame" not in str(record)


def test_keys_without_the_permission_are_refused(app, acme):
    for permissions in (["documents.read"], ["documents.write"], ["organization.view"]):
        program = DataProgram(app, a_key(acme, None, permissions))
        reads = program.get(ACME).status_code
        writes = program.insert("{}").status_code
        assert reads == (200 if "documents.read" in permissions else 403)
        assert writes == (201 if "documents.write" in permissions else 403)


def test_an_old_address_leads_on_and_an_id_never_changes(writer, stored, acme):
    stored.insert_one({"_id": 1})
    rename_organization(acme, "Acme & Daughters", a_context())
    by_old = writer.one("1")
    assert (
        by_old.headers["Link"]
        == '<http://localhost/org/acme-daughters/documents/1>; rel="canonical"'
    )
    by_id = writer.get(f"/org/by-id/{acme.id}/documents/1")
    assert by_id.json == by_old.json


@pytest.mark.attack("T1")
def test_an_organization_of_others_looks_like_none(app, writer):
    an_organization("Kestrel")
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/1"), ("POST", "/delete")):
        answer = writer.send(
            method, f"/org/kestrel/documents{path}", "{}" if method == "POST" else None
        )
        assert fault(answer) == (404, "not_found", set())


def test_dots_dollars_and_order_of_keys_stay(writer, stored):
    """By its _id alone a document is read, changed and deleted, whatever its keys are."""
    odd = {
        "_id": 1,
        "a.b": 1,
        "a": {"b": 2},
        "10": 1,
        "2": 2,
        "nested": {"$x": 1, "$set": {"y": 1}},
    }
    stored.insert_one(odd)
    before = raw_of(stored, 1)
    read = writer.one("1").json
    assert read["exact"] is True
    assert list(read["document"]) == list(odd)
    assert writer.send("PUT", f"{ACME}/1", json.dumps(read["document"])).json["modified"] == 0
    assert raw_of(stored, 1) == before
    assert writer.send("PATCH", f"{ACME}/1", '{"$set": {"a.b": 3}}').status_code == 200
    assert stored.find_one() == {**odd, "a": {"b": 3}}
    assert writer.delete(f"{ACME}/1").json["deleted"] == 1


def test_a_document_named_like_an_operator_is_read_replaced_and_deleted(writer, stored):
    stored.insert_one({"_id": 1, "$x": 1, "$set": 1})
    assert writer.one("1").json["document"]["$x"] == {"$numberInt": "1"}
    assert writer.send("PUT", f"{ACME}/1", '{"$x": 2, "$set": 3}').json["modified"] == 1
    assert stored.find_one() == {"_id": 1, "$x": 2, "$set": 3}
    refused = writer.send("PUT", f"{ACME}/1", '{"$x": 2, "$unset": {"a": ""}}')
    assert fault(refused)[:2] == (422, "invalid_query")
    assert writer.delete(f"{ACME}/1").json["deleted"] == 1


def test_requests_are_limited_for_each_key(app, acme, writer, settings):
    portal_settings.activate(replace(settings, rate_limits=True, document_limit=2))
    try:
        assert [writer.get(ACME).status_code for _ in range(3)] == [200, 200, 429]
        other = DataProgram(app, a_key(acme, None, ["documents.read"], "Another"))
        assert other.get(ACME).status_code == 200
    finally:
        portal_settings.activate(settings)
