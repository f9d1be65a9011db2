"""Indexes by the API: bounded builds, and failed ones stay listed."""

import json

import pytest

from portal.data import indexes
from portal.documents.audit import AuditEvent
from tests.program import fault

INDEXES = "/org/acme-corp/indexes"


def create(writer, **body):
    return writer.send("POST", INDEXES, json.dumps(body))


def listed(writer):
    return {index["name"]: index for index in writer.get(INDEXES).json["indexes"]}


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
    [*_, first, _, last] = AuditEvent.objects(chain=acme.id).order_by("seq")
    assert (first.action, last.action) == ("index.created", "index.dropped")
    assert first.details == {"name": "a_1__id_1", "fields": "a, _id"}


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
    monkeypatch.setattr(indexes, "MOST_INDEXES", 2)
    assert create(writer, keys={"a": 1}).status_code == 201
    assert fault(create(writer, keys={"b": 1})) == (409, "too_many_indexes", set())


def test_a_worker_builds_one_at_a_time(writer):
    with indexes._builds:
        assert fault(create(writer, keys={"a": 1})) == (503, "building_already", set())
    assert create(writer, keys={"a": 1}).status_code == 201
