"""The helper that creates, renames and drops tenant collections."""

from uuid import uuid4

import pymongo
import pytest
from pymongo import IndexModel
from pymongo.errors import PyMongoError, WriteConcernError

from portal.database.connection import tenant_database
from portal.database.transactions import transaction
from portal.tenants import collections
from portal.tenants.collections import (
    CollectionElsewhere,
    CollectionMissing,
    CollectionNameTaken,
    collection_figures,
    create_collection,
    delete_some,
    drop_collection,
    figures_and_documents,
    rename_collection,
    uuid_of,
)
from tests.factories import a_collection


def names(tenant_db):
    return sorted(tenant_db.list_collection_names())


def test_a_collection_is_created_with_its_transaction_or_not_at_all(tenant_db):
    def body():
        create_collection(tenant_database(), "new_1")  # by the client whose transaction it is
        raise KeyError

    with pytest.raises(KeyError):
        transaction(body)
    assert names(tenant_db) == []
    uuid = a_collection(tenant_db, "new_1")
    assert [found["info"]["uuid"].as_uuid() for found in tenant_db.list_collections()] == [uuid]


def test_a_creation_that_is_carried_out_after_it_was_given_up_leaves_nothing(tenant_db, failing):
    failing("create", {"times": 1}, blockConnection=True, blockTimeMS=1_000)
    with pytest.raises(PyMongoError), pymongo.timeout(0.2):
        a_collection(tenant_db, "new_1")
    uuid = a_collection(tenant_db, "new_1")  # waits for what the first one holds
    rename_collection(tenant_db, uuid, "new_1", "org_a")
    assert names(tenant_db) == ["org_a"]


def test_renaming_keeps_the_uuid_and_can_be_repeated(tenant_db):
    uuid = a_collection(tenant_db, "new_1")
    for _ in range(3):
        rename_collection(tenant_db, uuid, "new_1", "org_a")
    assert names(tenant_db) == ["org_a"]
    assert uuid_of(tenant_db, "org_a") == uuid


def test_renaming_to_the_name_it_has_only_looks_whether_it_is_there(tenant_db):
    uuid = a_collection(tenant_db, "org_a")
    rename_collection(tenant_db, uuid, "org_a", "org_a")
    tenant_db.org_a.rename("org_b")
    with pytest.raises(CollectionElsewhere):
        rename_collection(tenant_db, uuid, "org_a", "org_a")


def test_renaming_onto_another_collection_is_refused_and_touches_nothing(tenant_db):
    uuid = a_collection(tenant_db, "org_a")
    tenant_db.org_b.insert_one({"_id": 1})
    with pytest.raises(CollectionNameTaken):
        rename_collection(tenant_db, uuid, "org_a", "org_b")
    assert names(tenant_db) == ["org_a", "org_b"]
    assert tenant_db.org_b.count_documents({}) == 1


def test_another_collection_under_the_name_is_never_renamed(tenant_db):
    a_collection(tenant_db, "org_a")
    with pytest.raises(CollectionMissing):
        rename_collection(tenant_db, uuid4(), "org_a", "org_b")
    assert names(tenant_db) == ["org_a"]


def test_a_collection_with_an_unexpected_name_is_told(tenant_db):
    uuid = a_collection(tenant_db, "org_a")
    tenant_db.org_a.rename("org_c")
    with pytest.raises(CollectionElsewhere) as found:
        rename_collection(tenant_db, uuid, "org_a", "org_b")
    assert found.value.actual_name == "org_c"
    with pytest.raises(CollectionElsewhere):
        drop_collection(tenant_db, uuid, "org_a")
    with pytest.raises(CollectionElsewhere):
        collection_figures(tenant_db, uuid, "org_a")


def test_dropping_can_be_repeated_and_never_hits_another(tenant_db):
    uuid = a_collection(tenant_db, "org_a")
    drop_collection(tenant_db, uuid, "org_a")
    tenant_db.create_collection("org_a")
    drop_collection(tenant_db, uuid, "org_a")
    assert names(tenant_db) == ["org_a"]


