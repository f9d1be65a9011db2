"""Organizations found by the directory, and handles that outlive what it said."""

import asyncio
import copy
import gc
import os
import pickle
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from uuid import uuid4

import pymongo
import pytest
from bson import ObjectId
from bson.errors import InvalidId
from pymongo import monitoring
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from tests.daily import STRATEGIES
from tests.processes import wait_until
from tests.stopwatch import takes_less
from tests.tenants.library.conftest import APPLICATION, Sent, fake_portal, library
from tests.tenants.library.works import at_once, in_a_loop

directory, errors, limits = library("directory"), library("errors"), library("limits")
VIEWS = (directory.ORGANIZATIONS, directory.SLUGS, directory.POOLS)


@pytest.fixture
def strategy():
    """The directory's answers are told by their names."""
    return "collection"


@pytest.fixture
def listener():
    return Sent()


@pytest.fixture
def tenants(connect, fake, listener):
    """``Tenants`` that know nothing yet."""
    return connect(fake.uri, event_listeners=[listener])


@pytest.fixture
def reads(listener):
    """The views that ``tenants`` read, in order."""
    return listener.views


def an_entry(n=1, *, version=1, epoch=1, slug=None, **fields):
    number = f"{n:024x}"
    return directory.Entry.from_document(
        {
            "_id": ObjectId(number),
            "slug": slug or f"organization-{n}",
            "state": "active",
            "version": version,
            "epoch": epoch,
            "placement": {
                "strategy": "collection",
                "cluster": "main",
                "database": "tenant_db",
                "collection": f"org_organization_{n}",
                "uuid": uuid4(),
            },
            **fields,
        }
    )


# Finding


def test_a_handle_reads_nothing_before_its_first_use(tenants, acme, reads, sent):
    found = tenants["acme"]
    assert sent == []
    found.insert_one({"_id": 1})
    assert reads == [directory.SLUGS, directory.ORGANIZATIONS]
    assert found.id == acme
    assert tenants["acme"].find_one() == tenants.by_id(str(acme)).find_one() == {"_id": 1}
    assert reads == [directory.SLUGS, directory.ORGANIZATIONS]


def test_an_old_slug_leads_to_the_organization(tenants, fake, acme):
    fake.rename(acme, "limited")
    assert tenants["acme"].resolve() == tenants["limited"].resolve() == acme


def test_what_nobody_has_is_unknown_and_not_kept(tenants, fake, acme, reads):
    nobody = tenants["nobody"]
    for found in (nobody, tenants.by_id(ObjectId())):
        with pytest.raises(errors.Unknown) as told:
            found.insert_one({})
        assert str(told.value.organization) in str(told.value)
    new = fake.create("nobody")
    assert nobody.resolve() == new
    for wrong in ("../admin", "", "$where", "a" * 1000, "\0"):
        with pytest.raises((errors.Unknown, pymongo.errors.PyMongoError, ValueError)):
            tenants[wrong].find_one()
    with pytest.raises(TypeError):
        tenants[{"$gt": ""}]


@pytest.mark.parametrize("nothing", [None, "", b"", 0, {"$ne": None}], ids=repr)
def test_what_is_no_id_finds_no_organization(tenants, acme, nothing):
    """Of None, ObjectId makes a new one each time, which nobody has."""
    with pytest.raises((TypeError, InvalidId)):
        tenants.by_id(nothing)


def test_a_copy_of_a_handle_is_the_handle():
    """As dataclasses and frameworks copy what they hold."""
    with library().Tenants("mongodb://localhost/master") as tenants:
        handle = tenants["acme"]
        assert copy.copy(handle) is handle
        assert copy.deepcopy({"tenant": [handle]})["tenant"][0] is handle


def test_a_handle_pickles_as_its_id(tenants, acme):
    by_slug = tenants["acme"]
    with pytest.raises(errors.NotResolved, match="resolve"):
        pickle.dumps(by_slug)
    by_slug.resolve()
    for handle in (by_slug, tenants.by_id(acme)):
        assert pickle.loads(pickle.dumps(handle)) == acme


