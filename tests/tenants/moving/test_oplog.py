"""Whether an oplog has room is told in bytes."""

import threading
import time

import pytest
from pymongo.errors import OperationFailure

from portal.database import portal_role
from portal.database.connection import client
from portal.tenants.collections import uuid_of
from portal.tenants.moving.oplog import Oplog, copied_bytes, read_oplog

EMBEDDED = 128 * 1024 * 1024


@pytest.fixture
def busy(tenant_db):
    """Writes documents of 100,000 bytes which compress well, all the time; a list of their sizes."""
    ended, written = threading.Event(), []

    def write():
        while not ended.wait(0.01):
            tenant_db.busy.insert_one({"text": "a" * 100_000})
            written.append(100_000)

    writing = threading.Thread(target=write)
    writing.start()
    yield written
    ended.set()
    writing.join()


def test_the_portal_may_see_how_much_is_written_but_not_what(app, busy, admin):
    before, begun = len(busy), time.monotonic()
    seen = read_oplog(client(), watched_seconds=0.5)
    written = sum(busy[before + 1 :]) / (time.monotonic() - begun)
    assert seen.exact
    assert seen.max_bytes == EMBEDDED
    # A third of it where the server has cut the oplog meanwhile.
    assert seen.bytes_per_second > written / 3
    with pytest.raises(OperationFailure, match="not authorized"):
        client().local["oplog.rs"].find_one()


def test_without_the_right_more_is_assumed(app, busy, portal_without):
    portal_without(portal_role.OPLOG)
    seen = read_oplog(client(), watched_seconds=0.5)
    assert not seen.exact
    # As mongod was started with; it may have been resized since.
    assert seen.max_bytes == EMBEDDED
    assert seen.bytes_per_second > 0


def test_an_idle_oplog_is_not_endless():
    idle = Oplog(EMBEDDED, bytes_per_second=10, exact=True)
    assert idle.lacks(seconds=86_400) == 0
    assert idle.lacks(seconds=60, copied_bytes=copied_bytes(100_000, 100_000_000)) == 0
    assert idle.lacks(seconds=600, copied_bytes=copied_bytes(1_000_000, 1_000_000_000)) > 2**29


def test_a_copy_takes_what_is_reckoned(app, admin, tenant_db):
    """In transactions of 200 documents, as a move writes them."""
    documents = [{"_id": n, "text": "a" * 1000} for n in range(2000)]
    with admin.start_session() as session:
        for start in range(0, len(documents), 200):
            batch = documents[start : start + 200]
            session.with_transaction(
                lambda s, batch=batch: tenant_db.copied.insert_many(batch, session=s)
            )
    size = tenant_db.command("collStats", "copied")["size"]
    entries = [
        {"$match": {"o.applyOps.ui": uuid_of(tenant_db, "copied")}},
        {"$group": {"_id": None, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}}},
    ]
    [taken] = admin.local["oplog.rs"].aggregate(entries)
    assert 0.9 < taken["bytes"] / copied_bytes(2000, size) < 1.1
