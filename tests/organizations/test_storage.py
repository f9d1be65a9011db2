"""The way from an organization to its documents."""

import threading

import pymongo
import pytest
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import clock
from portal.database.connection import is_unavailable
from portal.documents.organizations import (
    Operation,
    OperationKind,
    Organization,
    OrganizationState,
    Slug,
    Strategy,
)
from portal.errors import NotFound
from portal.organizations.access.errors import OrganizationPurged, OrganizationTrashed
from portal.organizations.lifecycle.engine import run
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    OperationInProgress,
    TenantCollectionMissing,
)
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import PAUSE_BETWEEN_REPAIRS, stored_by, tenant_of
from tests.factories import a_context, an_organization, fresh, intend
from tests.placing import collection_of, documents_of

each_strategy = pytest.mark.parametrize("organization", list(Strategy), indirect=True)


@pytest.fixture
def organization(request):
    """One with a collection of its own, unless a test is for each strategy."""
    strategy = getattr(request, "param", Strategy.COLLECTION)
    return an_organization("Acme Corp", strategy=strategy)


@pytest.fixture
def store(organization):
    store = tenant_of(organization)
    store.insert_one({"_id": "first"})
    return store


@pytest.fixture
def raw(bare_client, tenant_db):
    """The tenant database, without the portal."""
    return bare_client[tenant_db.name]


def content(raw):
    """The ids in each collection."""
    return {
        name: [found["_id"] for found in raw[name].find(sort={"_id": 1})]
        for name in raw.list_collection_names()
    }


@pytest.fixture
def stored(raw, master_db, organization):
    """The organization's collection, and a function that tells the ids in it, past the portal."""

    def recorded():
        found = master_db.organizations.find_one(organization.id)
        return raw, found, list(master_db.pools.find())

    def ids():
        return [document["_id"] for document in documents_of(*recorded())]

    ids.drop = lambda: collection_of(*recorded()).drop()
    return ids


@each_strategy
def test_a_store_goes_on_after_renames(organization, store, raw, stored):
    for name in ("Second", "Third"):
        rename_organization(fresh(organization), name, a_context())
    store.insert_one({"_id": "later"})
    assert stored() == ["first", "later"]
    if fresh(organization).placement.strategy == Strategy.COLLECTION:
        assert content(raw) == {"org_third": ["first", "later"]}


def test_a_store_goes_on_while_a_rename_is_half_done(organization, store, raw):
    """The collection has its new name, the organization not yet."""
    intended = intend(
        organization,
        Operation(kind="rename", started_at=clock.now(), origin=a_context().origin, name="Other",
                  slug="other", collection="org_other"),
    )  # fmt: skip
    raw.org_acme_corp.rename("org_other")
    store.insert_one({"_id": "later"})
    tenant_of(intended).insert_one({"_id": "last"})
    assert content(raw) == {"org_other": ["first", "last", "later"]}


@each_strategy
def test_a_store_of_a_trashed_organization_refuses(organization, store, stored):
    trashed = trash_organization(organization, None, a_context())
    for use in (lambda: store.insert_one({"_id": 2}), store.find_one,
                lambda: store.update_many({}, {"$set": {"a": 1}}), lambda: tenant_of(trashed)):  # fmt: skip
        with pytest.raises(OrganizationTrashed):
            use()
    assert stored() == ["first"]


def test_a_store_refuses_as_soon_as_the_collection_is_on_its_way_to_the_trash(
    organization, store, raw
):
    target = f"trash_{organization.id}"
    intend(
        organization,
        Operation(
            kind=OperationKind.TRASH,
            started_at=clock.now(),
            origin=a_context().origin,
            collection=target,
        ),
    )
    store.insert_one({"_id": "last"})
    raw.org_acme_corp.rename(target)
    with pytest.raises(OrganizationTrashed):
        store.insert_one({"_id": "too late"})
    assert content(raw) == {target: ["first", "last"]}


@each_strategy
def test_a_store_goes_on_after_its_organization_was_restored(organization, store, stored):
    trashed = trash_organization(organization, None, a_context())
    restore_organization(trashed, "Other", a_context())
    store.insert_one({"_id": "later"})
    assert stored() == ["first", "later"]


@each_strategy
def test_a_store_of_a_purged_organization_finds_nothing(organization, store, raw):
    purged = purge_organization(organization, None, a_context())
    for use in (
        lambda: store.insert_one({}),
        lambda: store.count_documents({}),
        lambda: tenant_of(purged),
    ):
        with pytest.raises(NotFound):
            use()
    assert [*content(raw).values()] in ([], [[]])  # of others in a pool


def test_a_store_of_an_organization_that_is_being_purged_finds_nothing(organization, store, raw):
    intend(
        organization,
        Operation(
            kind="purge",
            started_at=clock.now(),
            origin=a_context().origin,
            collection="org_acme_corp",
        ),
    )
    raw.org_acme_corp.drop()
    with pytest.raises(NotFound):
        store.insert_one({})


@each_strategy
def test_a_store_of_an_organization_that_is_gone_finds_nothing(organization, store, stored):
    stored.drop()
    Organization.objects(id=organization.id).delete()
    with pytest.raises(NotFound):
        store.insert_one({})


@each_strategy
def test_a_collection_that_was_dropped_is_told_and_not_made_anew(store, raw, stored):
    stored.drop()
    for use in (lambda: store.insert_one({}), lambda: store.insert_many([{}]),
                lambda: store.find_one({"_id": "first"}), lambda: store.delete_many({})):  # fmt: skip
        with pytest.raises(TenantCollectionMissing):
            use()
    assert content(raw) == {}