def test_an_organization_that_is_being_created_is_waited_for(tenants, fake, acme, monkeypatch):
    uuid = fake.entry(acme)["placement"]["uuid"]
    fake.update(acme, **{"placement.uuid": None})
    monkeypatch.setattr(limits, "CREATION_SECONDS", 0.05)
    with pytest.raises(errors.NotReady):
        tenants["acme"].find_one()
    monkeypatch.setattr(limits, "CREATION_SECONDS", 60)
    waiting = ThreadPoolExecutor().submit(tenants["acme"].insert_one, {"_id": 1})
    fake.update(acme, **{"placement.uuid": uuid})
    assert waiting.result(60).inserted_id == 1


# What was known before


class Waiting(monitoring.ConnectionPoolListener):
    """Counts the operations that asked for a connection."""

    def __init__(self):
        self.count = 0

    def connection_check_out_started(self, event):
        self.count += 1

    def _pass(self, event):
        pass

    pool_created = pool_ready = pool_cleared = pool_closed = _pass
    connection_created = connection_ready = connection_closed = _pass
    connection_check_out_failed = connection_checked_out = connection_checked_in = _pass


@contextmanager
def hanging_inserts(bare, collection):
    """Have inserts into the collection wait in the server, before they touch it."""
    point = {"configureFailPoint": "hangDuringBatchInsert"}
    nss = {"nss": collection.full_name}
    entered = bare.admin.command({**point, "mode": "alwaysOn", "data": nss})["count"]

    def wait_for(inserts):
        entries = {"timesEntered": entered + inserts, "maxTimeMS": 60_000}
        bare.admin.command({"waitForFailPoint": point["configureFailPoint"], **entries})

    try:
        yield wait_for
    finally:
        bare.admin.command({**point, "mode": "off"})


def test_a_thousand_writers_that_wait_while_it_is_renamed_read_the_directory_once(
    connect, fake, acme, raw, bare, listener
):
    waiting, connections = Waiting(), 50
    tenants = connect(fake.uri, event_listeners=[listener, waiting], maxPoolSize=connections)
    store = tenants.by_id(acme)
    store.find_one()
    listener.names.clear()
    listener.views.clear()
    waiting.count = 0
    with ThreadPoolExecutor(1000) as pool:
        with hanging_inserts(bare, raw.org_acme) as wait_for:
            writing = [pool.submit(store.insert_one, {"_id": n}) for n in range(1000)]
            wait_for(connections)
            wait_until(lambda: waiting.count == 1000)
            fake.rename(acme, "other")
        for each in writing:
            each.result()
    assert listener.names.count("insert") == 2000  # each was refused once
    assert listener.views == [directory.ORGANIZATIONS]
    assert raw.org_other.count_documents({}) == 1000


def test_an_organization_that_was_restored_is_found_again(tenants, fake, acme):
    store = tenants["acme"]
    store.insert_one({"_id": 1})
    fake.trash(acme)
    for _ in range(2):
        with pytest.raises(errors.Trashed):
            store.find_one()
    fake.restore(acme, "back")
    assert store.find_one() == {"_id": 1}
    fake.purge(acme)
    with pytest.raises(errors.Purged):
        store.find_one()


def test_a_trashed_or_purged_organization_tells_it_before_it_is_done(tenants, fake, acme, raw):
    store = tenants["acme"]
    store.insert_one({"_id": 1})
    with fake.operation(acme, "trash", f"trash_{acme}"):
        store.insert_one({"_id": 2})
        fake.move(acme, f"trash_{acme}")
        with pytest.raises(errors.Trashed):
            store.insert_one({"_id": 3})
        fake.move(acme, "org_acme")
    with fake.operation(acme, "purge", "org_acme"):
        store.insert_one({"_id": 4})
        raw.org_acme.drop()
        with pytest.raises(errors.Purged):
            store.insert_one({"_id": 5})


def test_renames_there_and_back_while_nobody_looked_change_nothing(tenants, fake, acme, reads):
    store = tenants["acme"]
    store.insert_one({"_id": 1})
    reads.clear()
    for name in ("b", "c", "acme"):
        fake.rename(acme, name)
    fake.restore(fake.trash(acme), "acme")
    assert store.find_one() == {"_id": 1}
    assert reads == []


def take(fake, slug, strategy):
    """Give another organization a slug that its former one no longer holds; its id."""
    fake.master[directory.SLUGS].delete_one({"_id": slug})
    return fake.create(slug, strategy)


