"""Documents by the API, wherever an organization is placed."""

import json

import pytest

from portal.clusters import managing
from portal.clusters.managing import Changes
from portal.data import importing
from portal.database.write_records import records_of
from portal.documents.accounts import Account
from portal.documents.organizations import MAIN_CLUSTER, Strategy
from portal.web.context import RequestContext
from tests.factories import an_organization, verify
from tests.program import Program, fault

DOCUMENTS = "/org/acme-corp/documents"


@pytest.fixture
def place(app):
    """A program of Acme Corp's owner, which is placed so."""

    def place(strategy, cluster=MAIN_CLUSTER):
        program = Program(app)
        program.sign_up("Mine")
        verify()
        program.log_in()
        owner = Account.objects.get(email="mara@acme.example")
        an_organization("Acme Corp", owner, strategy, cluster=cluster)
        return program

    return place


def use(program):
    """Insert twice with one key, update many, read, and count."""
    key = {"Idempotency-Key": "first-0123456789abcdef"}
    for _ in range(2):
        assert program.post(DOCUMENTS, {"_id": "a", "n": 1}, headers=key).status_code == 201
    program.post(DOCUMENTS, {"_id": "b", "n": 2})
    many = {"filter": {"n": {"$gt": 0}}, "update": {"$inc": {"n": 10}}}
    for _ in range(2):
        updated = program.post(
            f"{DOCUMENTS}/update", many, headers={"Idempotency-Key": "many-0123456789abcdef"}
        )
        assert updated.status_code == 200
    read = json.loads(program.get(DOCUMENTS).get_data(as_text=True))["documents"]
    assert [each["_id"] for each in read] == ["a", "b"]
    assert [int(each["n"]["$numberInt"]) for each in read] == [11, 12]
    assert program.delete(f"{DOCUMENTS}/a").status_code == 200
    assert program.post(f"{DOCUMENTS}/count", {"filter": {"n": 12}}).json["count"] == 1


@pytest.mark.parametrize("strategy", list(Strategy))
def test_documents_are_served_alike(place, strategy):
    use(place(strategy))


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_an_empty_timestamp_stays_as_it_was_sent(place, strategy):
    """For which the server puts its time in a document that is inserted or replaced."""
    program, empty = place(strategy), {"$timestamp": {"t": 0, "i": 0}}
    assert program.post(DOCUMENTS, [{"_id": 1, "at": empty}, {"_id": 2}]).status_code == 201
    assert program.put(f"{DOCUMENTS}/2", {"at": empty}).status_code == 200
    line = json.dumps({"_id": 3, "at": empty})
    stream = program.post(DOCUMENTS, data=line, content_type="application/x-ndjson")
    assert stream.json["inserted"] == 1
    read = json.loads(program.get(DOCUMENTS).get_data(as_text=True))["documents"]
    assert [each["at"] for each in read] == [empty] * 3


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_documents_in_another_cluster_are_served_alike(second_cluster, place, strategy):
    """The record of a key is there too, in the transaction of the write."""
    managing.add_cluster("europe", Changes(second_cluster.uri), RequestContext())
    use(place(strategy, "europe"))


def stream_in_parts(program):
    """Send a stream with a key that stops at a fault, then whole, twice, and then another one."""
    good = [json.dumps({"_id": n}) for n in range(5)]

    def send(*lines):
        key = {"Idempotency-Key": "stream-0123456789abcdef"}
        body = {"data": "\n".join(lines), "content_type": "application/x-ndjson"}
        return program.post(DOCUMENTS, **body, headers=key)

    stopped = send(*good, "{")
    assert fault(stopped)[1] == "import_stopped"
    assert "4 documents are inserted" in stopped.text
    for repeated in (4, 5):
        told = {"status": "success", "inserted": 5, "repeated": repeated}
        assert send(*good).json == told
    assert fault(send(*good[1:]))[1] == "import_stopped"
    assert program.post(f"{DOCUMENTS}/count", {}).json["count"] == 5


