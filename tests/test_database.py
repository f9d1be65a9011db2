"""Transactions, and servers that are refused."""

import re
import subprocess
import threading
from dataclasses import replace

import pymongo
import pytest
from mongoengine.errors import MongoEngineException, NotUniqueError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal.app.parts import DOCUMENTS, OVERDUE
from portal.database import connection, transactions
from portal.database.connection import check_server, portable_uri
from portal.database.errors import UnsuitableServer
from portal.database.transactions import transaction
from portal.documents.organizations import Slug
from portal.serving import mongod
from portal.tenants import limits
from portal.tenants._sync.sessions import transacted
from tests.processes import at_once


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


@pytest.mark.parametrize("ends", ["raises", "commits"])
def test_a_transaction_whose_time_is_over_is_not_left_open(ends):
    """The driver has no time then to say that it is over; so it would keep its locks for a minute."""
    over = threading.Event()

    def body():
        a_slug("one").save(force_insert=True)
        over.wait(0.4)
        if ends == "raises":
            raise KeyError

    with pytest.raises((KeyError, PyMongoError, MongoEngineException)), pymongo.timeout(0.3):
        transaction(body)
    with pymongo.timeout(15):
        a_slug("one").save(force_insert=True)


@pytest.fixture
def failing_once(bare_client):
    """Has the server fail the portal's next command of a kind in a way, or so many ``times``."""

    def fail(command, times=1, **data):
        data = {"failCommands": [command], "appName": "portal", **data}
        mode = {"times": times}
        bare_client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)

    yield fail
    bare_client.admin.command("configureFailPoint", "failCommand", mode="off")


def test_a_transaction_whose_abort_is_not_answered_is_logged(failing_once, log, monkeypatch):
    monkeypatch.setattr(limits, "ENDING_SECONDS", 0.2)

    def body():
        a_slug("one").save(force_insert=True)
        raise KeyError

    failing_once("abortTransaction", blockConnection=True, blockTimeMS=600)
    with pytest.raises(KeyError):
        transaction(body)
    assert log.text.count("a transaction may be open until the server ends it") == 1


def test_a_session_that_may_be_ended_later_is_not_used_again(failing_once):
    """The server ends whatever transaction is open in it by then."""

    def body(session):
        connection.master_database().slugs.insert_one({"_id": "one"}, session=session)

    failing_once("commitTransaction", errorCode=50)
    with connection.client().start_session() as session:
        ended = session.session_id
        with pytest.raises(PyMongoError):
            transacted(session, body)
    with connection.client().start_session() as another:
        assert another.session_id != ended


@pytest.mark.parametrize(
    ("uri", "portable"),
    [
        ("mongodb://h/?w=majority&appName=x&retryWrites=false", "mongodb://h/?appName=x"),
        ("mongodb://a:1,b:2/?readPreference=nearest&journal=true&replicaSet=x", "mongodb://a:1,b:2/?replicaSet=x"),
        ("mongodb://u:p%40@h/admin?wTimeoutMS=5", "mongodb://u:p%40@h/admin?"),
        ("mongodb+srv://u:p@c.example/db?authSource=x&readConcernLevel=local", "mongodb+srv://u:p@c.example/db?authSource=x"),
        ("mongodb://h/?readPreference=nearest&maxStalenessSeconds=120&j=true", "mongodb://h/?"),
    ],
)  # fmt: skip
def test_concerns_preferences_and_retries_of_the_uri_are_not_the_portals(uri, portable):
    assert portable_uri(uri) == portable


def test_the_database_of_the_uri_is_where_its_user_is_and_no_more(settings):
    uri = "mongodb+srv://portal:secret@cluster0.example/elsewhere?retryWrites=true"
    connection.connect(replace(settings, mongo_uri=uri), DOCUMENTS, OVERDUE)
    try:
        assert connection.master_database().name == settings.master_db
        assert connection.tenant_database().name == settings.tenant_db
    finally:
        connection.connect(settings, DOCUMENTS, OVERDUE)
        connection.prepare()


def test_of_a_workers_threads_one_prepares_the_database_and_the_others_wait(monkeypatch):
    """Each of twenty loops checked the server and made all indexes, which took seconds of CPU."""
    check, checked = connection.check_server, []

    def fail_at_first(server):
        checked.append(server)
        if len(checked) == 1:
            raise UnsuitableServer("as at a start without a replica set")
        check(server)

    def prepare():
        try:
            connection.prepare()
        except UnsuitableServer:
            connection.prepare()

    monkeypatch.setattr(connection._state, "prepared", False)
    monkeypatch.setattr(connection, "check_server", fail_at_first)
    at_once([prepare] * 8)
    assert len(checked) == 2
    assert connection._state.prepared


