"""A move that can't come to its end is refused before it begins, and told why."""

import threading

import bson
import pytest

from portal.database.portal_role import OPLOG, Rights
from portal.documents.jobs import ItemState, JobItem
from portal.documents.organizations import MAIN_CLUSTER, Strategy
from portal.jobs.managing import start_job
from portal.jobs.running import JobKind
from portal.organizations.lifecycle.errors import TenantCollectionMissing
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import purge_organization
from portal.organizations.moving import planning, servers, sources, surveying
from portal.organizations.moving.errors import PurgedNotMovable
from portal.organizations.moving.planning import Wish, plan_move
from portal.organizations.storage import tenant_of
from portal.placement import capacity
from portal.placement.capacity import FILES, Gauge, Wall
from portal.placement.policies import current_policy
from portal.tenants.moving.blockers import find_blockers
from portal.tenants.moving.oplog import Oplog
from tests.factories import a_context, an_organization, fresh
from tests.organizations.moving.carrying import move, run_due_movers
from tests.processes import wait_until


@pytest.fixture
def acme(app):
    servers.forget()
    yield an_organization("Acme Corp")
    servers.forget()


@pytest.fixture
def stored(acme, tenant_db):
    """Its collection, as applications reach it."""
    return tenant_db[acme.placement.collection]


def checks(organization, strategy=Strategy.DATABASE):
    """In words, and whether it passed."""
    planned = plan_move(organization, Wish(strategy, MAIN_CLUSTER))
    return {check.words: check.passed for check in planned.checks}


def obstacles(organization, strategy=Strategy.DATABASE):
    return list(plan_move(organization, Wish(strategy, MAIN_CLUSTER)).obstacles)


def test_nothing_speaks_against_a_small_organization(acme, stored):
    stored.insert_one({"_id": 1})
    assert obstacles(acme) == obstacles(acme, Strategy.SHARED) == []


