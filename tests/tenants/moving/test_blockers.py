"""Who is in the way of a move is named."""

import threading
import time

import pytest
from bson import ObjectId
from pymongo import MongoClient

from portal.database.connection import client
from portal.database.portal_role import internal_database
from portal.settings import current
from portal.tenants.collections import uuid_of
from portal.tenants.moving.blockers import find_blockers
from portal.tenants.moving.places import Place
from portal.tenants.placements import COLLECTION
from tests.processes import wait_until


@pytest.fixture
def place(app, tenant_db):
    tenant_db.org_acme.insert_one({"key": 1})
    database = client()[tenant_db.name]
    internal = client()[internal_database(current().tenant_db)]
    return Place(
        ObjectId(), COLLECTION, database, internal, uuid_of(database, "org_acme"), "org_acme"
    )


@pytest.fixture
def reports(server):
    """Another application."""
    with MongoClient(server.admin_uri, appname="reports") as other:
        yield other[current().tenant_db]


def test_nothing_is_in_the_way_of_a_quiet_collection(place):
    assert find_blockers(place) == []


def test_a_transaction_that_stays_open_is_named(place, reports):
    begun = time.monotonic()
    with reports.client.start_session() as session, session.start_transaction():
        reports.org_acme.insert_one({}, session=session)
        [blocker] = wait_until(lambda: find_blockers(place, open_seconds=0.2))
        assert blocker.application == "reports"
        assert 0.2 <= blocker.seconds <= time.monotonic() - begun + 1
        assert blocker.by_time
        assert find_blockers(place) == []
        assert "a transaction (reports, for" in str(blocker)


def test_an_index_build_is_named(place, reports, bare_client):
    point = "hangAfterStartingIndexBuild"
    bare_client.admin.command({"configureFailPoint": point, "mode": "alwaysOn"})
    building = threading.Thread(target=reports.org_acme.create_index, args=("key",))
    building.start()
    try:
        [blocker] = wait_until(lambda: find_blockers(place))
    finally:
        bare_client.admin.command({"configureFailPoint": point, "mode": "off"})
        building.join()
    assert blocker.what == "an index build"
    assert f"opid {blocker.opid}" in str(blocker)
    assert find_blockers(place) == []


def test_a_locked_server_is_named(place, bare_client):
    bare_client.admin.command("fsync", lock=True)
    try:
        [blocker] = find_blockers(place)
    finally:
        bare_client.admin.command("fsyncUnlock")
    assert "fsyncLock" in str(blocker)