def test_a_start_beside_a_database_whose_name_differs_in_case_only_is_refused(
    bare_client, monkeypatch
):
    """MongoDB makes no second one, so sign-ups would fail later."""
    bare_client.other_test.kept.insert_one({})
    monkeypatch.setattr(connection._state, "prepared", False)
    monkeypatch.setattr(connection, "database_names", lambda: ("OTHER_test",))
    try:
        with pytest.raises(UnsuitableServer, match="other_test where the portal needs OTHER_test"):
            connection.prepare()
    finally:
        bare_client.drop_database("other_test")


@pytest.fixture
def away(settings, real_limits):
    """The portal on another MongoDB for a while."""

    def at(uri):
        connection.connect(replace(settings, mongo_uri=uri), DOCUMENTS, OVERDUE)

    yield at
    connection.connect(settings, DOCUMENTS, OVERDUE)
    connection.prepare()


def test_a_wrong_password_is_named_and_is_503(away, server, visitor):
    away(re.sub(r"(?<=//portal:)\w+", "wrongone", server.uri))
    answer = visitor.get("/readyz").response
    assert answer.status_code == 503
    assert answer.text == "not ready: MongoDB refuses the user name or password in MONGO_URI.\n"
    assert visitor.get("/login").response.status_code == 503


def test_a_user_without_rights_is_named_and_is_503(away, bare_client, server, visitor):
    bare_client.admin.command("createUser", "poor", pwd="poor", roles=[])
    try:
        away(re.sub(r"//portal:\w+", "//poor:poor", server.uri))
        answer = visitor.get("/readyz").response
        assert (answer.status_code, "grant" in answer.text) == (503, True)
    finally:
        bare_client.admin.command("dropUser", "poor")


def test_a_server_without_a_key_for_its_cluster_s_time_is_503(failing_once, visitor, log):
    """“No keys found for HMAC”: until its members agreed on one."""
    visitor.sign_up("Acme Corp")
    failing_once("aggregate", errorCode=211)
    assert visitor.get("/organizations/acme-corp").status == 503
    assert not log.named("request.failed")
    assert visitor.get("/organizations/acme-corp").status == 200


@pytest.mark.parametrize("code", [6, 134, 262])
def test_a_server_that_reaches_no_other_until_time_is_over_is_unavailable(failing_once, code):
    failing_once("aggregate", times=10**6, errorCode=code)
    with pytest.raises(PyMongoError) as failed, pymongo.timeout(0.3):
        Slug._get_collection().aggregate([])
    assert connection.is_unavailable(failed.value)


def test_servers_that_are_not_reached_are_named_one_by_one(away, visitor):
    away("mongodb://127.0.0.1:1,127.0.0.1:2/?replicaSet=portal")
    answer = visitor.get("/readyz").response
    assert answer.status_code == 503
    assert answer.text == (
        "not ready: MongoDB has no primary that can be reached: 127.0.0.1:1 can't be reached "
        "(Connection refused), 127.0.0.1:2 can't be reached (Connection refused).\n"
    )


@pytest.mark.parametrize(
    ("version", "lacks"),
    [
        ((6, 0, 26), True),
        ((6, 0, 27), False),
        ((6, 3, 2), True),
        ((7, 0, 27), True),
        ((7, 0, 28), False),
        ((8, 0, 16), True),
        ((8, 0, 17), False),
        ((8, 1, 9), True),
        ((8, 2, 2), True),
        ((8, 2, 3), False),
        ((8, 3, 0), False),
        ((9, 0, 0), False),
    ],
)
def test_releases_that_show_their_memory_are_known(version, lacks):
    assert connection.lacks_zlib_fix(version) == lacks


def test_a_release_that_an_update_may_end_is_told_of_at_start(bare_client, log):
    """The embedded one is."""
    check_server(bare_client)
    [told] = log.named("database.server_may_abort")
    assert "SERVER-76934" in told["note"]
    releases = {(6, 0, 8): True, (6, 0, 9): False, (6, 3, 2): True, (7, 0, 0): False}
    for version, aborts in releases.items():
        assert connection.aborts_at_field_twice(version) == aborts


@pytest.mark.attack("P1")
def test_the_embedded_server_does_not_show_its_memory(bare_client):
    """It is of a version that would, by zlib."""
    assert bare_client.server_info()["versionArray"][:3] < [6, 0, 27]
    assert "compression" not in bare_client.admin.command("hello", compression=["zlib"])


@pytest.mark.processes
def test_an_old_server_with_zlib_is_told_of_at_start(tmp_path, log, monkeypatch):
    monkeypatch.setattr(mongod, "_COMPRESSORS", "zlib")
    old = mongod.start(tmp_path, "secret")
    try:
        with MongoClient(old.uri) as client:
            assert connection.leaks_memory(client)
            check_server(client)
    finally:
        old.stop()
    [told] = log.named("database.server_leaks_memory")
    assert "CVE-2025-14847" in told["note"]


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
