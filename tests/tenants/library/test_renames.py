"""Renames that no operation notices, and the end of an organization that each does."""

import threading

import pytest
from pymongo.errors import OperationFailure

from tests.tenants.library.conftest import library
from tests.tenants.library.works import (
    AFTERWARDS,
    FEW,
    READS,
    WRITES,
    each_operation_with,
    ids,
    own_collection,
    told,
)

errors = library("errors")


@pytest.fixture
def renaming(fake, acme):
    """Renames the organization to and fro until the test has what it wants."""
    stopped = threading.Event()

    def rename():
        n = 0
        while not stopped.is_set():
            n += 1
            fake.rename(acme, ("other", "acme")[n % 2])

    thread = threading.Thread(target=rename)

    def start():
        thread.start()
        return lambda: (stopped.set(), thread.join())

    yield start
    stopped.set()
    if thread.is_alive():
        thread.join()


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_no_operation_notices_a_rename_before_it(store, stored, fake, acme, name):
    store.insert_many(map(dict, FEW))
    expected = READS[name](store) if name in READS else None
    fake.rename(acme, "other")
    if name in READS:
        assert READS[name](store) == expected
    else:
        WRITES[name](store)
        assert stored.find() == AFTERWARDS[name]


INDEXING = {
    "create_index": (lambda store: store.create_index("b"), {"_id_", "a_1", "b_1"}),
    "drop_index": (lambda store: store.drop_index("a_1"), {"_id_"}),
}


@own_collection
@pytest.mark.parametrize("name", INDEXING)
def test_no_change_of_indexes_notices_a_rename_before_it(store, raw, fake, acme, name):
    """Nor is a stranger's collection changed that took the name, and has the same index."""
    store.create_index("a")
    fake.rename(acme, "other")
    raw.org_acme.create_index("a")
    change, afterwards = INDEXING[name]
    change(store)
    assert set(raw.org_other.index_information()) == afterwards
    assert set(raw.org_acme.index_information()) == {"_id_", "a_1"}


@own_collection
def test_an_index_is_dropped_first_of_all_after_a_rename(store, raw, fake, acme):
    """Where the former name belongs to nobody."""
    store.create_index("a")
    fake.rename(acme, "other")
    store.drop_index("a_1")
    assert set(raw.org_other.index_information()) == {"_id_"}
    with pytest.raises(OperationFailure, match="index not found"):
        store.drop_index("a_1")


@own_collection
@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_a_strangers_collection_that_took_the_name_stays_untouched(store, raw, fake, acme, name):
    store.insert_many(map(dict, FEW))
    fake.move(acme, "elsewhere")
    raw.org_acme.insert_many(map(dict, FEW))
    with pytest.raises(errors.Misplaced) as told:
        {**WRITES, **READS}[name](store)
    assert (told.value.found, told.value.recorded) == ("elsewhere", "org_acme")
    assert list(raw.org_acme.find()) == FEW
    assert list(raw.elsewhere.find()) == FEW


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_nothing_makes_a_collection_that_is_gone(store, raw, stored, name):
    stored.collection.drop()
    with pytest.raises(errors.CollectionMissing):
        {**WRITES, **READS}[name](store)
    assert raw.list_collection_names() == []


@each_operation_with("done", "trash", "purge")
def test_nothing_is_read_or_written_in_the_trash_or_after_a_purge(
    store, stored, fake, acme, name, done
):
    store.insert_many(map(dict, FEW))
    getattr(fake, done)(acme)
    with pytest.raises(errors.Trashed if done == "trash" else errors.Purged):
        {**WRITES, **READS}[name](store)
    if done == "trash":
        assert stored.find() == FEW
    elif stored.shared:
        assert stored.find() == []
    else:
        with pytest.raises(ValueError, match="not enough values"):
            stored.find()


@pytest.mark.slow
def test_a_result_goes_on_while_the_organization_is_renamed(store, renaming):
    store.insert_many({"_id": n} for n in range(2000))
    stop = renaming()
    assert ids(store.find(batch_size=10)) == list(range(2000))
    assert store.count_documents({}) == 2000
    stop()


@pytest.mark.slow
def test_inserting_many_goes_on_through_renames(store, stored, renaming):
    stop = renaming()
    inserted = store.insert_many({"_id": n, "x": "x" * 200} for n in range(10_000))
    stop()
    assert inserted.inserted_ids == [*range(10_000)]
    assert ids(stored.find()) == list(range(10_000))


@own_collection
def test_an_insert_that_a_rename_stopped_in_the_middle_goes_on_there(
    store, raw, stored, bare, fake, acme
):
    """The server itself says at which document it stopped."""
    before = bare.admin.command(
        {"configureFailPoint": "hangDuringBatchInsert", "mode": {"skip": 1}, "data": {}}
    )["count"]
    try:
        inserting = threading.Thread(
            target=lambda: store.insert_many({"_id": n, "x": "x" * 4000} for n in range(500))
        )
        inserting.start()
        bare.admin.command(
            {
                "waitForFailPoint": "hangDuringBatchInsert",
                "timesEntered": before + 1,
                "maxTimeMS": 10_000,
            }
        )
        some = raw.org_acme.count_documents({})
        fake.rename(acme, "other")
    finally:
        bare.admin.command({"configureFailPoint": "hangDuringBatchInsert", "mode": "off"})
    inserting.join()
    assert 0 < some < 500
    assert ids(stored.find()) == list(range(500))


@pytest.mark.slow
def test_counting_up_many_counts_each_once_through_renames(store, stored, renaming):
    store.insert_many({"_id": n, "n": 0} for n in range(3000))
    stop = renaming()
    for _ in range(2):
        assert told(store.update_many({}, {"$inc": {"n": 1}})) == (3000, 3000)
    assert store.delete_many({"_id": {"$lt": 2000}}).deleted_count == 2000
    stop()
    assert stored.find() == [{"_id": n, "n": 2} for n in range(2000, 3000)]


def test_two_organizations_never_see_each_other(store, tenants, fake, acme):
    other = tenants.by_id(fake.create("other"))
    store.insert_one({"_id": "mine"})
    other.insert_one({"_id": "theirs"})
    fake.rename(acme, "third")
    fake.rename(other.id, "acme")
    fake.rename(acme, "other")
    assert ids(other.find()) == ["theirs"]
    assert ids(store.find()) == ["mine"]