@pytest.mark.each_case
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_name_that_another_organization_took_means_that_one_to_whoever_asks_now(
    tenants, fake, acme, strategy, quick
):
    before = tenants["acme"]
    before.insert_one({"_id": "first"})
    fake.rename(acme, "moved")
    other = take(fake, "acme", strategy)
    with tenants.watch([tenants["acme"]], **quick) as stream:
        now = tenants["acme"]
        now.insert_one({"_id": "second"})
        assert (before.id, now.id) == (acme, other)
        assert next(stream)[0] == other
    assert [found["_id"] for found in before.find()] == ["first"]
    assert [found["_id"] for found in now.find()] == ["second"]


def test_a_name_that_was_taken_while_a_rename_was_half_done_means_who_has_it(tenants, fake, acme):
    """Of which the process has seen the new name, with the slug from before."""
    tenants["acme"].find_one()
    with fake.operation(acme, "rename", "org_moved"):
        fake.move(acme, "org_moved")
        tenants["acme"].find_one()
        fake.update(acme, slug="moved", **{"placement.collection": "org_moved"})
    other = take(fake, "acme", "collection")
    found = tenants["acme"]
    found.insert_one({})
    assert found.id == other


def test_a_name_that_is_taken_again_and_again_means_who_has_it_last(tenants, fake, acme):
    tenants["acme"].find_one()
    fake.rename(acme, "moved")
    other = take(fake, "acme", "collection")
    tenants["acme"].find_one()
    fake.trash(other)
    last = take(fake, "acme", "collection")
    found = tenants["acme"]
    found.find_one()
    assert found.id == last


@pytest.mark.parametrize("strategy", ["database", "shared"])
def test_a_slug_that_no_name_tells_is_read_once_by_each_handle(tenants, acme, reads, monkeypatch):
    tenants["acme"].find_one()
    for name, value in {"AT_ONCE": 0, "A_SECOND": 0.01}.items():
        monkeypatch.setattr(limits, f"MISSES_{name}", value)
    monkeypatch.setattr(limits, "MISS_SECONDS", 60)
    with pytest.raises(errors.Unknown):
        tenants["nobody"].find_one()
    reads.clear()
    handle = tenants["acme"]
    with pymongo.timeout(20):  # what is known doesn't wait for names that nobody has
        for _ in range(3):
            assert handle.find_one() is None
    assert reads == [directory.SLUGS]


def test_a_name_of_a_trashed_organization_means_whoever_has_it_now(tenants, fake, acme):
    tenants["acme"].find_one()
    fake.trash(acme)
    with pytest.raises(errors.Unknown):
        tenants["acme"].find_one()
    other = fake.create("acme")
    assert tenants["acme"].resolve() == other


def test_an_answer_counts_only_if_it_is_newer():
    entries = directory.Entries(10)

    def known_after(entry):
        entries.accept(entry)
        return entries.get(entry.id).entry

    newer, older = an_entry(version=5), an_entry(version=4)
    assert known_after(newer) is newer
    assert known_after(older) is newer  # asked for before, and came late
    restored = an_entry(version=1, epoch=2)
    assert known_after(restored) is restored
    assert known_after(newer) is restored


def test_master_data_set_back_without_a_new_epoch_are_told(tenants, fake, acme):
    store = tenants["acme"]
    fake.rename(acme, "b")
    store.find_one()
    entry = fake.entry(acme)
    fake.rename(acme, "c")
    store.find_one()
    fake.master[directory.ORGANIZATIONS].replace_one({"_id": acme}, entry)
    fake.move(acme, "org_b")
    with pytest.raises(errors.DirectorySetBack, match="adopt-restored"):
        store.find_one()
    fake.master[directory.ORGANIZATIONS].update_one({"_id": acme}, {"$inc": {"epoch": 1}})
    store.find_one()


def test_a_collection_that_was_restored_under_another_uuid_is_followed(tenants, fake, acme, raw):
    store = tenants["acme"]
    store.find_one()
    raw.org_acme.drop()
    raw.org_acme.insert_one({"_id": "restored"})
    with pytest.raises(errors.CollectionMissing):
        store.find_one()
    fake.update(acme, **{"placement.uuid": library("testing")._uuid(raw, "org_acme")})
    assert store.find_one() == {"_id": "restored"}


