"""Applications that write and follow changes, by the library, while movers carry an organization."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.documents.organizations import Strategy
from portal.organizations.moving.ways_back import go_back
from portal.settings import current
from portal.tenants import Tenants
from portal.tenants.testing import _with_database
from tests.factories import a_context, an_organization, fresh
from tests.organizations.moving.carrying import documents_of, move, run_due_movers
from tests.processes import wait_until


@pytest.fixture
def tenants(app):
    """The library over the portal's own directory."""
    with Tenants(_with_database(current().mongo_uri, current().master_db)) as tenants:
        yield tenants


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Strategy.COLLECTION, Strategy.SHARED),
        (Strategy.COLLECTION, Strategy.DATABASE),
        (Strategy.SHARED, Strategy.DATABASE),
        (Strategy.DATABASE, Strategy.COLLECTION),
    ],
)
def test_writers_and_streams_go_along_and_back(tenants, source, target):
    """Each write is done once, and each change told once; none of them is the move's."""
    acme = an_organization("Acme Corp", strategy=source)
    store, stopped, written = tenants.by_id(acme.id), threading.Event(), []
    store.insert_one({"_id": "counter", "n": 0})

    def write():
        while not stopped.wait(0.005):
            store.update_one({"_id": "counter"}, {"$inc": {"n": 1}})
            store.insert_one({"_id": (number := len(written))})
            written.append(number)

    told = []

    def read(stream):
        while not told or told[-1][0] != "delete":
            if (change := stream.try_next()) is not None:
                told.append((change["operationType"], change["documentKey"]["_id"]))

    with store.watch(max_await_time_ms=20) as stream, ThreadPoolExecutor(2) as threads:
        reading, writing = threads.submit(read, stream), threads.submit(write)
        try:
            moved = move(fresh(acme), target)
            assert fresh(acme).placement.strategy == target
            wait_until(lambda: stream._located[0].entry.strategy == target)
            go_back(str(moved.id), a_context())
            run_due_movers()
            assert fresh(acme).placement.strategy == source
        finally:
            stopped.set()
            writing.result()
            store.delete_one({"_id": "counter"})
        reading.result(20)
    assert [changed for kind, changed in told if kind == "insert"] == written
    kinds = [kind for kind, _ in told]
    assert kinds.count("update") == len(written)
    assert kinds.count("delete") == 1
    assert documents_of(acme) == [{"_id": n} for n in written]
