"""Processes that were frozen for so long that their connections are gone, and how many they have."""

import subprocess
import sys
import threading
import time

import pymongo
import pytest

from tests.processes import stopped, wait_until
from tests.tenants.library.conftest import APPLICATION, library
from tests.tenants.library.works import AFTERWARDS, FEW, READS, WRITES, own_collection

limits = library("limits")
OPERATIONS = ["update_one", "insert_many", "update_many", "transaction", "find_one_and_update"]
# What a program does that is frozen between two lines that it reads.
PROGRAM = """
import sys
from {library} import Tenants
store = Tenants(sys.argv[1])["acme"]
store.find_one()
print("ready", flush=True)
sys.stdin.readline()
print(store.update_one({{"_id": 1}}, {{"$inc": {{"n": 1}}}}).modified_count, flush=True)
"""


@own_collection
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("ended", ["closed", "forgotten"])
def test_the_first_operation_after_all_connections_are_gone_is_done_once(
    over_the_line, line, stored, acme, name, ended, monkeypatch
):
    """mongoose 6975, 6409: functions that thaw with connections which are dead."""
    stored.insert_many(FEW)
    store = over_the_line.by_id(acme)
    if ended == "forgotten":  # as if they had been idle for longer
        monkeypatch.setattr(limits, "IDLE_SECONDS", 0.001)
    store.find_one()
    if ended == "closed":
        line.close_all()
    else:
        line.forget_all()
        used = time.monotonic()
        wait_until(lambda: time.monotonic() > used + 0.01)
    with pymongo.timeout(15):  # less than it would wait for an answer that doesn't come
        WRITES[name](store)
    assert stored.find() == AFTERWARDS[name]


@own_collection
def test_reading_goes_on_after_all_connections_are_gone(over_the_line, line, stored, acme):
    stored.insert_many(FEW)
    store = over_the_line.by_id(acme)
    expected = {name: read(store) for name, read in READS.items()}
    for name, read in READS.items():
        line.close_all()
        assert read(store) == expected[name]


@own_collection
def test_a_stream_goes_on_after_all_connections_are_gone(over_the_line, line, acme, quick):
    store = over_the_line.by_id(acme)
    with store.watch(**quick) as stream:
        for n in range(2):
            store.insert_one({"_id": n})
            assert next(stream)["documentKey"] == {"_id": n}
            line.close_all()


@pytest.mark.processes
def test_a_process_that_was_frozen_meanwhile_goes_on(line, fake, stored, acme):
    stored.insert_many(FEW)
    port = line.listener.getsockname()[1]
    uri = fake.uri.replace(f":{line.port}/", f":{port}/")
    uri = uri.replace("replicaSet=portal", "directConnection=true")
    program = [sys.executable, "-c", PROGRAM.format(library=library().__name__), uri]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, **pipes) as running:
        assert running.stdout.readline() == "ready\n"
        with stopped(running.pid):
            line.close_all()
        running.stdin.write("\n")
        running.stdin.flush()
        assert running.stdout.readline() == "1\n"
        running.stdin.close()
    assert stored.find() == AFTERWARDS["update_one"]


@pytest.mark.parametrize(
    ("given", "seconds"), [("", 120), ("&maxIdleTimeMS=5000", 5), ("&maxidletimems=700000", 700)]
)
def test_how_long_a_connection_may_be_idle_is_the_uris(fake, given, seconds):
    with library().Tenants(fake.uri + given) as tenants:
        client = tenants._clusters.connection("main").client
        assert client.options.pool_options.max_idle_time_seconds == seconds


@own_collection
def test_a_process_has_as_many_connections_as_is_said(connect, fake, acme, bare, quick):
    """mongoose 12219, djust 1556: of the pool as many as the URI says, one for each stream, one for
    reports; and of each client one that looks whether the server is there."""
    name = f"{APPLICATION} of many threads"
    tenants = connect(f"{fake.uri}&maxPoolSize=2", appname=name, max_streams=3)
    store, ready = tenants.by_id(acme), threading.Barrier(8)

    def work():
        ready.wait()
        for n in range(20):
            store.insert_one({"n": n})

    threads = [threading.Thread(target=work) for _ in range(8)]
    streams = [store.watch(**quick) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for stream in streams:
        stream.try_next()
    tenants._directory.reporting.reporter.flush()
    everything = {"$currentOp": {"allUsers": True, "idleConnections": True}}
    found = list(bare.admin.aggregate([everything, {"$match": {"appName": name}}]))
    assert len({each["connectionId"] for each in found}) <= 2 + 3 + 1 + 3 * 1
    for stream in streams:
        stream.close()