def test_a_stream_with_a_key_is_inserted_once_in_a_shared_collection(place, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_DOCUMENTS", 2)
    stream_in_parts(place(Strategy.SHARED))


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_a_stream_with_a_key_is_inserted_once_in_another_cluster(
    second_cluster, place, strategy, monkeypatch
):
    """The records of its batches are there, not here."""
    monkeypatch.setattr(importing, "BATCH_DOCUMENTS", 2)
    managing.add_cluster("europe", Changes(second_cluster.uri), RequestContext())
    stream_in_parts(place(strategy, "europe"))
    assert [records_of(each).count_documents({}) for each in (MAIN_CLUSTER, "europe")] == [0, 3]


def test_an_index_in_a_shared_collection_is_refused_with_what_would_change(place):
    program = place(Strategy.SHARED)
    assert [index["name"] for index in program.get("/org/acme-corp/indexes").json["indexes"]] == [
        "_id_"
    ]
    answer = program.post("/org/acme-corp/indexes", {"keys": {"n": 1}})
    assert fault(answer)[:2] == (409, "needs_own_placement")
    assert "place it apart" in answer.json["error"]["message"]


def test_a_search_through_very_many_shared_documents_is_refused(place, monkeypatch):
    monkeypatch.setattr("portal.data.plans.MOST_SCANNED", 1)
    program = place(Strategy.SHARED)
    for n in range(2):
        program.post(DOCUMENTS, {"_id": n, "n": n})
    found = program.post(f"{DOCUMENTS}/query", {"filter": {"n": 1}})
    assert fault(found)[:2] == (409, "needs_own_placement")
    found = program.post(f"{DOCUMENTS}/query", {"filter": {"_id": 1, "n": 1}})
    assert found.status_code == 200


def test_only_what_leaves_few_shared_documents_is_searched_through(place, monkeypatch):
    monkeypatch.setattr("portal.data.plans.MOST_SCANNED", 3)
    program = place(Strategy.SHARED)
    program.post(DOCUMENTS, [{"_id": n, "n": n} for n in range(5)])

    def query(**body):
        return program.post(f"{DOCUMENTS}/query", body)

    def aggregate(*pipeline):
        return program.post(f"{DOCUMENTS}/aggregate", {"pipeline": list(pipeline)})

    for condition in (1, {"$eq": 1}, {"$in": [1, 2]}, {"$gt": 1}, {"$lt": 3, "$exists": True}):
        found = {"_id": condition, "n": 2}
        assert query(filter=found).status_code == 200, condition
        assert query(filter={"$and": [found]}).status_code == 200, condition
        assert aggregate({"$match": found}, {"$sort": {"n": 1}}).status_code == 200, condition
    by_id = {"_id": {"$gte": 0}}
    assert query(filter=by_id).status_code == 200
    assert aggregate({"$match": by_id}).status_code == 200
    assert aggregate({"$sort": {"_id": 1}}, {"$limit": 2}).status_code == 200
    assert aggregate({"$group": {"_id": None, "n": {"$sum": 1}}}).status_code == 200
    refused = [
        query(filter={"_id": condition, "n": 2})
        for condition in (
            {"$exists": True},
            {"$ne": None},
            {"$not": {"$gt": 5}},
            {"$type": "int"},
            {"$nin": [7]},
            {"$gte": 0},
            {"$in": [1, {"$regularExpression": {"pattern": "", "options": ""}}]},
            {"$regularExpression": {"pattern": "", "options": ""}},
        )
    ]
    refused += [
        query(filter={"_id": {"$ne": None}}),
        query(filter={"$or": [{"_id": 1}, {"n": 2}]}),
        query(filter=by_id, sort={"n": 1}),
        aggregate({"$set": {"_id": 1}}, {"$match": {"_id": 1}}),
        aggregate({"$match": by_id}, {"$match": {"n": 1}}),
        aggregate({"$sort": {"n": 1}}, {"$limit": 2}),
    ]
    assert {fault(each)[:2] for each in refused} == {(409, "needs_own_placement")}
