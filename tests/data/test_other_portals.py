"""What people ran into with other doors to MongoDB, tried on this one."""

import json

import pytest
from bson import ObjectId

from tests.data.conftest import ACME
from tests.program import fault

HEX = "548edf2560b2bb29fe2d6796"


def found(writer, **query):
    return writer.ids(**{name: json.dumps(value) for name, value in query.items()})


def test_a_text_that_looks_like_an_object_id_stays_a_text(writer, stored):
    """restheart 10; eve 207, 633: filters by it found nothing."""
    stored.insert_many([{"_id": 1, "owner": {"_id": HEX}}, {"_id": 2, "owner": ObjectId(HEX)}])
    one, two = {"$numberInt": "1"}, {"$numberInt": "2"}
    assert found(writer, filter={"owner._id": HEX}) == [one]
    assert found(writer, filter={"owner": {"$oid": HEX}}) == [two]
    assert found(writer, filter={"owner": HEX}) == []


def test_several_ids_are_asked_for_at_once_in_any_nesting(writer, stored):
    """cockpit 460: only the first; parse-server 2221: refused within another."""
    stored.insert_many([{"_id": n, "x": n} for n in range(6)])
    both = [{"$or": [{"x": 1}, {"x": 2}]}, {"$or": [{"_id": {"$in": [3, 4]}}, {"x": 5}]}]
    ids = found(writer, filter={"$or": both})
    assert [document_id["$numberInt"] for document_id in ids] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    "query",
    [
        {"$selected": True},  # dadi/api 581: the request hung
        {"_id": {"$oid": {"$gt": HEX}}},  # restheart 159: an error of the driver
        {"_id": {"$nin": 5}},
        {"$or": {}},
    ],
    ids=json.dumps,
)
def test_a_filter_that_is_none_is_refused_with_words(writer, stored, query):
    stored.insert_one({"_id": 1})
    answer = writer.get(ACME, query_string={"filter": json.dumps(query)})
    assert answer.status_code == 422, answer.text
    assert answer.json["error"]["message"]


@pytest.mark.parametrize(
    "update",
    [{"$set": {"_id": 5}}, {"$unset": {"_id": ""}}, {"$rename": {"_id": "b"}}],
    ids=json.dumps,
)
def test_an_update_of_the_id_is_refused_with_words(writer, stored, update):
    """restheart 136: 500."""
    stored.insert_one({"_id": 1, "a": 1})
    answer = writer.send("PATCH", f"{ACME}/1", json.dumps(update))
    assert answer.status_code == 422, answer.text
    assert stored.find_one() == {"_id": 1, "a": 1}


def test_a_change_that_breaks_a_unique_index_says_so(writer, stored):
    """restheart 418: told as a version that wasn't given, with 200."""
    stored.create_index("a", unique=True)
    stored.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 2}])
    answer = writer.send("PATCH", f"{ACME}/2", '{"$set": {"a": 1}}')
    assert fault(answer)[:2] == (409, "duplicate_key")
    assert stored.find_one(2) == {"_id": 2, "a": 2}


def test_the_version_that_a_change_answers_is_the_documents(writer, stored):
    """eve 590: another one; restheart 94: none of documents that others wrote."""
    stored.insert_one({"_id": 1, "n": 1})
    first = writer.one("1").headers["ETag"]
    for method, text in (("PATCH", '{"$inc": {"n": 1}}'), ("PUT", '{"n": 5}')):
        changed = writer.send(method, f"{ACME}/1", text, headers={"If-Match": first})
        assert changed.status_code == 200, changed.text
        first = changed.headers["ETag"]
        assert writer.one("1").headers["ETag"] == first


def test_what_pages_are_read_on_by_is_not_left_out(writer, stored):
    """mongo-cursor-pagination 374: the second page failed, or was another."""
    stored.create_index([("a", 1), ("_id", 1)])
    stored.insert_many([{"_id": n, "a": n % 2, "b": n} for n in range(5)])
    query = {"sort": '{"a": 1, "_id": 1}', "limit": 2}
    for left_out in ('{"_id": 0}', '{"b": 1}', '{"a": 0}'):
        refused = writer.get(ACME, query_string={**query, "projection": left_out})
        assert fault(refused)[:2] == (422, "invalid_query")
    seen, after, query["projection"] = [], {}, '{"a": 1, "b": 1}'
    while after is not None:
        page = writer.get(ACME, query_string={**query, **after}).json
        seen += [int(each["b"]["$numberInt"]) for each in page["documents"]]
        after = {"after": page["next"]} if page["next"] else None
    assert seen == [0, 2, 4, 1, 3]


def test_a_cursor_of_another_sort_is_refused(writer, stored):
    """wildduck 822: an empty page."""
    stored.create_index([("a", 1), ("_id", 1)])
    stored.insert_many([{"_id": n, "a": n} for n in range(5)])
    after = writer.get(ACME, query_string={"limit": 2}).json["next"]
    answer = writer.get(ACME, query_string={"sort": '{"a": 1, "_id": 1}', "after": after})
    assert answer.status_code == 422, answer.text