# Other versions, other installations


def test_fields_of_a_newer_portal_are_passed_over(tenants, fake, acme):
    fake.update(acme, format=7, news={"a": 1}, **{"placement.zone": "eu"})
    tenants["acme"].insert_one({})


def test_the_directory_of_an_older_portal_is_enough(tenants, fake, acme):
    """One that knew of no shared collections and no limits."""
    older = {"$unset": {"home": ""}, "$set": {"format": 1}}
    fake.master[directory.ORGANIZATIONS].update_one({"_id": acme}, older)
    store = tenants["acme"]
    store.insert_one({"_id": 1})
    fake.rename(acme, "other")
    store.update_many({}, {"$set": {"n": 1}})
    assert store.find_one() == {"_id": 1, "n": 1}
    fake.trash(acme)
    with pytest.raises(errors.Trashed):
        store.find_one()


def test_what_only_a_newer_portal_knows_is_told(tenants, fake, acme):
    store = tenants["acme"]
    fake.update(acme, **{"placement.strategy": "sharded"})
    with pytest.raises(errors.UnknownStrategy, match="update portal-tenants"):
        store.insert_one({})
    fake.update(acme, state="frozen", **{"placement.strategy": "collection"})
    with pytest.raises(errors.UnknownState, match="frozen"):
        store.insert_one({})
    fake.update(acme, state="active", **{"placement.cluster": "berlin"})
    with pytest.raises(errors.UnknownCluster, match="berlin"):
        store.insert_one({})


def test_a_cluster_is_found_by_its_name_and_may_get_another_uri(connect, fake, acme):
    fake.update(acme, **{"placement.cluster": "berlin"})
    away = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"
    tenants = connect({"main": fake.uri, "berlin": away})
    with pytest.raises(PyMongoError), pymongo.timeout(0.3):
        tenants["acme"].insert_one({})
    tenants.replace_uri("berlin", fake.uri)
    tenants["acme"].insert_one({})
    with pytest.raises(errors.UnknownCluster, match="main"):
        connect({"berlin": fake.uri})


def test_connections_of_a_uri_that_was_replaced_are_closed(connect, fake, acme, bare, quick):
    """Behind the last operation and stream on them, as the server tells."""
    name = f"{APPLICATION} that was rotated"

    def connections():
        everything = {"$currentOp": {"allUsers": True, "idleConnections": True}}
        found = bare.admin.aggregate([everything, {"$match": {"appName": name}}])
        return {each["connectionId"] for each in found}

    tenants = connect(fake.uri, appname=name)
    store, reporter = tenants["acme"], tenants._directory.reporting.reporter
    store.insert_one({"_id": 1})
    stream = store.watch(**quick)
    reporter.flush()
    before = connections()
    tenants.replace_uri("main", f"{fake.uri}&retryReads=true")
    store.insert_one({"_id": 2})
    reporter.flush()
    again = store.watch(**quick)
    assert [next(stream)["documentKey"]["_id"]] == [2]  # which ends on the one that it has
    stream.close()
    del stream
    wait_until(lambda: gc.collect() >= 0 and not connections() & before)
    again.close()
    tenants.close()
    wait_until(lambda: not connections())


def test_these_tests_are_passed_with_an_applications_rights_alone(fake, acme, raw):
    """Which no fixture gives more of, so that a right that is missing fails them."""
    raw.org_acme.insert_one({"_id": 1})
    for cluster, uri in fake.uris.items():
        with pymongo.MongoClient(uri) as client:
            database = client[fake._databases[cluster].name]
            for refused in (database.org_acme.drop, database.list_collection_names):
                with pytest.raises(OperationFailure, match="not authorized"):
                    refused()
    assert raw.org_acme.find_one() == {"_id": 1}


