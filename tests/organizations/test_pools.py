"""Pools: opened, fenced, counted; by any number of processes at once."""

import itertools
import threading

import pytest
from mongoengine import QuerySet
from pymongo.errors import ConnectionFailure

from portal import clock
from portal.database.clusters import forget_registry
from portal.documents.accounts import Account
from portal.documents.clusters import Cluster
from portal.documents.organizations import MAIN_CLUSTER, Organization, Strategy
from portal.documents.placement_policy import PlacementPolicy
from portal.documents.pools import Pool
from portal.organizations.lifecycle import births, pools
from portal.organizations.lifecycle.errors import PoolUnavailable
from portal.organizations.lifecycle.trashing import trash_organization
from portal.tenants import collections
from portal.tenants.collections import CollectionMissing
from tests.factories import a_context, an_organization, collections_in
from tests.processes import at_once, wait_until
from tests.program import Program, fault


@pytest.fixture
def pool():
    return pools.pool_with_room(MAIN_CLUSTER)


def test_the_first_one_is_opened_when_it_is_needed(pool, tenant_db):
    assert (pool.id, pool.generation, pool.next_generation) == (1, 1, None)
    assert collections_in(tenant_db) == ["shared_1_1"]
    assert collections.uuid_of(tenant_db, "shared_1_1") == pool.uuid


def test_a_pool_that_another_opens_meanwhile_is_taken_and_no_second_one_made(monkeypatch):
    half_open = pools._insert(1, MAIN_CLUSTER)
    first, asked = QuerySet.first, itertools.count()

    def ask(query):
        """Before it looks for one that is half open, after it found none with room."""
        if next(asked) == 2:
            pools.finish_opening(half_open)
        return first(query)

    monkeypatch.setattr(QuerySet, "first", ask)
    assert pools.pool_with_room(MAIN_CLUSTER).id == 1


def test_of_many_that_open_one_at_once_all_get_the_same(tenant_db):
    opened = at_once([lambda: pools.pool_with_room(MAIN_CLUSTER)] * 8)
    assert {pool.id for pool in opened} == {1}
    assert collections_in(tenant_db) == ["shared_1_1"]


@pytest.mark.parametrize("step", ["create_once", "_advance_to"])
def test_one_that_is_half_open_is_opened_by_whoever_needs_it(tenant_db, monkeypatch, step):
    def dies(*_):
        raise ConnectionFailure("died")

    monkeypatch.setattr(pools, step, dies)
    with pytest.raises(PoolUnavailable):
        pools.pool_with_room(MAIN_CLUSTER)
    monkeypatch.undo()
    assert pools.pool_with_room(MAIN_CLUSTER).id == 1
    assert collections_in(tenant_db) == ["shared_1_1"]


def test_a_sign_up_for_which_none_can_be_opened_is_answered_503(app, monkeypatch):
    """Somebody drops the collection in the middle of it, say."""
    rule = '[[place]]\nstrategy = "shared"\n'
    PlacementPolicy(id=1, text=rule, set_at=clock.now()).save()
    monkeypatch.setattr(pools, "create_once", lambda *_: None)
    assert fault(Program(app).sign_up())[:2] == (503, "clusters_unavailable")
    assert Organization.objects.count() == Account.objects.count() == 0
    monkeypatch.undo()
    assert Program(app).sign_up().status_code == 201


def test_whoever_wakes_late_creates_no_second_collection(pool, tenant_db):
    born = f"new_{pool.birth}"
    births.create_once(tenant_db, born, pool.birth)
    assert born not in collections_in(tenant_db)


def test_a_stranger_under_its_name_is_passed_over(tenant_db):
    tenant_db.shared_1_1.insert_one({"_id": "a stranger's"})
    pool = pools.pool_with_room(MAIN_CLUSTER)
    assert pool.collection == "shared_1_2"
    tenant_db.shared_1_3.insert_one({"_id": "another's"})
    pools.fence(1)
    pool.reload()
    assert (pool.collection, pool.next_generation) == ("shared_1_4", None)
    assert collections.uuid_of(tenant_db, "shared_1_4") == pool.uuid
    assert tenant_db.shared_1_1.find_one() == {"_id": "a stranger's"}


def test_a_fence_gives_the_collection_its_next_name(pool, tenant_db):
    pools.fence(1)
    pool.reload()
    assert (pool.generation, pool.next_generation) == (2, None)
    assert collections.uuid_of(tenant_db, "shared_1_2") == pool.uuid
    assert collections_in(tenant_db) == ["shared_1_2"]


