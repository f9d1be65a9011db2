"""An application's MongoDB user may what the library needs, and nothing else."""

import re
import time

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from portal.applications import managing
from portal.database import directory
from portal.database.portal_role import (
    MOVING_COLLECTION,
    OWN_COLLECTION,
    READ_ONLY_COLLECTION,
    internal_database,
    reports_database,
)
from portal.web.context import RequestContext
from tests.factories import an_organization

UNAUTHORIZED = 13
VIEW_NOT_SUPPORTED = 166
AT_MOST_SECONDS = 1
TRIES = 20
JOINED = {"from": "accounts", "localField": "_id", "foreignField": "_id", "as": "stolen"}
GRAPH = {
    "from": "accounts",
    "startWith": 1,
    "connectFromField": "_id",
    "connectToField": "_id",
    "as": "x",
}


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def uri(app, admin):
    return managing.add_application("shop", {"main": admin}, RequestContext()).uri


@pytest.fixture
def client(uri):
    with MongoClient(uri, uuidRepresentation="standard", timeoutMS=10_000) as client:
        yield client


@pytest.fixture
def documents(client, tenant_db, acme):
    return client[tenant_db.name][acme.placement.collection]


@pytest.fixture
def end(admin):
    """Ways in which an application's access ends."""

    def removed():
        managing.remove_application("shop", {"main": admin}, RequestContext())

    def rotated():
        managing.rotate_application("shop", {"main": admin}, RequestContext())
        managing.finish_rotation("shop", {"main": admin}, RequestContext())

    return {"removed": removed, "rotated": rotated}


def code_of(attempt):
    with pytest.raises(OperationFailure) as refused:
        attempt()
    return refused.value.code


def test_an_application_may_all_that_the_library_does(client, documents, tenant_db):
    documents.insert_many([{"_id": n, "n": n} for n in range(5)])
    documents.update_many({}, {"$inc": {"n": 1}})
    assert documents.find_one_and_update({"_id": 1}, {"$set": {"a": 1}})["n"] == 2
    documents.delete_one({"_id": 4})
    assert documents.count_documents({"n": {"$gt": 1}}) == 3
    name = documents.create_index("n")
    assert name in documents.index_information()
    documents.drop_index(name)
    assert next(documents.aggregate([{"$collStats": {"count": {}}}]))["count"] == 4
    with documents.watch(max_await_time_ms=100) as stream:
        documents.insert_one({"_id": 9})
        assert next(stream)["documentKey"] == {"_id": 9}
    with client.start_session() as session, session.start_transaction():
        documents.insert_one({"_id": 10}, session=session)
    reports = client[reports_database(tenant_db.name)]
    reports.applications.insert_one({"name": "shop"})
    assert code_of(reports.applications.find_one) == UNAUTHORIZED


@pytest.mark.attack("X3")
def test_of_other_databases_it_reaches_what_is_called_as_in_organizations_own_alone(
    client, admin, tenant_db, master_db
):
    """MongoDB knows no right by the beginning of a database's name. The portal has no collections
    of these names there, and the doctor tells of one."""
    for name in (master_db.name, internal_database(tenant_db.name)):
        database = client[name]
        for writable in (OWN_COLLECTION, MOVING_COLLECTION):
            database[writable].insert_one({})
            admin[name].drop_collection(writable)
        assert database[READ_ONLY_COLLECTION].find_one() is None
        assert code_of(lambda: database[READ_ONLY_COLLECTION].insert_one({})) == UNAUTHORIZED  # noqa: B023
        assert code_of(database.list_collection_names) == UNAUTHORIZED
        assert code_of(database.other.find_one) == UNAUTHORIZED


