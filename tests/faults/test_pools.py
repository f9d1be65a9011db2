"""Organizations in one collection: what happens to one doesn't happen to its neighbours, and who
slept over a fence is refused."""

import threading
import time
from itertools import count

import pytest

from portal.applications import managing
from portal.documents.organizations import MAIN_CLUSTER, Organization, Strategy
from portal.documents.pools import Pool
from portal.organizations.lifecycle import pools
from portal.organizations.lifecycle.renaming import restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from portal.tenants import Tenants
from portal.tenants.errors import Trashed
from portal.web.context import RequestContext
from tests.factories import a_context, an_account, an_organization, collections_in, fresh
from tests.faults import doomed
from tests.faults.scenarios import trash
from tests.processes import at_once

WRITE_SECONDS = 3


@pytest.fixture
def uri(admin):
    """What an application of these databases connects by."""
    yield managing.add_application("shop", {MAIN_CLUSTER: admin}, RequestContext()).uri
    managing.remove_application("shop", {MAIN_CLUSTER: admin}, RequestContext())


@pytest.fixture
def acme():
    return an_organization("Acme Corp", an_account("mara@acme.example"), Strategy.SHARED)


@pytest.fixture
def neighbour():
    return an_organization("Neighbour", strategy=Strategy.SHARED)


def write(uri, slug):
    """Be an application that writes once."""
    with Tenants(uri) as tenants:
        tenants[slug].insert_one({"_id": "late"})


def put_into_trash(organization):
    return trash_organization(organization, None, a_context())


def restore_later(organization):
    """So that it has its documents, and its slug, as before."""
    return restore_organization(put_into_trash(organization), None, a_context())


def purge(organization):
    return purge_organization(organization, None, a_context())


@pytest.mark.attack("F1")
@pytest.mark.parametrize(
    ("meanwhile", "raised"),
    [(put_into_trash, "Trashed"), (purge, "Purged"), (restore_later, None)],
)
def test_a_writer_that_slept_over_a_fence_learns_of_it(
    settings, uri, acme, neighbour, world, meanwhile, raised
):
    with doomed.asleep(settings, write, uri, "acme-corp", point="insert to be sent #1") as lives:
        meanwhile(acme)
    [life] = lives
    if raised is None:
        assert life.raised is None
        assert world.documents_of(fresh(acme)) == [{"_id": "late"}]
    else:
        assert raised in life.raised
        assert world.documents_of(fresh(acme)) == []


@pytest.mark.parametrize(
    "end",
    ["findAndModify answered #2", "renameCollection answered #1"],
    ids=["announced", "renamed"],
)
def test_neighbours_applications_go_on_when_a_portal_dies_in_a_fence(
    settings, uri, acme, neighbour, end
):
    """They read the directory, not the portal: its record has the next name before the rename."""
    with Tenants(uri) as tenants:
        theirs, ours = tenants["neighbour"], tenants["acme-corp"]
        for n, tenant in enumerate((theirs, ours)):
            tenant.insert_one({"_id": n})
        life = doomed.live(settings, trash, acme.id, end=end)
        assert life.points[-1] == end
        assert fresh(acme).operation.kind == "trash"
        assert Pool.objects.get().next_generation == 2
        theirs.insert_one({"_id": "after"})
        assert theirs.count_documents({}) == 2
        if end.startswith("rename"):
            with pytest.raises(Trashed):
                ours.insert_one({"_id": "after"})


def test_whoever_sleeps_while_opening_a_pool_makes_no_second_collection(settings, tenant_db):
    for point in ("create to be sent #1", "renameCollection to be sent #1"):
        Pool.objects.delete()
        for name in collections_in(tenant_db):
            tenant_db.drop_collection(name)
        with doomed.asleep(settings, pools.pool_with_room, MAIN_CLUSTER, point=point):
            opened = pools.pool_with_room(MAIN_CLUSTER)
            pools.fence(opened.id)
        assert collections_in(tenant_db) == ["shared_1_2"]
        assert pools.pool_with_room(MAIN_CLUSTER).collection == "shared_1_2"


def test_no_acknowledged_write_is_lost_while_neighbours_come_and_go(world, figure):
    """Each of them fences the pool; all write, and each write is there once."""
    writers = [an_organization(f"Writer {n}", strategy=Strategy.SHARED) for n in range(3)]
    goers = [an_organization(f"Goer {n}", strategy=Strategy.SHARED) for n in range(3)]
    stopped, written, fences = threading.Event(), {one.id: [] for one in writers}, count()

    def write_on(organization):
        tenant = tenant_of(organization)
        while not stopped.is_set():
            document = len(written[organization.id])
            tenant.insert_one({"_id": document})
            written[organization.id].append(document)

    def come_and_go(organization):
        while not stopped.is_set():
            organization = restore_later(organization)
            assert organization.operation is None
            next(fences)

    def stop():
        time.sleep(WRITE_SECONDS)
        stopped.set()

    at_once(
        [
            *(lambda one=one: write_on(one) for one in writers),
            *(lambda one=one: come_and_go(one) for one in goers),
            stop,
        ]
    )
    for one in writers:
        assert [each["_id"] for each in world.documents_of(fresh(one))] == written[one.id]
    total = sum(map(len, written.values()))
    figure(f"{total} writes through {next(fences)} fences of their pool, 0 lost")
    assert Organization.objects(operation__ne=None).count() == 0


def test_a_purge_goes_on_through_fences(world, monkeypatch):
    """The collection gets another name between the batches, and within one."""
    monkeypatch.setattr(pools, "DELETED_AT_ONCE", 20)
    acme = an_organization("Acme Corp", strategy=Strategy.SHARED)
    neighbour = an_organization("Neighbour", strategy=Strategy.SHARED)
    for one in (acme, neighbour):
        tenant_of(one).insert_many({"_id": n} for n in range(1000))
    purged = threading.Event()

    def fence_on():
        while not purged.is_set():
            pools.fence(1)

    def purge_all():
        try:
            assert purge(acme).operation is None
        finally:
            purged.set()

    at_once([fence_on, purge_all])
    assert world.documents_of(fresh(acme)) == []
    assert len(world.documents_of(fresh(neighbour))) == 1000