def test_a_collection_with_large_definitions_is_dropped_index_by_index(tenant_db, commands):
    """At once they would have to be in memory once for each."""
    uuid, some = a_collection(tenant_db, "org_a"), ["x" * 400] * 20
    partly = {"$or": [{f"b{each}": 1} for each in some]}
    indexes = [IndexModel(f"a{n}", partialFilterExpression=partly) for n in range(63)]
    tenant_db.org_a.create_indexes(indexes)
    commands.clear()
    drop_collection(tenant_db, uuid, "org_a")
    assert commands == ["listIndexes", *["dropIndexes"] * 63, "drop"]
    assert names(tenant_db) == []


def test_figures_count_what_is_there(tenant_db):
    uuid = a_collection(tenant_db, "org_a")
    tenant_db.org_a.insert_many([{"_id": n} for n in range(7)])
    tenant_db.org_a.create_index("x")
    figures = collection_figures(tenant_db, uuid, "org_a")
    assert figures.documents == 7
    assert figures.size_bytes == 7 * 14
    assert [index.name for index in figures.indexes] == ["_id_", "x_1"]
    assert figures.index_bytes == sum(index.size_bytes for index in figures.indexes)


@pytest.mark.parametrize("code", [26, 175])
def test_figures_are_asked_for_again_after_a_rename_in_between(tenant_db, failing, code):
    """The server looks the name up again after the fence, and may find nothing."""
    uuid = a_collection(tenant_db, "org_a")
    tenant_db.org_a.insert_one({})
    failing("aggregate", {"times": 1}, errorCode=code)
    assert collection_figures(tenant_db, uuid, "org_a").documents == 1


def test_figures_take_one_command_once_the_table_is_known(tenant_db, commands):
    uuid = a_collection(tenant_db, "org_a")
    tenant_db.org_a.insert_many([{"_id": n} for n in range(7)])
    commands.clear()
    latest = [{"$sort": {"_id": -1}}, {"$limit": 2}]
    figures, documents = figures_and_documents(tenant_db, uuid, "org_a", latest)
    assert commands == ["aggregate"] * 2
    tenant_db.org_a.rename("org_b")
    commands.clear()
    assert figures_and_documents(tenant_db, uuid, "org_b", latest) == (figures, documents)
    assert collection_figures(tenant_db, uuid, "org_b") == figures
    assert commands == ["aggregate"] * 2
    assert [document["_id"] for document in documents] == [6, 5]


def test_figures_are_told_where_a_server_names_no_table(tenant_db, monkeypatch, commands):
    uuid = a_collection(tenant_db, "org_a")
    nameless = [*collections._STATISTICS[:1], {"$unset": "storageStats.wiredTiger"}]
    monkeypatch.setattr(collections, "_STATISTICS", (*nameless, *collections._STATISTICS[1:]))
    commands.clear()
    for _ in range(2):
        assert collection_figures(tenant_db, uuid, "org_a").documents == 0
    assert commands == ["aggregate"] * 4


@pytest.mark.parametrize("known", [False, True])
def test_figures_are_never_those_of_who_took_the_name_in_between(tenant_db, monkeypatch, known):
    uuid = a_collection(tenant_db, "org_a")
    if known:
        collection_figures(tenant_db, uuid, "org_a")
    fenced = collections.send

    def overtaken(database, command, fence, *options):
        """As the server does it: the fence is passed, then the name is another's, then counted."""
        monkeypatch.setattr(collections, "send", fenced)
        tenant_db.org_a.rename("org_b")
        tenant_db.org_a.insert_many([{}, {}])
        return database.command(command)

    monkeypatch.setattr(collections, "send", overtaken)
    with pytest.raises(CollectionElsewhere) as found:
        collection_figures(tenant_db, uuid, "org_a")
    assert found.value.actual_name == "org_b"