@pytest.mark.attack("X3")
def test_an_application_may_nothing_else(acme, client, documents, tenant_db, master_db):
    master, tenant, admin = client[master_db.name], client[tenant_db.name], client.admin
    internal, view = client[internal_database(tenant_db.name)], master[directory.ORGANIZATIONS]
    attempts = {
        "accounts": master.accounts.find_one,
        "sessions": lambda: master.sessions.insert_one({}),
        "an organization": lambda: master.organizations.update_one({}, {"$set": {"slug": "x"}}),
        "audit events": lambda: master.audit_events.delete_many({}),
        "a join behind the view": lambda: list(view.aggregate([{"$lookup": JOINED}])),
        "a join from tenant data": lambda: list(
            documents.aggregate([{"$lookup": {**JOINED, "from": {"db": master.name, "coll": "accounts"}}}])
        ),
        "a union": lambda: list(view.aggregate([{"$unionWith": "accounts"}])),
        "a graph": lambda: list(view.aggregate([{"$graphLookup": GRAPH}])),
        "the view's definition": lambda: master.command("listCollections"),
        "the definitions": master["system.views"].find_one,
        "another definition": lambda: master.command("collMod", view.name, viewOn="accounts", pipeline=[]),
        "a view of its own": lambda: master.create_collection("x", viewOn="accounts", pipeline=[]),
        "out of the view": lambda: list(view.aggregate([{"$out": "x"}])),
        "a stream of master data": lambda: next(master.organizations.watch(max_await_time_ms=1)),
        "a stream of the database": lambda: next(master.watch(max_await_time_ms=1)),
        "a stream of everything": lambda: next(client.watch(max_await_time_ms=1)),
        "a drop": documents.drop,
        "a drop of the database": lambda: client.drop_database(tenant.name),
        "a rename": lambda: documents.rename("elsewhere"),
        "a rename over another": lambda: documents.rename("elsewhere", dropTarget=True),
        "collMod": lambda: tenant.command("collMod", documents.name, validator={"x": 1}),
        "a capped one": lambda: tenant.command("convertToCapped", documents.name, size=4096),
        "a user": lambda: tenant.command("createUser", "evil", pwd="x", roles=[]),
        "a role": lambda: tenant.command("createRole", "evil", privileges=[], roles=[]),
        "a user in admin": lambda: admin.command("createUser", "evil", pwd="x", roles=["root"]),
        "more rights": lambda: admin.command("grantRolesToUser", "portal", roles=["root"]),
        "another's password": lambda: admin.command("updateUser", "portal", pwd="x"),
        "other users": lambda: admin.command("usersInfo", 1),
        "the internal database": internal.records.find_one,
        "writing there": lambda: internal.documents.insert_one({}),
        "a merge into it": lambda: list(
            documents.aggregate([{"$merge": {"into": {"db": internal.name, "coll": "x"}}}])
        ),
        "what others report": client[reports_database(tenant.name)].reports.find_one,
        "another database": lambda: client.elsewhere.documents.insert_one({}),
        "the local one": client.local["oplog.rs"].find_one,
        "connections of others": lambda: list(admin.aggregate([{"$currentOp": {"allUsers": True}}])),
        "settings of the server": lambda: admin.command("setParameter", 1, logLevel=1),
    }  # fmt: skip
    documents.insert_one({})
    refused = {what: code_of(attempt) for what, attempt in attempts.items()}
    # A join across databases is no syntax of the server, and a view has no capped form.
    unknown = {"a join from tenant data": 9}
    assert refused == {what: unknown.get(what, UNAUTHORIZED) for what in attempts}


@pytest.mark.attack("X3")
@pytest.mark.parametrize("way", ["removed", "rotated"])
def test_what_was_open_ends_with_the_user(way, end, client, documents, tenant_db, master_db):
    documents.insert_many([{"_id": n} for n in range(10)])
    cursor = documents.find(batch_size=2)
    next(cursor)
    stream = documents.watch(max_await_time_ms=100)
    stream.try_next()
    session = client.start_session()
    session.start_transaction()
    documents.insert_one({"_id": "uncommitted"}, session=session)
    end[way]()
    attempts = {
        "a write": lambda: documents.insert_one({"_id": "late"}),
        "a read": documents.find_one,
        "a cursor": lambda: list(cursor),
        "a stream": lambda: next(stream),
        "a transaction": session.commit_transaction,
        "the directory": client[master_db.name][directory.ORGANIZATIONS].find_one,
    }
    for attempt in attempts.values():
        with pytest.raises(PyMongoError):
            attempt()
    assert tenant_db[documents.name].count_documents({}) == 10
    tenant_db[documents.name].rename("elsewhere")  # its open transaction locks nothing


@pytest.mark.attack("X3")
def test_an_open_connection_is_refused_within_a_second(uri, end, tenant_db, acme):
    """Not at some time: what it wrote until then is the last."""
    with MongoClient(uri) as client:
        documents = client[tenant_db.name][acme.placement.collection]
        documents.insert_one({"_id": "before"})
        end["removed"]()
        removed, tries, refused = time.monotonic(), 0, None
        # A machine that stands still meanwhile has its tries later.
        while tries < TRIES or time.monotonic() < removed + AT_MOST_SECONDS:
            tries += 1
            try:
                documents.insert_one({})
            except OperationFailure as error:
                refused = error
                break
    assert refused.code == UNAUTHORIZED
    assert tenant_db[documents.name].find_one() == {"_id": "before"}


@pytest.mark.attack("X3")
def test_a_removed_application_can_not_come_back(uri, end):
    end["removed"]()
    with MongoClient(uri) as again, pytest.raises(OperationFailure, match="Authentication failed"):
        again.get_default_database()[directory.SLUGS].find_one()
    assert re.search(r"authSource=admin", uri)