def test_an_organization_without_a_collection_yet_says_what_is_running(organization):
    organization.placement.uuid = None
    organization.operation = Operation(
        kind="create", started_at=clock.now(), origin=a_context().origin, collection="org_acme_corp"
    )
    with pytest.raises(OperationInProgress):
        tenant_of(organization)


def test_a_collection_that_somebody_renamed_gets_its_name_back(organization, store, raw):
    raw.org_acme_corp.rename("elsewhere")
    store.insert_one({"_id": "later"})
    assert content(raw) == {"org_acme_corp": ["first", "later"]}
    assert fresh(organization).operation is None


def test_a_name_that_a_rename_left_meanwhile_is_no_reason_for_a_repair(organization, raw, log):
    """The server said where the collection is, and it was renamed again before anybody looked."""
    place = tenant_of(organization)._place
    for name in ("Second", "Third"):
        rename_organization(fresh(organization), name, a_context())
    renamed = place.follow(place.locate(), "org_second")
    assert renamed.name == "org_third"
    assert not log.named("collection.name_repaired")
    raw.org_third.rename("elsewhere")
    suspected = place.follow(renamed, "elsewhere")
    assert place.follow(suspected, "elsewhere").name == "org_third"
    assert log.named("collection.name_repaired")
    assert raw.list_collection_names() == ["org_third"]


def test_writers_at_once_repair_a_name_and_lose_nothing(organization, store, raw):
    raw.org_acme_corp.rename("elsewhere")
    threads = [
        threading.Thread(
            target=lambda n=n: tenant_of(organization).insert_one({"_id": f"later {n}"})
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = ["first", *(f"later {n}" for n in range(4))]
    assert content(raw) == {"org_acme_corp": written}


def test_a_collection_that_cant_get_its_name_back_is_told_and_the_stranger_untouched(store, raw):
    raw.org_acme_corp.rename("elsewhere")
    raw.org_acme_corp.insert_one({"_id": "theirs"})
    with pytest.raises(CollectionNameConflict):
        store.insert_one({"_id": "later"})
    assert content(raw) == {"elsewhere": ["first"], "org_acme_corp": ["theirs"]}


def test_not_every_look_tries_to_repair_what_can_not_be(organization, raw, master_db, log):
    raw.org_acme_corp.rename("elsewhere")
    raw.org_acme_corp.insert_one({"_id": "theirs"})
    for _ in range(3):
        assert stored_by(fresh(organization)).elsewhere == "elsewhere"
    assert len(log.named("operation.turned_back")) == 1
    raw.org_acme_corp.drop()
    long_ago = clock.now() - PAUSE_BETWEEN_REPAIRS
    master_db.organizations.update_one({}, {"$set": {"turned_back.at": long_ago}})
    assert stored_by(fresh(organization)).figures
    assert content(raw) == {"org_acme_corp": []}


@each_strategy
def test_figures_follow_a_rename_and_the_way_to_the_trash(organization, store):
    as_read = fresh(organization)
    rename_organization(organization, "Other", a_context())
    assert stored_by(as_read).figures.documents == 1
    trash_organization(fresh(organization), None, a_context())
    assert stored_by(as_read).figures.documents == 1


def test_what_was_purged_meanwhile_is_told_and_not_missing(organization, store, raw):
    active = fresh(organization)
    trashed = trash_organization(organization, None, a_context())
    purging = intend(
        trashed,
        Operation(
            kind=OperationKind.PURGE,
            started_at=clock.now(),
            origin=a_context().origin,
            collection=trashed.placement.collection,
        ),
        states=(OrganizationState.TRASHED,),
    )
    raw[trashed.placement.collection].drop()
    for as_read in (active, trashed):
        with pytest.raises(OperationInProgress):
            stored_by(as_read)
    run(purging)
    with pytest.raises(NotFound):
        stored_by(active)
    with pytest.raises(OrganizationPurged):
        stored_by(trashed)


def test_a_writer_waits_for_an_operation_that_will_bring_the_collection_back(
    organization, store, raw
):
    intended = intend(
        organization,
        Operation(kind="rename", started_at=clock.now(), origin=a_context().origin, name="Other",
                  slug="other", collection="org_other"),
    )  # fmt: skip
    raw.org_acme_corp.rename("elsewhere")
    with pytest.raises((PyMongoError, MongoEngineException)) as stopped, pymongo.timeout(0.5):
        store.insert_one({"_id": "later"})
    assert is_unavailable(stopped.value)
    waiting = threading.Thread(target=lambda: store.insert_one({"_id": "later"}))
    waiting.start()
    run(intended)
    waiting.join()
    assert content(raw) == {"org_other": ["first", "later"]}


@each_strategy
def test_two_organizations_never_see_each_others_documents(organization, store, stored):
    other = an_organization("Other", strategy=organization.placement.strategy)
    others = tenant_of(other)
    others.insert_one({"_id": "theirs"})
    rename_organization(other, "Third", a_context())
    Slug.objects(id="other").delete()  # as if nobody held it any more
    rename_organization(fresh(organization), "Other", a_context())
    store.insert_one({"_id": "mine"})
    others.update_many({}, {"$set": {"seen": True}})
    assert [found["_id"] for found in store.find({"seen": None})] == ["first", "mine"]
    assert stored() == ["first", "mine"]
    assert others.find().to_list() == [{"_id": "theirs", "seen": True}]


@each_strategy
def test_the_store_takes_one_command_for_each_operation(organization, store, commands):
    commands.clear()
    store.find_one("first")
    list(store.find())
    store.count_documents({})
    store.insert_one({"_id": 2})
    store.update_one({"_id": 2}, {"$set": {"a": 1}})
    store.delete_one({"_id": 2})
    store.insert_many([{}, {}])
    assert commands == ["find", "find", "aggregate", "insert", "update", "delete", "insert"]