@pytest.mark.parametrize("code", [50, 64, 189, 11602])
def test_an_undecided_rename_is_asked_for_again(tenant_db, failing, code):
    uuid = a_collection(tenant_db, "new_1")
    failing("renameCollection", {"times": 2}, errorCode=code)
    rename_collection(tenant_db, uuid, "new_1", "org_a")
    assert names(tenant_db) == ["org_a"]


@pytest.mark.parametrize("command", ["create", "renameCollection", "drop"])
def test_a_broken_connection_is_asked_through(tenant_db, failing, command):
    failing(command, {"times": 1}, closeConnection=True)
    uuid = a_collection(tenant_db, "new_1")
    rename_collection(tenant_db, uuid, "new_1", "org_a")
    assert names(tenant_db) == ["org_a"]
    drop_collection(tenant_db, uuid, "org_a")
    assert names(tenant_db) == []


def test_a_change_that_no_majority_acknowledged_is_an_error(tenant_db, failing):
    uuid = a_collection(tenant_db, "new_1")
    concern = {"code": 100, "errmsg": "not enough data-bearing nodes"}
    failing("renameCollection", {"times": 1}, writeConcernError=concern)
    with pytest.raises(WriteConcernError):
        rename_collection(tenant_db, uuid, "new_1", "org_a")
    failing("drop", {"times": 1}, writeConcernError=concern)
    with pytest.raises(WriteConcernError):
        drop_collection(tenant_db, uuid, "org_a")


def test_a_rename_that_hangs_is_bounded_by_the_callers_time(tenant_db, failing):
    uuid = a_collection(tenant_db, "new_1")
    failing("renameCollection", "alwaysOn", blockConnection=True, blockTimeMS=3000)
    with pytest.raises(PyMongoError) as stopped, pymongo.timeout(1):
        rename_collection(tenant_db, uuid, "new_1", "org_a")
    assert stopped.value.timeout


def test_a_rename_waits_for_an_open_transaction_in_short_tries(tenant_db, bare_client):
    """A waiting rename makes all writes to the collection queue behind it."""
    uuid = a_collection(tenant_db, "org_a")
    bare = bare_client[tenant_db.name].org_a
    with bare_client.start_session() as session:
        with session.start_transaction():
            bare.insert_one({"_id": 1}, session=session)
            with pytest.raises(PyMongoError), pymongo.timeout(1.2):
                rename_collection(tenant_db, uuid, "org_a", "org_b")
        rename_collection(tenant_db, uuid, "org_a", "org_b")
    assert tenant_db.org_b.count_documents({}) == 1


def test_documents_are_deleted_in_parts_from_no_other_collection(tenant_db):
    uuid, other = a_collection(tenant_db, "org_a"), a_collection(tenant_db, "org_b")
    for name in ("org_a", "org_b"):
        tenant_db[name].insert_many({"_id": n} for n in range(5))
    few = {"_id": {"$lt": 3}}
    assert [delete_some(tenant_db, uuid, "org_a", few, 2) for _ in range(3)] == [True, True, False]
    assert tenant_db.org_a.distinct("_id") == [3, 4]
    with pytest.raises(CollectionElsewhere):
        delete_some(tenant_db, other, "org_a", {"_id": {"$gte": 0}}, 2)
    assert tenant_db.org_a.distinct("_id") == [3, 4]


def test_a_delete_that_a_rename_meets_half_way_is_told_where_to_go_on(tenant_db, monkeypatch):
    uuid = a_collection(tenant_db, "org_a")
    tenant_db.org_a.insert_one({"_id": 1})
    send = collections.send

    def rename_before(database, command, *others):
        if "delete" in command:
            tenant_db.org_a.rename("org_b")
        return send(database, command, *others)

    monkeypatch.setattr(collections, "send", rename_before)
    with pytest.raises(CollectionElsewhere) as found:
        delete_some(tenant_db, uuid, "org_a", {"_id": {"$gte": 0}}, 2)
    assert found.value.actual_name == "org_b"
