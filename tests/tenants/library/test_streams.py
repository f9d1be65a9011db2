"""Changes of documents, followed through renames."""

import gc

import pymongo
import pytest

from tests.tenants.library.conftest import library
from tests.tenants.library.works import own_collection

errors = library("errors")


def the_next(stream, count):
    return [next(stream)["documentKey"]["_id"] for _ in range(count)]


def test_a_stream_goes_on_through_renames_and_tells_each_change_once(store, fake, acme, quick):
    with store.watch(**quick) as stream:
        store.insert_one({"_id": 1})
        assert the_next(stream, 1) == [1]
        store.insert_one({"_id": 2})
        for n, name in enumerate(("b", "c", "d")):
            fake.rename(acme, name)
            store.insert_one({"_id": 3 + n})
        assert the_next(stream, 4) == [2, 3, 4, 5]
        assert stream.try_next() is None
        assert stream.alive
    assert not stream.alive
    assert list(stream) == []


def test_a_pipeline_sees_no_rename_and_stays_inside(store, fake, acme, quick):
    deleted = [{"$match": {"operationType": "delete"}}]
    with store.watch(deleted, **quick) as stream:
        store.insert_one({"_id": 1})
        fake.rename(acme, "other")
        store.delete_one({"_id": 1})
        assert the_next(stream, 1) == [1]
    with pytest.raises(errors.QueryRefused):
        store.watch([{"$lookup": {}}])
    with pytest.raises(errors.NotOffered):
        store.watch(session=object())


def test_a_change_that_the_server_can_not_tell_ends_the_stream_by_name(store, quick):
    with store.watch(**quick) as stream:
        store.insert_one({"_id": 1})
        assert the_next(stream, 1) == [1]
        store.insert_one({"_id": "x" * (4 * 1024 * 1024)})
        with pytest.raises(errors.ChangeTooLarge):
            next(stream)
        assert not stream.alive
    with store.watch(**quick) as again:
        store.insert_one({"_id": 2})
        assert the_next(again, 1) == [2]


def test_a_neighbours_change_that_the_server_can_not_tell_ends_no_other_stream(
    tenants, store, fake, strategy, quick
):
    neighbour = tenants.by_id(fake.create("globex", strategy))
    with store.watch(**quick) as stream:
        store.insert_one({"_id": 1})
        neighbour.insert_one({"_id": "x" * (4 * 1024 * 1024)})
        store.insert_one({"_id": 2})
        assert the_next(stream, 2) == [1, 2]


@own_collection
def test_a_strangers_changes_under_the_name_are_not_seen(store, fake, acme, raw, quick):
    with store.watch(**quick) as stream:
        fake.rename(acme, "other")
        raw.org_acme.insert_one({"_id": "theirs"})
        store.insert_one({"_id": "mine"})
        assert the_next(stream, 1) == ["mine"]


def test_a_stream_goes_on_after_the_trash_and_where_another_one_ended(store, fake, acme, quick):
    with store.watch(**quick) as stream:
        store.insert_one({"_id": 1})
        assert the_next(stream, 1) == [1]
        fake.restore(fake.trash(acme), "back")
        store.insert_one({"_id": 2})
        assert the_next(stream, 1) == [2]
    store.insert_one({"_id": 3})
    fake.rename(acme, "b")
    fake.rename(acme, "c")
    store.insert_one({"_id": 4})
    with store.watch(start_after=stream.resume_token, **quick) as again:
        assert the_next(again, 2) == [3, 4]
    fake.trash(acme)
    with pytest.raises(errors.Trashed):
        store.watch()


def test_a_purge_is_the_last_change(store, stored, fake, acme, quick):
    store.insert_many([{"_id": 1}, {"_id": 2}])
    with store.watch(**quick) as stream:
        fake.purge(acme)
        if stored.shared:
            assert [next(stream)["operationType"] for _ in range(2)] == ["delete", "delete"]
            return
        assert next(stream)["operationType"] == "drop"
        assert stream.try_next() is None


def test_as_many_streams_as_allowed_disturb_nothing_else(connect, fake, acme, quick):
    """With PyMongo's default pool, which streams and writes share, not one write gets through."""
    tenants = connect(fake.uri, max_streams=20, maxPoolSize=5)
    store = tenants["acme"]
    streams = [store.watch(max_await_time_ms=1000) for _ in range(20)]
    with pytest.raises(errors.TooManyStreams, match="20"):
        store.watch()
    with pymongo.timeout(30):
        for n in range(20):
            store.insert_one({"_id": n})
    assert [the_next(stream, 20) for stream in streams] == [[*range(20)]] * 20
    streams[0].close()
    with store.watch(**quick):
        pass
    for stream in streams:
        stream.close()


def test_a_stream_that_nobody_has_any_more_leaves_its_place(connect, fake, acme, quick):
    store = connect(fake.uri, max_streams=1)["acme"]
    for n in range(3):
        stream = store.watch(**quick)
        store.insert_one({"_id": n})
        for change in stream:
            assert change["documentKey"]["_id"] == n
            break
        del stream
        gc.collect()  # an event loop's tasks may have it for a moment


@pytest.mark.parametrize("strategy", ["collection", "shared"])
def test_many_organizations_are_followed_by_one_stream(tenants, fake, acme, strategy, quick):
    ids = [acme, fake.create("b", strategy), fake.create("unheard", strategy), fake.create("own")]
    stores = [tenants.by_id(each) for each in ids]
    with tenants.watch([*stores[:2], stores[3]], **quick) as stream:
        for n, store in enumerate(stores):
            store.insert_one({"_id": n})
        fake.rename(acme, "renamed")
        stores[0].insert_one({"_id": 9})
        seen = [next(stream) for _ in range(4)]
    assert [(each, change["documentKey"]["_id"]) for each, change in seen] == [
        (acme, 0), (ids[1], 1), (ids[3], 3), (acme, 9)
    ]  # fmt: skip


def test_a_pipeline_shapes_changes_and_keeps_their_kind(store, fake, acme, quick):
    """By which the library tells what happens to the collection."""
    stages = [
        {"$project": {"documentKey": 1}},
        {"$set": {"seen": True}},
        {"$match": {"documentKey._id": {"$gte": 2}}},
        {"$unset": ["operationType"]},
        {"$replaceWith": {"_id": "$_id", "id": "$documentKey._id", "seen": "$seen"}},
        {"$redact": {"$cond": [{"$eq": ["$id", 3]}, "$$PRUNE", "$$KEEP"]}},
        {"$project": {"operationType": 0}},
    ]
    with store.watch(stages, **quick) as stream:
        store.insert_one({"_id": 1})
        fake.rename(acme, "other")
        store.insert_many([{"_id": 2}, {"_id": 3}, {"_id": 4}])
        for n in (2, 4):
            change = next(stream)
            del change["_id"]
            assert change == {"id": n, "seen": True, "operationType": "insert"}
    with pytest.raises(errors.QueryRefused, match="keeps its operationType"):
        store.watch([{"$set": {"operationType": "mine"}}])
