"""Collections that organizations share: their names, and who leaves them."""

import threading

import bson
import pytest
from bson.errors import BSONError
from pymongo import InsertOne
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from tests.tenants.library.conftest import library
from tests.tenants.library.works import AFTERWARDS, FEW, READS, WRITES, ids

directory, errors = library("directory"), library("errors")
POOL = 1


@pytest.fixture
def strategy():
    return "shared"


@pytest.fixture
def neighbour(tenants, fake):
    """Another organization in the same collection, with the same ids."""
    other = tenants.by_id(fake.create("neighbour", "shared"))
    other.insert_many(map(dict, FEW))
    return other


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_no_operation_notices_a_fence(store, neighbour, stored, fake, name):
    store.insert_many(map(dict, FEW))
    expected = READS[name](store) if name in READS else None
    fake.advance_pool(POOL)
    fake.advance_pool(POOL)
    if name in READS:
        assert READS[name](store) == expected
    else:
        WRITES[name](store)
        assert stored.find() == AFTERWARDS[name]
    assert neighbour.find().to_list() == FEW


REFUSED_BY_ADDED = {
    "insert": lambda s: s.insert_one({"_id": 9, "email": "mara"}),
    "inserts": lambda s: s.insert_many([{"_id": 9, "email": "mara"}]),
    "update": lambda s: s.update_one({"_id": 1}, {"$set": {"email": "mara"}}),
    "updates": lambda s: s.update_many({"_id": 1}, {"$set": {"email": "mara"}}),
    "replacement": lambda s: s.replace_one({"_id": 1}, {"email": "mara"}),
    "bulk": lambda s: s.bulk_write([InsertOne({"_id": 9, "email": "mara"})]),
    "update and return": lambda s: s.find_one_and_update({"_id": 1}, {"$set": {"email": "mara"}}),
}


@pytest.mark.parametrize("name", REFUSED_BY_ADDED)
def test_an_added_unique_index_is_told_as_such_and_as_no_duplicate_of_ones_own(
    store, neighbour, raw, fake, name
):
    """Who inserts what isn't there yet would take a duplicate for its own, and lose the write."""
    pool = raw[fake.pool(POOL).names[0]]
    pool.create_index("email", unique=True, sparse=True)
    try:
        neighbour.insert_one({"_id": 9, "email": "mara"})
        store.insert_one({"_id": 1})
        with pytest.raises(OperationFailure) as refused:
            REFUSED_BY_ADDED[name](store)
        assert not isinstance(refused.value, DuplicateKeyError)
        [told, *_] = (refused.value.details or {}).get("writeErrors", [refused.value.details])
        assert (told["code"], told["addedIndex"]) == (96, ["email"])
        assert "somebody added a unique index on email" in told["errmsg"]
        assert "mara" not in told["errmsg"]
        assert store.find().to_list() == [{"_id": 1}]
        with pytest.raises(DuplicateKeyError):
            store.insert_one({"_id": 1})
    finally:
        pool.drop_index("email_1")


def test_who_leaves_is_refused_although_others_told_the_name(store, neighbour, stored, fake, acme):
    """The name that a neighbour found out is no reason to write for one that has left."""
    store.insert_one({"_id": 1})
    fake.trash(acme)
    assert neighbour.count_documents({}) == len(FEW)
    for use in (*WRITES.values(), *READS.values()):
        with pytest.raises(errors.Trashed):
            use(store)
    assert ids(stored.find()) == [1]
    fake.restore(acme, "back")
    assert ids(store.find()) == [1]
    fake.purge(acme)
    with pytest.raises(errors.Purged):
        store.find_one()
    assert stored.find() == []
    assert neighbour.find().to_list() == FEW


@pytest.mark.parametrize(("kind", "error"), [("trash", "Trashed"), ("purge", "Purged")])
def test_an_organization_on_its_way_out_is_refused_before_the_fence(
    fake, acme, connect, kind, error
):
    with fake.operation(acme, kind, ""), pytest.raises(getattr(errors, error)):
        connect(fake.uri).by_id(acme).find_one()


@pytest.mark.parametrize("renamed", [False, True])
def test_while_the_name_changes_either_is_used(connect, store, fake, acme, renamed):
    store.insert_one({"_id": 1})
    pool = fake.pool(POOL)
    following = pool.generation + 1000
    fake.master[directory.POOLS].update_one({"_id": POOL}, {"$set": {"next_generation": following}})
    if renamed:
        fake.data[pool.names[0]].rename(directory.pool_name(POOL, following))
    for each in (store, connect(fake.uri).by_id(acme)):
        assert ids(each.find()) == [1]
        each.update_one({"_id": 1}, {"$inc": {"n": 1}})
    assert store.find_one() == {"_id": 1, "n": 2}


def test_after_a_fence_the_pool_is_read_once_and_each_organization(
    store, neighbour, fake, listener
):
    store.find_one()
    listener.views.clear()
    fake.advance_pool(POOL)
    for _ in range(2):
        for each in (store, neighbour):
            each.find_one()
    assert listener.views == [directory.POOLS, *[directory.ORGANIZATIONS] * 2]


def test_an_organization_is_read_again_after_the_pool_that_was_unknown(
    fake, connect, acme, listener
):
    listener.views.clear()
    connect(fake.uri, event_listeners=[listener]).by_id(acme).find_one()
    assert listener.views == [directory.ORGANIZATIONS, directory.POOLS, directory.ORGANIZATIONS]