def test_a_cluster_that_tells_no_limit_takes_none_as_at_sign_up(acme, bare_client):
    told_before = capacity.read(MAIN_CLUSTER, databases=True)
    refused = {"failCommands": ["hostInfo"], "errorCode": 13}
    point = {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": refused}
    bare_client.admin.command(point)
    try:
        [told] = obstacles(acme)
        assert "main doesn't tell how much it may hold" in told
        assert surveying._room_on(MAIN_CLUSTER, current_policy()) == 0
        assert obstacles(acme, Strategy.SHARED) == []
        capacity.store(MAIN_CLUSTER, told_before)
        assert obstacles(acme) == []
    finally:
        bare_client.admin.command({**point, "mode": "off"})


def test_an_index_that_is_being_built_is_waited_for(acme, stored, bare_client):
    stored.insert_one({"key": 1})
    point = "hangAfterStartingIndexBuild"
    bare_client.admin.command({"configureFailPoint": point, "mode": "alwaysOn"})
    building = threading.Thread(target=stored.create_index, args=("key",))
    building.start()
    try:
        [told] = wait_until(lambda: obstacles(acme))
    finally:
        bare_client.admin.command({"configureFailPoint": point, "mode": "off"})
        building.join()
    assert "an index build (opid " in told
    assert obstacles(acme) == []


def test_a_transaction_that_stays_open_is_told_and_no_obstacle(acme, stored, monkeypatch):
    def soon(place):
        return wait_until(lambda: find_blockers(place, open_seconds=0.1))

    monkeypatch.setattr(sources, "find_blockers", soon)
    with stored.database.client.start_session() as session, session.start_transaction():
        stored.insert_one({}, session=session)
        told = checks(acme)
    assert all(told.values())
    assert any("will wait for a transaction (" in words for words in told)


def test_a_script_that_is_at_work_on_it_is_waited_for(acme):
    kind = JobKind("scripts", goes_on="")
    job = start_job(kind, "0042 fields", "Script 0042", a_context())
    item = JobItem(
        kind=job.kind, subject=job.subject, organization=acme.id, state=ItemState.RUNNING, attempt=1
    ).save()
    [told] = obstacles(acme)
    assert "0042 fields" in told
    item.update(set__state=ItemState.DONE)
    assert obstacles(acme) == []


def test_a_document_that_is_too_large_for_a_shared_collection_is_found(acme, stored):
    def of_size(size):
        rest = size - len(bson.encode({"_id": 1, "pad": ""}))
        return {"_id": 1, "pad": "x" * rest}

    stored.insert_one(of_size(16 * 1024 * 1024 - 23))
    assert obstacles(acme, Strategy.SHARED) == []
    stored.replace_one({"_id": 1}, of_size(16 * 1024 * 1024 - 22))
    [told] = obstacles(acme, Strategy.SHARED)
    assert "almost 16 MB" in told
    assert obstacles(acme, Strategy.DATABASE) == []


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_an_id_of_more_than_a_stream_can_tell_is_found(app, strategy):
    organization = an_organization("Acme Corp", strategy=strategy)
    tenant_of(organization).insert_one({"_id": "x" * (2 * 1024 * 1024 - 100)})
    assert obstacles(organization) == []
    tenant_of(organization).insert_one({"_id": "x" * 3 * 1024 * 1024})
    [told] = obstacles(organization)
    assert told.startswith("It has an _id of 3.0 MB, and 2 MB is the most")


def test_an_oplog_that_the_copy_alone_would_fill_is_told(acme, stored, monkeypatch):
    stored.insert_one({"text": "x" * 2**21})
    small = Oplog(max_bytes=2**20, bytes_per_second=0, exact=True)
    monkeypatch.setattr(servers, "read_oplog", lambda *_: small)
    [told] = obstacles(acme)
    assert "The oplog of main is too small by" in told
    assert "(flask clusters oplog main 990)" in told


def test_without_the_right_to_see_the_oplog_a_move_is_possible(acme, portal_without):
    portal_without(OPLOG)
    told = checks(acme)
    assert all(told.values())
    assert any("estimated: the portal lacks collStats on oplog.rs" in words for words in told)


def test_a_right_that_is_missing_is_named(acme, portal_without):
    portal_without(Rights("tenant_test", ("changeStream",)))
    [told] = obstacles(acme)
    assert "changeStream on tenant_test" in told


def test_what_runs_is_not_seen_without_the_right(acme, portal_without):
    portal_without(Rights(None, ("inprog",)))
    told = checks(acme)
    assert any("lacks inprog" in words for words in told)


def test_each_index_needs_room_too(acme, stored, monkeypatch):
    for n in range(3):
        stored.create_index(f"field{n}")
    full_at = 95

    def gauge(free):
        return [Gauge(FILES, held=950 - free, limit=1000, wall=Wall.POLICY, each=2)]

    for free, fits in ((5, True), (4, False)):
        monkeypatch.setattr(servers.capacity, "gauges_of", lambda *_, free=free: gauge(free))
        assert gauge(free)[0].free(full_at) == free
        assert (obstacles(acme) == []) is fits


def test_it_may_be_renamed_while_it_is_planned(acme, stored, monkeypatch):
    stored.insert_one({"_id": 1})
    figures = planning.collections.collection_figures

    def renamed_first(*place):
        if fresh(acme).slug == acme.slug:
            rename_organization(acme, "Globex", a_context())
        return figures(*place)

    monkeypatch.setattr(planning.collections, "collection_figures", renamed_first)
    planned = plan_move(acme, Wish(Strategy.DATABASE, MAIN_CLUSTER))
    assert (planned.documents, planned.obstacles) == (1, ())
    assert planned.bytes > 0


def test_it_is_planned_from_where_it_has_moved_meanwhile(acme, stored):
    stored.insert_one({"_id": 1})
    move(acme, Strategy.DATABASE, without_way_back=True)
    run_due_movers(1)
    assert stored.name not in stored.database.list_collection_names()
    planned = plan_move(acme, Wish(Strategy.SHARED, MAIN_CLUSTER))
    assert (planned.source.strategy, planned.documents) == (Strategy.DATABASE, 1)


def test_one_that_is_deleted_meanwhile_is_not_planned(acme):
    purge_organization(acme, acme.name, a_context())
    with pytest.raises(PurgedNotMovable):
        plan_move(acme, Wish(Strategy.DATABASE, MAIN_CLUSTER))


def test_a_collection_that_somebody_dropped_is_told(acme, stored):
    stored.drop()
    with pytest.raises(TenantCollectionMissing):
        plan_move(acme, Wish(Strategy.DATABASE, MAIN_CLUSTER))
