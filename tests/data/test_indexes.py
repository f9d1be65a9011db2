"""Indexes by the API: bounded builds, and failed ones stay listed."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from bson import encode
from bson.json_util import loads
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pymongo.errors import DuplicateKeyError, OperationFailure

from portal import clock
from portal.data.access import operator_access
from portal.data.document_ids import decoded, parse_document_id
from portal.data.indexes import builds as index_builds
from portal.data.indexes import conflicts as index_conflicts
from portal.data.indexes.listing import IndexSpec
from portal.database.leases import Interrupted
from portal.documents.audit import AuditEvent
from portal.documents.jobs import Job
from portal.jobs import managing, running
from portal.jobs.runner import run_due_jobs
from portal.web.context import RequestContext
from tests.factories import a_context, an_access
from tests.program import fault

INDEXES = "/org/acme-corp/indexes"
LISTS_IN_TWO_FIELDS = 171


def create(writer, **body):
    return writer.send("POST", INDEXES, json.dumps(body))


def listed(writer):
    return {index["name"]: index for index in writer.get(INDEXES).json["indexes"]}


@pytest.mark.parametrize(
    ("partial", "told"),
    [
        ({"a": {"$exists": False}}, "$exists: false"),
        ({"$and": [{"a": 1}, {"b": {"$ne": 1}}]}, "$ne"),
        ({"a": {"$not": {"$eq": 1}}}, "$not"),
        ({"a": {"$regularExpression": {"pattern": "x", "options": ""}}}, "$regex"),
        ({"$nor": [{"a": 1}]}, "$nor"),
        ({"a": {"$in": [""]}, "$or": [{"b": {"$exists": True}}, {"b": {"$type": "int"}}]}, None),
        ({"a": {"$ref": "b", "$id": 1}, "c": {"$gt": 0, "$lte": 5}}, None),
    ],
)
def test_what_no_partial_index_can_have_is_told_before_it_is_built(writer, partial, told):
    answer = create(writer, keys={"n": 1}, partial_filter=partial)
    if told is None:
        assert answer.json["index"]["state"] == "ready", answer.text
    else:
        assert fault(answer)[:2] == (422, "invalid_index")
        assert f"can’t have {told}:" in answer.json["error"]["message"]
        assert set(listed(writer)) == {"_id_"}


def test_an_index_is_built_listed_and_dropped(writer, stored, acme):
    answer = create(writer, keys={"a": 1, "_id": 1}, unique=True, partial_filter={"a": {"$gt": 5}})
    assert answer.status_code == 201
    assert answer.json["index"]["state"] == "ready"
    assert listed(writer)["a_1__id_1"]["keys"] == {"a": 1, "_id": 1}
    assert stored.index_information()["a_1__id_1"]["unique"]
    assert (
        create(
            writer, keys={"a": 1, "_id": 1}, unique=True, partial_filter={"a": {"$gt": 5}}
        ).status_code
        == 201
    )
    assert writer.delete(f"{INDEXES}/a_1__id_1").status_code == 200
    assert set(listed(writer)) == {"_id_"}
    assert fault(writer.delete(f"{INDEXES}/a_1__id_1")) == (404, "index_not_found", set())
    events = list(AuditEvent.objects(chain=acme.id).order_by("seq"))[-4:]
    assert [event.action for event in events] == [
        "index.created", "job.started", "job.done", "index.dropped",
    ]  # fmt: skip
    assert events[0].details == {"name": "a_1__id_1", "fields": "a, _id"}


@pytest.mark.attack("Q3")
def test_a_failed_build_stays_with_its_cause_and_without_values(writer, stored):
    stored.insert_many([{"email": "secret"}, {"email": "secret"}])
    answer = create(writer, keys={"email": 1}, unique=True)
    assert answer.status_code == 202
    assert answer.json["index"]["state"] == "failed"
    cause = listed(writer)["email_1"]["cause"]
    assert "the same email" in cause
    assert "secret" not in cause
    stored.delete_one({})
    assert create(writer, keys={"email": 1}, unique=True).json["index"]["state"] == "ready"
    assert listed(writer)["email_1"]["cause"] is None


def test_a_failed_build_is_forgotten_when_it_is_dropped(writer, stored):
    stored.insert_many([{"a": 1}, {"a": 1}])
    create(writer, keys={"a": 1}, unique=True)
    assert writer.delete(f"{INDEXES}/a_1").status_code == 200
    assert set(listed(writer)) == {"_id_"}


@pytest.mark.parametrize(
    "body",
    [
        {"keys": {}},
        {"keys": {"_id": 1}},
        {"keys": {"$a": 1}},
        {"keys": {"a": 2}},
        {"keys": {"a": "wild"}},
        {"keys": {"a": True}},
        {"keys": {"a": 1}, "name": "x" * 101},
        {"keys": {"a": 1}, "name": "*"},
        {"keys": {str(n): 1 for n in range(33)}},
    ],
)
def test_an_index_that_cannot_be_is_refused(writer, body):
    assert fault(create(writer, **body)) == (422, "invalid_index", set())


def test_fields_of_another_kind_are_refused(writer):
    refused = create(writer, keys=[], unique="yes", colour="red")
    assert fault(refused) == (422, "invalid_input", {"keys", "unique", "colour"})


def test_the_index_of_ids_stays(writer):
    assert fault(writer.delete(f"{INDEXES}/_id_")) == (422, "invalid_index", set())


def test_there_are_not_too_many(writer, monkeypatch):
    monkeypatch.setattr(index_builds, "MOST_INDEXES", 2)
    assert create(writer, keys={"a": 1}).status_code == 201
    assert fault(create(writer, keys={"b": 1})) == (409, "too_many_indexes", set())


def test_a_worker_builds_one_at_a_time_and_the_next_waits_for_its_turn(writer):
    with index_builds._builds:
        answer = create(writer, keys={"a": 1})
        assert (answer.status_code, answer.json["index"]["state"]) == (202, "building")
        assert create(writer, keys={"a": 1}).json["index"]["state"] == "building"
    assert run_due_jobs() == 1
    assert listed(writer)["a_1"]["state"] == "ready"


def test_a_build_whose_process_died_is_gone_on_with(writer, stored):
    """The server has the index already, or goes on building it."""
    with index_builds._builds:
        create(writer, keys={"a": 1})
    job = Job.objects.get(kind="index_build")
    assert running.acquire(job.id)
    stored.create_index("a")
    Job.objects(id=job.id).update_one(set__due_at=job.created_at)
    assert run_due_jobs() == 1
    assert listed(writer)["a_1"]["state"] == "ready"


def test_two_who_ask_for_one_index_at_a_time_have_one_build(acme, stored):
    together = threading.Barrier(2)

    def ask():
        together.wait()
        return index_builds.create_index(an_access(acme), IndexSpec({"a": 1}), a_context()).name

    with index_builds._builds, ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask) for _ in range(2)]
        assert [each.result() for each in asked] == ["a_1", "a_1"]
    assert Job.objects(kind="index_build").count() == 1


def test_a_build_that_is_stopped_leaves_no_index(writer, stored):
    with index_builds._builds:
        create(writer, keys={"a": 1})
        assert writer.delete(f"{INDEXES}/a_1").status_code == 200
    assert run_due_jobs() == 0
    assert set(listed(writer)) == {"_id_"}


def test_a_build_that_was_stopped_while_the_server_built_it_is_taken_back(writer, stored):
    with index_builds._builds:
        create(writer, keys={"a": 1})
    leased = running.acquire(Job.objects.get(kind="index_build").id)
    run = running.Run(leased)
    managing.cancel_job(str(leased.id), RequestContext())
    with pytest.raises(Interrupted):
        run.renew()
    with pytest.raises(Interrupted):
        index_builds.build_index(run)
    assert set(stored.index_information()) == {"_id_"}


def test_a_build_may_not_take_too_long(writer, monkeypatch):
    with index_builds._builds:
        create(writer, keys={"a": 1})
    monkeypatch.setattr(index_builds, "BUILD_SECONDS", 0)
    assert run_due_jobs() == 1
    [failed] = [index for index in listed(writer).values() if index["state"] == "failed"]
    assert "longer than" in failed["cause"]


def test_a_failed_build_names_the_documents_in_its_way(writer, stored):
    stored.insert_many([{"_id": n, "email": "secret"} for n in range(3)])
    create(writer, keys={"email": 1}, unique=True)
    named = map(parse_document_id, listed(writer)["email_1"]["conflicts"])
    assert list(named) == [encode({"": 0}), encode({"": 1})]


def test_another_index_of_the_same_name_is_refused(writer):
    assert create(writer, keys={"a": 1}).status_code == 201
    answer = create(writer, keys={"a": 1}, unique=True)
    assert fault(answer) == (422, "invalid_index", set())
    assert not listed(writer)["a_1"]["unique"]


def test_an_index_is_hidden_and_shown_again_without_being_built(writer, stored):
    create(writer, keys={"a": 1})
    for hidden in (True, True, False):
        answer = writer.send("PATCH", f"{INDEXES}/a_1", json.dumps({"hidden": hidden}))
        assert answer.status_code == 200
        assert listed(writer)["a_1"]["hidden"] == hidden
        assert stored.index_information()["a_1"].get("hidden", False) == hidden
    assert Job.objects(kind="index_build").count() == 1


def test_size_and_use_are_told(writer, stored):
    create(writer, keys={"a": 1})
    stored.insert_one({"a": 1})
    stored.find_one({"a": 1})
    found = listed(writer)["a_1"]
    assert found["size_bytes"] > 0
    assert found["operations"] == 1
    assert found["used_since"]


def check(writer, **body):
    answer = writer.send("POST", f"{INDEXES}/check", json.dumps(body))
    assert answer.status_code == 200, answer.text
    return answer.json


def test_conflicts_of_a_unique_index_are_named_before_it_is_built(writer, stored):
    stored.insert_many(
        [{"_id": 1}, {"_id": 2}, {"_id": 3, "a": None}, {"_id": 4, "a": 7}, {"_id": 5, "a": 7.0},
         {"_id": 6, "a": 8}, {"_id": 7, "a": [9, 9]}, {"_id": 8, "a": []}]
    )  # fmt: skip
    found = check(writer, keys={"a": 1}, unique=True)
    assert found["conflicting"] == 5
    missing, seven = found["conflicts"]
    assert (missing["missing"], missing["documents"]) == (True, 3)
    assert (seven["values"], seven["documents"]) == ("7", 2)
    assert [parse_document_id(each) for each in seven["addresses"]] == [
        encode({"": 4}), encode({"": 5}),
    ]  # fmt: skip
    within = check(writer, keys={"a": 1}, unique=True, partial_filter={"a": {"$gt": 7}})
    assert within["conflicting"] == 0
    assert check(writer, keys={"a": 1}, unique=True, sparse=True)["conflicting"] == 2
    assert check(writer, keys={"a": 1})["conflicting"] == 0


KEYS = st.sampled_from([None, 1, 2, [], [1], [1, 1], [1, 2], "x", {"b": 1}, ...])
PART = st.sampled_from([None, 1, [], [1, 2], {"x": 1}, [{"x": 1}, {}], ...])
ONE = st.one_of(
    st.sampled_from([None, 1, [], [{"b": 1, "c": 1}]]),
    st.builds(lambda **parts: without_missing(parts), b=PART, c=PART),
)
SEVERAL = st.one_of(ONE, st.lists(ONE, max_size=3), st.just(...))


def without_missing(fields):
    return {name: value for name, value in fields.items() if value is not ...}


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=st.sampled_from(
        [["a"], ["a.b", "a.c"], ["a.c", "n", "a.b"], ["a", "a.b"], ["a.b.x", "a.c"]]
    ),
    values=st.lists(st.one_of(KEYS, SEVERAL), min_size=1, max_size=4),
    sparse=st.booleans(),
)
def test_what_is_named_is_what_the_server_would_refuse(acme, stored, keys, values, sparse):
    stored.delete_many({})
    stored.insert_many(without_missing({"_id": n, "a": a}) for n, a in enumerate(values))
    spec = IndexSpec(dict.fromkeys(keys, 1), unique=True, sparse=sparse)
    found = index_conflicts.conflicts_of(operator_access(acme), spec)
    try:
        stored.drop_index(stored.create_index(list(spec.keys.items()), **spec.options))
        refused = False
    except DuplicateKeyError:
        refused = True
    except OperationFailure as error:
        assume(error.code != LISTS_IN_TWO_FIELDS)
        raise
    assert bool(found.documents) == refused
    for conflict in found.largest:
        named = {decoded(parse_document_id(each)) for each in conflict.addresses}
        if conflict.filter:
            assert named <= {each["_id"] for each in stored.find(loads(conflict.filter))}


def test_what_fields_have_of_one_list_is_of_one_element(writer, acme, stored):
    def both(*pairs):
        return [{"provider": provider, "subject": subject} for provider, subject in pairs]

    unique = {"keys": {"ids.provider": 1, "ids.subject": 1}, "unique": True}
    stored.insert_many(
        [{"_id": "A", "ids": both(("google", 111), ("github", 222))},
         {"_id": "B", "ids": both(("google", 222))}]
    )  # fmt: skip
    assert check(writer, **unique)["conflicting"] == 0
    assert create(writer, **unique).json["index"]["state"] == "ready"
    stored.drop_indexes()
    stored.insert_many(
        [{"_id": "C", "ids": both(("google", 222))}, {"_id": "D", "ids": [{"provider": "x"}]},
         {"_id": "E", "ids": [{"provider": "x"}, {"provider": "y", "subject": 1}]},
         {"_id": "F", "ids": both(("google", 222))[0]}]
    )  # fmt: skip
    spec = IndexSpec(**unique)
    google, missing = index_conflicts.conflicts_of(operator_access(acme), spec).largest
    assert (google.documents, missing.documents, missing.filter) == (3, 2, None)
    found = {each["_id"] for each in stored.find(loads(google.filter))}
    assert found == {"B", "C", "F"}
    assert check(writer, keys={"ids.0": 1}, unique=True)["conflicting"] is None


def test_what_would_expire_at_once_is_told_of_dates_alone(writer, stored):
    now = clock.now()
    stored.insert_many(
        [{"at": now - timedelta(days=2)}, {"at": now}, {"at": "2020-01-01"}, {}, {"at": 5}]
    )
    found = check(writer, keys={"at": 1}, expire_after_seconds=86400)
    assert (found["deleted_at_once"], found["without_date"]) == (1, 3)
    refused = writer.send(
        "POST",
        f"{INDEXES}/check",
        json.dumps({"keys": {"a": 1, "b": 1}, "expire_after_seconds": 1}),
    )
    assert fault(refused) == (422, "invalid_index", set())


def test_an_index_that_would_delete_at_once_is_built_if_that_is_said(writer, stored):
    body = {"keys": {"at": 1}, "expire_after_seconds": 60}
    stored.insert_one({"at": clock.now() - timedelta(days=1)})
    refused = create(writer, **body)
    assert fault(refused) == (409, "would_expire", {"deletes"})
    assert "1 document would be deleted within a minute" in refused.json["error"]["message"]
    assert fault(create(writer, **body, deletes="yes"))[:2] == (422, "invalid_input")
    assert set(listed(writer)) == {"_id_"}
    key = {"Idempotency-Key": "expiring-0123456789abcdef"}
    for _ in range(2):
        made = writer.send("POST", INDEXES, json.dumps({**body, "deletes": True}), headers=key)
        assert made.status_code == 201, made.text
    assert create(writer, **body).status_code == 201  # it is there


def test_ids_are_hashed_beside_their_own_index(writer, stored):
    """By which a collection is sharded."""
    answer = create(writer, keys={"_id": "hashed"})
    assert (answer.status_code, answer.json["index"]["state"]) == (201, "ready")
    for order in (1, -1):
        refused = create(writer, keys={"_id": order})
        assert "There is an index of _id already." in refused.json["error"]["message"]


def test_an_index_of_which_nobody_can_tell_what_it_deletes_wants_that_said(
    writer, stored, monkeypatch
):
    monkeypatch.setattr(index_conflicts, "expiring_by", lambda *_: None)
    refused = create(writer, keys={"at": 1}, expire_after_seconds=60)
    assert "An unknown number of documents" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    ("document", "first", "second", "words"),
    [
        ({"a": [1], "b": [2]}, None, {"keys": {"a": 1, "b": 1}}, "lists in two of the fields"),
        ({"a": [1]}, None, {"keys": {"a": "hashed"}}, "a hashed index takes none"),
        ({}, {"keys": {"a": "text"}}, {"keys": {"b": "text"}}, "collection has one"),
        ({}, {"keys": {"a": 1}}, {"keys": {"a": 1}, "name": "other"}, "the same fields"),
        ({"a": {"x": 1}}, None, {"keys": {"a": "2dsphere"}}, "a place on earth"),
    ],
)
def test_a_build_that_cannot_be_says_why_in_words(writer, stored, document, first, second, words):
    stored.insert_one({**document, "secret": "s3cr3t"})
    if first:
        assert create(writer, **first).status_code == 201
    answer = create(writer, **second)
    assert (answer.status_code, answer.json["index"]["state"]) == (202, "failed")
    assert words in answer.json["index"]["cause"]
    assert "s3cr3t" not in answer.text


def test_an_index_of_texts_takes_documents_whose_language_mongodb_does_not_know(writer, stored):
    stored.insert_one({"note": "Fixed again", "language": "tlh"})
    for _ in range(2):
        made = create(writer, keys={"note": "text"}, default_language="german").json["index"]
        assert (made["state"], made["default_language"]) == ("ready", "german")
    stored.insert_one({"note": "Wieder heil", "language": "de-AT"})
    assert stored.count_documents({"$text": {"$search": "heile"}}) == 1