@pytest.mark.parametrize("installation", ["older", "another"])
def test_where_there_is_no_directory_it_is_told_with_what_to_do(
    connect, fake, acme, server_uri, bare, installation
):
    """A portal from before it had one, or a database that the application's user may not read."""
    uri = fake.uri.replace(fake.master.name, "another_installations")
    with ExitStack() as portals:
        if installation == "older":
            older = portals.enter_context(fake_portal(server_uri, bare))
            for view in VIEWS:
                older.master.drop_collection(view)
            uri = older.uri
        elsewhere = connect(uri)
        for found in (elsewhere["acme"], elsewhere.by_id(acme)):
            with pytest.raises(errors.DirectoryMissing, match="flask applications"):
                found.find_one()
        elsewhere.close()
    with pytest.raises(ConfigurationError, match="master database"):
        connect(uri.partition("?")[0].rpartition("/")[0])


# Many


def test_wrong_names_leave_nothing_behind(tenants):
    with pytest.raises(errors.Unknown):
        tenants["nobody"].find_one()

    def ask(numbers):
        for n in numbers:
            with pytest.raises(errors.Unknown):
                tenants[f"nobody-{n}"].find_one()
            with pytest.raises(errors.Unknown):
                tenants.by_id(ObjectId()).find_one()

    def grown_by(numbers):
        before = tracemalloc.get_traced_memory()[0]
        ask(numbers)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    ask(range(50))
    gc.collect()
    tracemalloc.start()
    try:
        # Other threads of the process allocate as well, but not each time.
        assert any(grown_by(range(n, n + 150)) < 20_000 for n in (100, 250, 400))
    finally:
        tracemalloc.stop()


def test_those_who_ask_for_one_wrong_name_at_once_share_a_read(tenants, reads, failing):
    with pytest.raises(errors.Unknown):
        tenants["nobody"].find_one()

    def ask(n):
        ready.wait()
        with pytest.raises(errors.Unknown):
            tenants["nobody"].find_one()

    def reads_of_fifty():
        reads.clear()
        failing("find", {"times": 1}, blockConnection=True, blockTimeMS=300)
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(ask, range(50)))
        return reads

    ready = threading.Barrier(50)
    # Who comes after the answer reads anew; a machine may stand still.
    assert any(reads_of_fifty() == [directory.SLUGS] for _ in range(5))


def test_wrong_names_are_looked_up_at_a_bounded_pace(tenants, acme, monkeypatch):
    tenants["acme"].find_one()
    monkeypatch.setattr(limits, "MISSES_AT_ONCE", 5)
    monkeypatch.setattr(limits, "MISSES_A_SECOND", 10)
    began = time.monotonic()
    for n in range(10):
        with pytest.raises(errors.Unknown):
            tenants[f"nobody-{n}"].find_one()
        with pytest.raises(errors.Unknown):
            tenants.by_id(ObjectId()).find_one()
    assert time.monotonic() - began > 1.4
    assert takes_less(0.5, tenants["acme"].find_one)  # which is known
    with pytest.raises(PyMongoError), pymongo.timeout(0.01):
        tenants["nobody"].find_one()


def test_organizations_take_less_than_five_kilobytes_each(tenants):
    ids = [an_entry(n).id for n in range(2000)]
    gc.collect()
    tracemalloc.start()
    try:
        entries = directory.Entries(limits.MAX_ENTRIES)
        for n in range(2000):
            entries.accept(an_entry(n))
        handles = [tenants.by_id(each) for each in ids]
        each = tracemalloc.get_traced_memory()[0] / len(handles)
    finally:
        tracemalloc.stop()
    assert len(entries) == 2000
    assert each < 5_000


def test_the_least_recently_used_is_forgotten_and_found_again(connect, fake):
    tenants = connect(fake.uri, max_entries=2)
    ids = [fake.create(name) for name in ("a", "b", "c")]
    for _ in range(2):
        for each in ids:
            tenants.by_id(each).insert_one({})
    assert all(tenants.by_id(each).count_documents({}) == 2 for each in ids)
    entries = directory.Entries(2)
    for n in range(4):
        entries.accept(an_entry(n))
        entries.get(an_entry(0).id)
    assert len(entries) == 2
    assert entries.of_slug("organization-0")
    assert entries.of_slug("organization-1") is None


def test_a_result_stays_with_its_organization_whoever_reads_it(tenants, fake):
    """The first to begin ends first, so that nothing is right by luck."""
    stores = [tenants.by_id(fake.create(name)) for name in ("a", "b")]
    for n, store in enumerate(stores):
        store.insert_many([{"of": n} for _ in range(300)])
    results = [store.find(batch_size=10) for store in stores]
    for result in results:
        next(result)
    with ThreadPoolExecutor(2) as pool:
        read = list(pool.map(lambda result: {found["of"] for found in result}, reversed(results)))
    assert read == [{1}, {0}]


