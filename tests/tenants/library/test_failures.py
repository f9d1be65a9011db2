"""A server that fails, and lines that break."""

import pymongo
import pytest
from pymongo.errors import OperationFailure, PyMongoError, WriteConcernError

from tests.stopwatch import takes_less
from tests.tenants.library.conftest import library
from tests.tenants.library.works import (
    AFTERWARDS,
    FEW,
    READS,
    VERBS,
    WRITES,
    each_operation_with,
    own_collection,
    told,
)

limits = library("limits")


FAULTS = [
    {"closeConnection": True},
    {"errorCode": 91},
    pytest.param({"errorCode": 11600}, marks=pytest.mark.full),
    # The command was executed, and yet its answer is an error.
    {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
    *(
        pytest.param({"writeConcernError": {"code": code, "errmsg": words}}, marks=pytest.mark.full)
        for code, words in ((91, "shutting down"), (11600, "interrupted at shutdown"))
    ),
]


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_write_that_fails_twice_is_executed_once(store, stored, failing, name, fault):
    stored.insert_many(FEW)
    failing(VERBS[name], {"times": 2}, **fault)
    WRITES[name](store)
    assert stored.find() == AFTERWARDS[name]


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("renamed", [False, True])
def test_a_write_whose_answer_was_lost_is_executed_once(
    over_the_line, line, stored, fake, acme, name, renamed
):
    stored.insert_many(FEW)
    line.break_after(VERBS[name], (lambda: fake.rename(acme, "other")) if renamed else str)
    WRITES[name](over_the_line.by_id(acme))
    assert line.broken_at == [VERBS[name]]
    assert stored.find() == AFTERWARDS[name]


@own_collection
def test_an_index_is_dropped_though_the_answer_was_lost(over_the_line, line, stored, acme):
    store = over_the_line.by_id(acme)
    name = store.create_index("n")
    line.break_after("dropIndexes")
    store.drop_index(name)
    assert line.broken_at == ["dropIndexes"]
    assert list(store.index_information()) == ["_id_"]
    with pytest.raises(OperationFailure, match="index not found"):
        store.drop_index(name)


@own_collection
def test_an_index_that_never_was_is_not_told_as_dropped_where_no_primary_was_there(store, failing):
    store.create_index("n")
    failing("dropIndexes", {"times": 1}, errorCode=10107)
    with pytest.raises(OperationFailure, match="index not found"):
        store.drop_index("m_1")


@pytest.mark.parametrize("verb", ["update", "commitTransaction", "find"])
def test_a_batch_whose_answer_was_lost_is_executed_once(over_the_line, line, stored, acme, verb):
    stored.insert_many(FEW)
    store = over_the_line.by_id(acme)
    store.find_one()
    line.break_after(verb)
    assert told(store.update_many({"n": 0}, {"$inc": {"n": 1}})) == (4, 4)
    assert line.broken_at == [verb]
    assert stored.find() == AFTERWARDS["update_many"]


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
@pytest.mark.parametrize("name", ["update_many", "transaction"])
def test_a_batch_that_fails_is_executed_once(store, stored, failing, verb, fault, name):
    stored.insert_many(FEW)
    failing(verb, {"times": 2}, **fault)
    if name == "transaction" and verb == "update":
        with pytest.raises(PyMongoError) as stopped:
            WRITES[name](store)
        assert stopped.value.has_error_label("TransientTransactionError")
        assert stored.find() == FEW
    else:
        WRITES[name](store)
        assert stored.find() == AFTERWARDS[name]


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("fault", [{"closeConnection": True}, {"errorCode": 11600}], ids=repr)
def test_a_read_that_fails_is_sent_again(store, failing, name, fault):
    store.insert_many(map(dict, FEW))
    expected = READS[name](store)
    verbs = {"find": "find", "find_one": "find", "list_indexes": "listIndexes"}
    failing(verbs.get(name, "aggregate"), {"times": 2}, **fault)
    assert READS[name](store) == expected


@each_operation_with(
    "fault", {"closeConnection": True}, {"blockConnection": True, "blockTimeMS": 400}
)
def test_a_server_that_stays_away_is_told_in_the_callers_time(store, failing, name, fault):
    store.insert_many(map(dict, FEW))
    verbs = ["insert", "update", "delete", "find", "aggregate", "findAndModify", "listIndexes"]
    failing("ping", "alwaysOn", failCommands=verbs, **fault)

    def attempt():
        with pytest.raises(PyMongoError) as away, pymongo.timeout(0.2):
            {**WRITES, **READS}[name](store)
        assert away.value.timeout or away.value.has_error_label("TransientTransactionError")

    assert takes_less(1.2, attempt)


@pytest.mark.parametrize("name", VERBS)
def test_a_write_that_no_majority_has_is_not_acknowledged(store, failing, name):
    store.insert_many(map(dict, FEW))
    unknown = {"code": 64, "errmsg": "waiting for replication timed out"}
    failing(VERBS[name], "alwaysOn", writeConcernError=unknown)
    with pytest.raises(PyMongoError) as away, pymongo.timeout(0.3):
        WRITES[name](store)
    assert away.value.timeout
    never = {"code": 100, "errmsg": "not enough members"}
    failing(VERBS[name], "alwaysOn", writeConcernError=never)
    with pytest.raises(WriteConcernError):
        WRITES[name](store)


def test_a_batch_whose_end_stays_unknown_is_never_begun_again(store, stored, failing, monkeypatch):
    stored.insert_many(FEW)
    monkeypatch.setattr(limits, "TRANSACTION_SECONDS", 0.5)
    unknown = {"code": 91, "errmsg": "shutting down"}
    failing("commitTransaction", "alwaysOn", writeConcernError=unknown)
    with pytest.raises(PyMongoError):
        store.update_many({"n": 0}, {"$inc": {"n": 1}})
    assert stored.find() == AFTERWARDS["update_many"]


def test_a_write_during_an_operation_that_doesnt_end_ends_in_the_callers_time(
    store, fake, acme, stored
):
    with fake.fenced(acme):
        with pytest.raises(PyMongoError) as away, pymongo.timeout(0.5):
            store.insert_one({"_id": 1})
        assert away.value.timeout
    store.insert_one({"_id": 1})
    assert stored.find() == [{"_id": 1}]


def test_a_fence_of_what_is_not_there_is_an_error(fake):
    with pytest.raises(KeyError, match="nobody"):
        fake.fence("nobody", 0.2)


def test_a_write_during_an_operation_waits_for_its_end(store, fake, acme, stored):
    held = fake.fence(acme, 0.2)
    store.insert_one({"_id": 1})
    held.join()
    assert stored.find() == [{"_id": 1}]