def test_a_name_that_was_announced_before_is_not_enough(pool):
    """A store may have read it, along with the organization as it was before."""
    Pool.objects(id=1).update_one(set__next_generation=2)
    pools.fence(1)
    pool.reload()
    assert pool.generation == 3


def test_one_fence_serves_all_that_wait_for_one(pool, monkeypatch):
    """Those that come while one is under way need one more, and that is all."""
    inside, go_on, renaming = [], threading.Event(), pools._rename

    def slowly(*arguments):
        inside.append(arguments)
        go_on.wait(30)
        renaming(*arguments)

    monkeypatch.setattr(pools, "_rename", slowly)
    threads = [threading.Thread(target=pools.fence, args=(1,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(inside) == 6)
    go_on.set()
    for thread in threads:
        thread.join()
    pool.reload()
    assert (pool.generation, pool.next_generation) == (3, None)


def test_a_rename_that_comes_late_goes_nowhere(pool, tenant_db):
    asleep = Pool.objects.get(id=1)
    asleep.next_generation = 2
    for _ in range(2):
        pools.fence(1)
    assert pools._advance(asleep).generation == 3
    assert collections_in(tenant_db) == ["shared_1_3"]


def test_a_name_that_somebody_gave_it_in_the_database_goes_with_the_next_fence(pool, tenant_db):
    tenant_db.shared_1_1.rename("by_hand")
    pools.fence(1)
    assert collections_in(tenant_db) == ["shared_1_2"]


def test_a_pool_that_somebody_dropped_keeps_no_organization_from_the_trash(tenant_db):
    organization = an_organization("Acme Corp", strategy=Strategy.SHARED)
    tenant_db.shared_1_1.drop()
    with pytest.raises(CollectionMissing):
        pools.fence(1)
    assert trash_organization(organization, None, a_context()).state == "trashed"


def test_a_fence_that_waits_for_a_transaction_lets_others_work_and_is_finished_later(
    pool, tenant_db, admin
):
    organization = an_organization("Acme Corp", strategy=Strategy.SHARED)
    with admin.start_session() as session, session.start_transaction():
        tenant_db.shared_1_1.insert_one({}, session=session)
        trashed = trash_organization(organization, None, a_context())
        assert trashed.operation.kind == "trash"  # left to the runner
        tenant_db.shared_1_1.insert_one({})
    pool.reload()
    assert pool.next_generation == 2
    pools.fence(1)


def test_a_full_one_makes_way_for_a_new_one(monkeypatch):
    monkeypatch.setattr(pools, "MAX_ORGANIZATIONS", 2)
    for n in range(3):
        an_organization(f"Org {n}", strategy=Strategy.SHARED)
        Pool.objects.update(unset__counted_at=True)
        pools.count_due()
    assert [pool.organizations for pool in Pool.objects.order_by("id")] == [2, 1]
    assert Organization.objects.get(slug="org-2").placement.pool == 2


def test_one_of_many_bytes_makes_way_too(pool, tenant_db, monkeypatch):
    monkeypatch.setattr(pools, "MAX_BYTES", 1000)
    tenant_db.shared_1_1.insert_one({"filling": "x" * 1000})
    assert pools.count_due() == 1
    assert pools.pool_with_room(MAIN_CLUSTER).id == 2


def test_one_that_somebody_dropped_takes_no_more(pool, tenant_db):
    tenant_db.shared_1_1.drop()
    pools.count_due()
    assert pools.pool_with_room(MAIN_CLUSTER).id == 2


def test_one_of_a_cluster_that_was_removed_or_lost_is_counted_no_more(pool):
    Cluster(name="europe", uri="x", added_at=clock.now(), lost_at=clock.now()).save()
    forget_registry()
    for gone in ("removed asia", "europe"):
        Pool.objects.update(set__cluster=gone, unset__counted_at=True)
        assert pools.count_due() == 0
    Pool.objects.update(set__cluster=MAIN_CLUSTER)
    assert pools.count_due() == 1
    Cluster.objects.delete()
    forget_registry()


def test_each_is_counted_by_one_portal_once_in_a_while(pool):
    assert sum(at_once([pools.count_due] * 4)) == 1
    assert pools.count_due() == 0


def test_its_organizations_are_counted_by_an_index_alone(pool, master_db):
    for n in range(3):
        an_organization(f"Org {n}", strategy=Strategy.SHARED)
    kept = {"placement.pool": 1, "state": {"$in": ["active", "trashed"]}}
    explained = master_db.command(
        "explain", {"count": "organizations", "query": kept}, verbosity="executionStats"
    )
    assert explained["executionStats"]["totalDocsExamined"] == 0
    assert pools.organizations_in(pool) == 3