def test_a_transaction_stays_with_its_organization_whoever_uses_it(tenants, fake):
    stores = [tenants.by_id(fake.create(name)) for name in ("a", "b")]
    transactions = [store.transaction() for store in stores]
    opened = [each.__enter__() for each in transactions]

    def elsewhere(*actions):
        """In a thread, or task, that has done nothing before."""
        for action in actions:
            at_once([action])

    def end(transaction):
        transaction.__exit__(None, None, None)

    elsewhere(
        lambda: opened[1].insert_one({"_id": 1, "of": 1}),
        lambda: opened[0].insert_one({"_id": 1, "of": 0}),
        lambda: end(transactions[0]),
        lambda: opened[1].insert_one({"_id": 2, "of": 1}),
        lambda: end(transactions[1]),
    )
    assert [[found["of"] for found in store.find()] for store in stores] == [[0], [1, 1]]


def test_a_stream_stays_with_its_organization_whoever_reads_it(tenants, fake, quick):
    stores = [tenants.by_id(fake.create(name)) for name in ("a", "b")]
    streams = [store.watch(full_document="updateLookup", **quick) for store in stores]

    def seen(n):
        return next(streams[n])["fullDocument"]["of"]

    def write():
        for n, store in enumerate(stores):
            store.insert_one({"of": n})

    write()
    assert at_once([lambda: seen(1), lambda: seen(0)]) == [1, 0]
    streams[0].close()
    write()
    assert at_once([lambda: seen(1)]) == [1]
    streams[1].close()


def test_waiting_for_a_connection_is_bounded(connect, fake, acme, failing):
    tenants = connect(fake.uri, maxPoolSize=1)

    def find_again_until(first):
        while not first.done():
            with pymongo.timeout(0.1):
                tenants["acme"].find_one()

    tenants["acme"].find_one()
    failing("find", {"times": 1}, blockConnection=True, blockTimeMS=600)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(tenants["acme"].find_one)
        with pytest.raises(PyMongoError) as away:
            find_again_until(first)
        assert away.value.timeout
        assert first.result() is None


def test_the_uris_time_bounds_an_operation(connect, fake, acme, failing):
    store = connect(f"{fake.uri}&timeoutMS=300")["acme"]
    for _ in range(2):  # also when it looks for its place
        failing("find", {"times": 1}, blockConnection=True, blockTimeMS=1500)
        with pytest.raises(PyMongoError) as late:
            store.find_one()
        assert late.value.timeout
        while True:  # a machine may stand still
            with suppress(PyMongoError):
                store.find_one()
                break


# Processes and event loops


@pytest.mark.processes
def test_a_child_gets_clients_of_its_own_once_and_leaves_the_parents_alone(fake, acme, bare):
    tenants = library().Tenants(fake.uri, appname=APPLICATION)
    store = tenants["acme"]
    store.insert_one({"_id": "parent"})
    ready = threading.Barrier(8)

    def write(n):
        ready.wait()
        store.update_one({"_id": "parent"}, {"$inc": {"n": 1}})
        return id(tenants._clusters.connection("main"))

    child = os.fork()
    if child == 0:
        status = 1
        try:
            with ThreadPoolExecutor(8) as pool:
                made = set(pool.map(write, range(8)))
            store.insert_one({"_id": "child"})
            status = 0 if len(made) == 1 else 2
        finally:
            os._exit(status)
    for _ in range(20):
        store.update_one({"_id": "parent"}, {"$inc": {"n": 1}})
    assert os.waitpid(child, 0)[1] == 0
    assert store.find_one({"_id": "parent"}) == {"_id": "parent", "n": 28}
    assert store.find_one({"_id": "child"})
    tenants.close()


