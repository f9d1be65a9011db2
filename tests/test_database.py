"""Transactions, and servers that are refused."""

import subprocess
import threading

import pymongo
import pytest
from mongoengine.errors import MongoEngineException, NotUniqueError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal.database import connection, transactions
from portal.database.connection import check_server, portable_uri
from portal.database.errors import UnsuitableServer
from portal.database.transactions import transaction
from portal.documents.organizations import Slug
from portal.serving import mongod


def a_slug(name):
    return Slug(id=name, organization="0" * 24, state="current")


def test_what_a_transaction_writes_happens_together():
    def body():
        a_slug("one").save(force_insert=True)
        a_slug("two").save(force_insert=True)

    transaction(body)
    assert len(Slug.objects()) == 2


def test_nothing_is_left_of_a_transaction_that_raised():
    def body():
        a_slug("one").save(force_insert=True)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transaction(body)
    assert len(Slug.objects()) == 0


def test_a_broken_unique_index_reaches_the_caller():
    a_slug("one").save(force_insert=True)
    with pytest.raises(NotUniqueError):
        transaction(lambda: a_slug("one").save(force_insert=True))


def test_a_write_conflict_is_tried_again():
    a_slug("one").save(force_insert=True)
    both_inside = threading.Barrier(2, timeout=20)
    runs = []

    def rename(to):
        first_run = threading.Event()

        def body():
            runs.append(to)
            slug = Slug.objects.get(id="one")
            if not first_run.is_set():
                first_run.set()
                both_inside.wait()
            slug.update(set__state=to)

        transaction(body)

    threads = [threading.Thread(target=rename, args=(to,)) for to in ("target", "old")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) > 2
    assert Slug.objects.get(id="one").state in ("target", "old")


def test_transactions_do_not_nest():
    with pytest.raises(RuntimeError, match="nest"):
        transaction(lambda: transaction(lambda: None))


def test_a_lock_that_nobody_frees_stops_a_transaction_in_time(bare_client, master_db, monkeypatch):
    """A client that was killed inside a transaction keeps its locks for many seconds."""
    monkeypatch.setattr(transactions, "TRANSACTION_SECONDS", 0.5)
    a_slug("one").save(force_insert=True)
    with bare_client.start_session() as session, session.start_transaction():
        theirs = bare_client[master_db.name].slugs
        theirs.update_one({"_id": "one"}, {"$set": {"state": "old"}}, session=session)
        with pytest.raises((PyMongoError, MongoEngineException)) as stopped:
            transaction(lambda: Slug.objects(id="one").update_one(set__state="target"))
        assert connection.is_unavailable(stopped.value)
        session.abort_transaction()


@pytest.mark.parametrize(
    ("uri", "portable"),
    [
        ("mongodb://h/?w=majority&retryWrites=true", "mongodb://h/?retryWrites=true"),
        ("mongodb://a:1,b:2/?readPreference=nearest&journal=true&replicaSet=x", "mongodb://a:1,b:2/?replicaSet=x"),
        ("mongodb://u:p%40@h/admin?wTimeoutMS=5", "mongodb://u:p%40@h/?authSource=admin"),
        ("mongodb+srv://u:p@c.example/db?authSource=x&readConcernLevel=local", "mongodb+srv://u:p@c.example/?authSource=x"),
    ],
)  # fmt: skip
def test_concerns_and_databases_of_the_uri_are_not_the_portals(uri, portable):
    assert portable_uri(uri) == portable


def test_transactions_work_with_a_uri_that_names_a_write_concern(server):
    uri = portable_uri(server.uri + "&w=majority")
    with (
        MongoClient(uri) as client,
        client.start_session() as session,
        session.bind(end_session=False),
    ):
        session.with_transaction(lambda _: client.master_test.slugs.insert_one({"_id": "x"}))


@pytest.mark.processes
def test_a_standalone_server_is_refused_with_the_reason(tmp_path):
    port = mongod._free_port()
    command = [
        mongod.find_mongod(),
        "--dbpath",
        tmp_path,
        "--port",
        str(port),
        "--bind_ip",
        "127.0.0.1",
    ]
    with subprocess.Popen([*command, "--nounixsocket"], stdout=subprocess.DEVNULL) as standalone:
        try:
            with MongoClient("127.0.0.1", port) as client:
                with pytest.raises(UnsuitableServer, match="standalone"):
                    check_server(client)
        finally:
            standalone.terminate()


def test_an_own_deadline_ends_what_mongodb_does(bare_client):
    with pytest.raises(PyMongoError) as stopped, pymongo.timeout(0.001):
        bare_client.admin.command("ping")
    assert connection.is_unavailable(stopped.value)