def test_a_pool_that_is_unknown_or_gone_is_told(fake, connect, store, acme, stored):
    store.find_one()
    name = stored.collection.name
    fake.data[name].rename("elsewhere")
    with pytest.raises(errors.Misplaced, match=f"elsewhere.*{name}"):
        store.insert_one({})
    fake.data.elsewhere.drop()
    with pytest.raises(errors.CollectionMissing):
        store.insert_one({})
    fake.master[directory.POOLS].delete_many({})
    with pytest.raises(errors.UnknownPool, match="1"):
        connect(fake.uri).by_id(acme).find_one()


def test_answers_about_a_pool_count_only_if_they_are_newer():
    entries = directory.Entries(10)
    record = {"_id": 1, "cluster": "main", "database": "d", "uuid": None, "generation": 3}

    def known_after(**fields):
        entries.accept_pool(directory.PoolEntry.from_document({"epoch": 1, **record, **fields}))
        known = entries.pools[1]
        return known.generation, known.next_generation

    assert known_after() == (3, None)
    assert known_after(next_generation=4) == (3, 4)
    assert known_after() == (3, 4)
    assert known_after(generation=4) == (4, None)
    assert known_after(next_generation=4) == (4, None)
    assert known_after(epoch=2, generation=1) == (1, None)


def test_writers_lose_nothing_through_fences(store, neighbour, fake):
    store.insert_one({"_id": 1, "n": 0})
    stopped = threading.Event()

    def advance():
        while not stopped.wait(0.05):
            fake.advance_pool(POOL)

    advancing = threading.Thread(target=advance)
    advancing.start()
    try:
        for n in range(40):
            store.update_one({"_id": 1}, {"$inc": {"n": 1}})
            neighbour.insert_one({"_id": f"new-{n}"})
            assert len(store.find(batch_size=1).to_list()) == 1
    finally:
        stopped.set()
        advancing.join()
    assert store.find_one() == {"_id": 1, "n": 40}
    assert neighbour.count_documents({}) == len(FEW) + 40


def test_a_result_goes_on_behind_a_fence_and_another_order_says_that_it_was_lost(store, fake):
    store.insert_many({"_id": n, "n": -n} for n in range(10))
    found = store.find(batch_size=2)
    first = next(found)
    fake.advance_pool(POOL)
    assert ids([first, *found]) == [*range(10)]
    found = store.find(sort="n", batch_size=2)
    next(found)
    fake.advance_pool(POOL)
    with pytest.raises(errors.CursorLost):
        found.to_list()


def test_what_needs_a_collection_of_its_own_says_so(store, sent):
    store.insert_one({"_id": 1})
    sent.clear()
    upsert = {"upsert": True}
    for use in (
        lambda: store.create_index("a"),
        lambda: store.drop_index("a_1"),
        lambda: store.find(collation={"locale": "en"}).to_list(),
        lambda: store.aggregate([], collation={"locale": "en"}),
        lambda: store.delete_many({}, collation={"locale": "en"}),
        lambda: store.find({}, {"k": {"$meta": "indexKey"}}).to_list(),
        lambda: store.aggregate([{"$set": {"k": {"$meta": "sortKey"}}}]),
        lambda: store.find({"$jsonSchema": {"patternProperties": {}}}).to_list(),
        lambda: store.update_one({"_id.x": 1}, {"$set": {"a": 1}}, **upsert),
        lambda: store.update_one({"a": 1}, {"$inc": {"_id": 1}}, **upsert),
        lambda: store.update_one({"a": 1}, [{"$replaceWith": {"a": 1}}], **upsert),
        lambda: store.replace_one({"a": 1}, {"t": bson.Timestamp(0, 0)}, **upsert),
    ):
        with pytest.raises(errors.NeedsOwnPlacement, match="a collection of its own"):
            use()
    assert sent == []
    assert store.find({}, collation={"locale": "simple"}).to_list() == [{"_id": 1}]


def test_an_index_that_somebody_added_isnt_shown(store, stored):
    stored.collection.create_index("a")
    assert [each["name"] for each in store.list_indexes()] == ["_id_"]


def test_a_document_that_is_too_large_is_refused_as_by_an_own_collection(store, tenants, fake):
    own = tenants.by_id(fake.create("own"))
    for size in (16 * 1024 * 1024 + 100, 20 * 1024 * 1024):
        told = set()
        for each in (store, own):
            with pytest.raises((PyMongoError, BSONError)) as refused:
                each.insert_one({"_id": 1, "x": "x" * size})
            told.add((type(refused.value), getattr(refused.value, "code", None)))
        assert len(told) == 1
    with pytest.raises(OperationFailure):
        store.insert_one({"_id": 1, "x": "x" * (16 * 1024 * 1024 - 25)})
    assert store.count_documents({}) == 0


@pytest.mark.parametrize("version", ["older", "newer"])
def test_a_version_that_doesnt_know_a_strategy_refuses(connect, fake, acme, version, monkeypatch):
    if version == "older":
        placements = library("placements")
        monkeypatch.delitem(placements._KINDS, "shared")
    else:
        fake.update(acme, **{"placement.strategy": "sharded"})
    with pytest.raises(errors.UnknownStrategy, match="update portal-tenants"):
        connect(fake.uri)["acme"].insert_one({})