@pytest.mark.processes
def test_a_child_gets_asynchronous_clients_of_its_own(fake, acme, loop):
    """Also where the parent's event loop goes on meanwhile."""
    tenants = library().AsyncTenants(fake.uri, appname=APPLICATION)
    store = tenants["acme"]

    async def count(times):
        await asyncio.gather(
            *(store.update_one({"_id": 1}, {"$inc": {"n": 1}}) for _ in range(times))
        )
        return tenants._clusters.connection("main")

    loop.run(store.insert_one({"_id": 1, "n": 0}))
    parents = loop.run(count(8))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if in_a_loop(count(8)) is not parents else 2
        finally:
            os._exit(status)
    again = loop.run(count(8))
    assert os.waitpid(child, 0)[1] == 0
    assert loop.run(store.find_one()) == {"_id": 1, "n": 24}
    assert again is parents
    loop.run(tenants.close())


def test_each_event_loop_has_clients_of_its_own(fake, acme):
    tenants = library().AsyncTenants(fake.uri, appname=APPLICATION)

    async def write(n):
        await asyncio.gather(*(tenants["acme"].insert_one({"loop": n}) for _ in range(5)))
        count = await tenants["acme"].count_documents({})
        await tenants.close()
        return count

    assert [in_a_loop(write(n)) for n in range(3)] == [5, 10, 15]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # which nobody can close any more
def test_a_loop_that_was_closed_without_closing_tenants_leaves_them_usable(fake, acme, bare):
    """And its connections are closed when another one begins, as the server tells."""
    name = f"{APPLICATION} without an end"
    tenants = library().AsyncTenants(fake.uri, appname=name)

    async def write():
        await tenants["acme"].insert_one({})
        return await tenants["acme"].count_documents({})

    def used():
        """The connections over which was written."""
        mine = {"appName": name, "lsid": {"$exists": False}, "connectionId": {"$exists": True}}
        everything = {"$currentOp": {"allUsers": True, "idleConnections": True}}
        return {
            each["connectionId"] for each in bare.admin.aggregate([everything, {"$match": mine}])
        }

    assert in_a_loop(write()) == 1
    before = used()
    assert in_a_loop(write()) == 2
    wait_until(lambda: gc.collect() >= 0 and not used() & before)


def test_a_task_that_is_cancelled_leaves_the_others_their_answer(fake, acme):
    tenants = library().AsyncTenants(fake.uri, appname=APPLICATION)

    async def read():
        first, *others = [asyncio.create_task(tenants["acme"].find_one()) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        await tenants.close()
        return found

    first, *others = in_a_loop(read())
    assert isinstance(first, asyncio.CancelledError)
    assert others == [None] * 4


def no_transaction_in(bare):
    """Tell whether the application has none open in the server."""
    mine = {"appName": APPLICATION, "transaction": {"$exists": True}}
    sessions = {"$currentOp": {"allUsers": True, "idleSessions": True}}
    return not list(bare.admin.aggregate([sessions, {"$match": mine}]))


def in_with_transaction(store, insert):
    store.with_transaction(insert)


def in_transaction(store, insert):
    with store.transaction() as transaction:
        insert(transaction)


@pytest.mark.parametrize("command", ["insert", "commitTransaction", None])
@pytest.mark.parametrize("run", [in_transaction, in_with_transaction])
def test_a_transaction_whose_time_is_over_is_not_left_open(
    shared_tenants, fake, acme, failing, bare, run, command
):
    """PyMongo has no time then to say that it is over; so it would wait for a minute."""
    store, over = shared_tenants.by_id(acme), threading.Event()
    store.find_one()
    if command:
        failing(command, {"times": 1}, blockConnection=True, blockTimeMS=600)

    def insert(transaction):
        transaction.insert_one({"_id": 1})
        if command is None:
            over.wait(0.4)
            raise KeyError

    with pytest.raises((PyMongoError, KeyError)), pymongo.timeout(0.3):
        run(store, insert)
    wait_until(lambda: no_transaction_in(bare), 20)
    fake.rename(acme, "other")
    assert store.count_documents({}) in (0, 1)  # whether a commit arrived nobody knows


@pytest.mark.parametrize("run", [in_transaction, in_with_transaction])
def test_a_session_that_may_be_ended_later_is_not_used_again(shared_tenants, acme, failing, run):
    """The server ends whatever transaction is open in it by then."""
    store, used = shared_tenants.by_id(acme), []

    def insert(transaction):
        used.append(transaction.session.session_id)
        transaction.insert_one({})

    failing("commitTransaction", {"times": 1}, errorCode=50)
    with pytest.raises(PyMongoError):
        run(store, insert)
    run(store, insert)
    assert used[0] != used[1]


async def cancel_as_scopes_do(task):
    """Cancel each of its awaits, as a scope of anyio does, in which servers handle requests."""
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        task.result()


async def within(store, insert):
    async with store.transaction() as transaction:
        await insert(transaction)


IN_TRANSACTIONS = {
    "transaction": within,
    "with_transaction": lambda store, insert: store.with_transaction(insert),
    "update_many": lambda store, insert: store.update_many({}, {"$set": {"a": 1}}),
}


@pytest.mark.parametrize("name", IN_TRANSACTIONS)
def test_a_task_that_is_cancelled_in_a_transaction_leaves_none_open(
    fake, acme, failing, listener, bare, name
):
    """Else a rename would wait for it, and writes conflict with it, for a minute."""
    tenants = library().AsyncTenants(fake.uri, appname=APPLICATION, event_listeners=[listener])
    blocked, before = ("update", 0) if name == "update_many" else ("insert", 1)

    async def insert(transaction):
        await transaction.insert_one({"_id": 2})
        await transaction.insert_one({"_id": 3})

    async def work():
        store = tenants.by_id(acme)
        await store.insert_one({"_id": 1})
        failing(blocked, {"skip": before}, blockConnection=True, blockTimeMS=300)
        listener.names.clear()
        task = asyncio.create_task(IN_TRANSACTIONS[name](store, insert))
        while listener.names.count(blocked) <= before:
            await asyncio.sleep(0.01)
        await cancel_as_scopes_do(task)
        await asyncio.to_thread(wait_until, lambda: no_transaction_in(bare), 20)
        fake.rename(acme, "other")
        assert await store.find().to_list() == [{"_id": 1}]
        await tenants.close()

    in_a_loop(work())


def test_a_task_that_is_cancelled_leaves_its_stream_to_another(fake, acme, quick):
    tenants = library().AsyncTenants(fake.uri, appname=APPLICATION, max_streams=1)

    async def follow():
        async with await tenants.by_id(acme).watch(**quick) as stream:
            await stream.next()

    async def work():
        for _ in range(3):
            task = asyncio.create_task(follow())
            await asyncio.sleep(0.1)
            await cancel_as_scopes_do(task)
        stream = await tenants.by_id(acme).watch(**quick)
        await stream.close()
        await tenants.close()

    in_a_loop(work())


def test_a_stream_that_is_cancelled_as_it_goes_on_keeps_its_connection(fake, quick):
    """It was closed under it, once the URI was replaced again and another stream was begun."""
    tenants = library().AsyncTenants(fake.uri, appname=APPLICATION)
    own = fake.create("own", "database")

    async def work():
        closing, may_close = asyncio.Event(), asyncio.Event()

        async def close_slowly():
            closing.set()
            await may_close.wait()

        store = tenants.by_id(own)
        stream = await store.watch(**quick)
        await store.insert_one({"_id": 1})
        assert (await stream.next())["documentKey"]["_id"] == 1
        stream._stream.close = close_slowly
        tenants.replace_uri("main", f"{fake.uri}&retryReads=true")
        fake.restore(fake.trash(own), "back")  # so that it begins anew, on the new connection
        task = asyncio.create_task(stream.next())
        await closing.wait()
        task.cancel()
        may_close.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stream._connection.client is stream._stream._target.database.client
        tenants.replace_uri("main", fake.uri)
        async with await store.watch(**quick):
            gc.collect()
            await store.insert_one({"_id": 2})
            assert (await stream.next())["documentKey"]["_id"] == 2
        await stream.close()
        await tenants.close()

    in_a_loop(work())


# Tests of applications


def test_tests_of_applications_stand_apart(server_uri, tenants, fake, acme):
    with library("testing").FakePortal(server_uri) as other:
        other.create("acme")
        other.tenants()["acme"].insert_one({"_id": "other"})
        assert tenants["acme"].find_one() is None
        with pytest.raises(errors.Unknown):
            tenants.by_id(other.entry("acme")["_id"]).find_one()
    with pytest.raises(KeyError):
        fake.rename("nobody", "somebody")
