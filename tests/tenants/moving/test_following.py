"""What a follower sees of writes, renames and other changes."""

from itertools import pairwise

import pytest
from bson import Timestamp
from pymongo.errors import AutoReconnect

from portal.tenants.moving import following
from portal.tenants.moving.errors import IdTooLarge, NotReached, SourceGone, StreamLost
from portal.tenants.moving.following import Follower
from portal.tenants.moving.places import time_of
from tests.tenants.moving.conftest import NEIGHBOUR
from tests.tenants.moving.contents import IDS, an_id, framed_id
from tests.tenants.moving.test_places import fill

STRATEGIES = ["collection", "database", "shared"]
FENCED = {
    "collection": ("moving_1", "org_a", "moving_2"),
    "database": (
        "portal_moved_documents_1",
        "portal_tenant_documents",
        "portal_moved_documents_2",
    ),
    "shared": ("shared_1_2", "shared_1_3", "shared_1_4"),
}


@pytest.fixture
def follower_of():
    """A follower, closed at the end."""
    opened = []

    def follow(place, token=None):
        opened.append(Follower(place, token))
        return opened[-1]

    yield follow
    for each in opened:
        each.close()


def stored(place, document_id):
    return {"o": place.organization, "i": document_id} if place.shared else document_id


def write(place, document_id, name=None):
    """As a writer does that knows the collection's name."""
    place.database[name or place.name].replace_one(
        {"_id": stored(place, document_id)}, {}, upsert=True
    )


def ids(*values):
    return set(map(an_id, values))


def caught_up(follower, place):
    """The dirty ids once the stream has come to the present time."""
    follower.reach(time_of(place), 5)
    return set(follower.dirty)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_kind_of_write_makes_its_id_dirty_and_no_neighbours(
    a_place, follower_of, admin, strategy
):
    place = a_place(strategy)
    collection = place.database[place.name]
    for each in (1, 2, 3, "before"):
        write(place, each)
    follower = follower_of(place)
    collection.update_one({"_id": stored(place, 1)}, {"$inc": {"n": 1}})
    collection.replace_one({"_id": stored(place, 2)}, {"r": 1})
    collection.delete_one({"_id": stored(place, 3)})
    collection.insert_one({"_id": stored(place, 4)})
    with place.database.client.start_session() as session, session.start_transaction():
        for each in (5, 6):
            collection.insert_one({"_id": stored(place, each)}, session=session)
    admin[place.database.name].strangers.insert_one({"_id": 7})
    if place.shared:
        collection.update_one({"_id.o": NEIGHBOUR}, {"$inc": {"n": 1}})
    expected = ids(1, 2, 3, 4, 5, 6)
    assert caught_up(follower, place) - ids("before") == expected
    assert not follower.structure_changed
    assert follower.last_event_at


@pytest.mark.parametrize("strategy", ["collection", "shared"])
def test_ids_of_all_types_are_told_as_they_are_stored(a_place, follower_of, strategy):
    place = a_place(strategy)
    follower = follower_of(place)
    fill(place, [framed_id(each) for each in IDS])
    assert caught_up(follower, place) == set(IDS)


def test_a_document_of_16_mb_is_followed(a_place, follower_of):
    place, rest = a_place("collection"), "x" * (16 * 1024 * 1024 - 40)
    collection = place.database[place.name]
    write(place, 1)
    follower = follower_of(place)
    collection.replace_one({"_id": 1}, {"a": rest})
    collection.update_one({"_id": 1}, {"$unset": {"a": 1}, "$set": {"b": rest}})
    assert caught_up(follower, place) == ids(1)


@pytest.mark.parametrize("strategy", ["collection", "shared"])
def test_an_id_of_some_mb_is_followed_and_a_larger_one_told_as_such(a_place, follower_of, strategy):
    place = a_place(strategy)
    follower = follower_of(place)
    large = "x" * (following.MOST_ID_BYTES - 100)
    write(place, large)
    assert caught_up(follower, place) == ids(large)
    # From 3.2 MB on the server would close the connection, from 5 MB on answer 10334.
    write(place, "x" * 4 * 1024 * 1024)
    with pytest.raises(IdTooLarge):
        follower.reach(time_of(place), 5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_token_to_store_covers_nothing_that_is_dirty(a_place, follower_of, strategy):
    place = a_place(strategy)
    follower = follower_of(place)
    begun = follower.token
    write(place, 1)
    assert caught_up(follower, place) == ids(1)
    assert follower.token == begun
    follower.clean(ids(1), follower.position)
    write(place, 2)
    # What a process finds that takes over now.
    assert caught_up(follower_of(place, follower.token), place) == ids(2)
    assert ids(1, 2) <= caught_up(follower_of(place, begun), place)


def test_the_token_goes_on_where_nothing_is_written(a_place, follower_of):
    place = a_place("collection")
    follower = follower_of(place)
    begun = follower.position
    place.internal.elsewhere.insert_one({})
    follower.reach(time_of(place), 5)
    assert follower.position > begun
    assert follower.token["_data"] > ""
    assert follower_of(place, follower.token).position == follower.position


def test_what_changed_after_it_was_read_stays_dirty(a_place, follower_of):
    place = a_place("collection")
    follower = follower_of(place)
    write(place, 1)
    caught_up(follower, place)
    read_at = follower.position
    write(place, 1)
    caught_up(follower, place)
    follower.clean(ids(1), read_at)
    assert set(follower.dirty) == ids(1)


def test_ids_that_a_copy_reads_later_stay_clean(a_place, follower_of):
    place = a_place("collection")
    follower = follower_of(place)
    for each in (1, 2, 3):
        write(place, each)
    while follower.position < time_of(place):
        follower.pump(skips=lambda changed: changed == an_id(2))
    assert set(follower.dirty) == ids(1, 3)


def test_only_as_many_ids_are_kept_as_memory_has_room_for(a_place, follower_of, monkeypatch):
    monkeypatch.setattr(following, "MAX_DIRTY", 3)
    place = a_place("collection")
    follower = follower_of(place)
    for each in range(5):
        write(place, each)
    assert follower.pump(1) is False
    assert len(follower.dirty) == 3
    follower.clean(list(follower.dirty), follower.position)
    assert follower.pump(1) is True
    assert set(follower.dirty) == ids(3, 4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_writes_before_a_fence_are_seen_however_often_it_was_tried(a_place, follower_of, strategy):
    place = a_place(strategy)
    first, back, again = FENCED[strategy]
    follower = follower_of(place)
    written = []
    for number, (name, following_name) in enumerate(pairwise([place.name, first, back, again])):
        write(place, number, name)
        written.append(number)
        place.database[name].rename(following_name)
    follower.wait_for_name(again, 5)
    assert set(follower.dirty) == ids(*written)
    assert follower.renamed_to == again
    # So does a process that took over after the marker was seen and its token stored.
    follower.clean(ids(*written), follower.position)
    taken_over = follower_of(place, follower.token)
    taken_over.wait_for_name(again, 5)
    assert not taken_over.dirty
    with pytest.raises(NotReached):
        taken_over.wait_for_name("shared_1_9", 0.05)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_process_may_take_over_after_each_change_and_rename(a_place, strategy):
    place = a_place(strategy)
    names = [place.name, *FENCED[strategy], *FENCED[strategy][1:]]
    if place.shared:
        names[-2:] = "shared_1_5", "shared_1_6"
    with Follower(place) as follower:
        token = follower.token
    for number, (name, following_name) in enumerate(pairwise(names)):
        write(place, number, name)
        place.database[name].rename(following_name)
    seen, until = [], time_of(place)
    while follower.position < until:
        with Follower(place, token) as follower:
            follower._take()
            seen += follower.dirty
            follower.clean(list(follower.dirty), follower.position)
            token = follower.token
    assert seen == [an_id(number) for number in range(5)]
    assert token["collection"] == names[-1]


def test_changes_of_indexes_and_options_are_told(a_place, follower_of):
    place = a_place("collection")
    for change in (
        lambda: place.database[place.name].create_index("a"),
        lambda: place.database.command("collMod", place.name, validator={}),
        lambda: place.database[place.name].drop_index("a_1"),
    ):
        follower = follower_of(place)
        change()
        caught_up(follower, place)
        assert follower.structure_changed


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_source_that_was_dropped_is_told(a_place, follower_of, strategy):
    place = a_place(strategy)
    follower = follower_of(place)
    place.database[place.name].drop()
    with pytest.raises(SourceGone):
        follower.reach(Timestamp(2**32 - 1, 1), 5)
    with pytest.raises(SourceGone):
        follower_of(place, follower.token).pump()


def test_a_source_that_another_collection_was_renamed_over_is_told(a_place, follower_of, tenant_db):
    place = a_place("collection")
    follower = follower_of(place)
    tenant_db.other.insert_one({})
    tenant_db.other.rename(place.name, dropTarget=True)
    with pytest.raises(SourceGone):
        follower.pump()


@pytest.mark.parametrize("code", [286, 136, 280])
def test_a_stream_whose_past_is_gone_is_lost(a_place, follower_of, failing, code):
    place = a_place("collection")
    follower = follower_of(place)
    failing("getMore", {"times": 1}, errorCode=code)
    with pytest.raises(StreamLost):
        follower.pump()


def test_a_follower_goes_on_after_its_connection_broke(a_place, follower_of, failing):
    place = a_place("collection")
    follower = follower_of(place)
    write(place, 1)
    failing("getMore", {"times": 2}, closeConnection=True)
    failed = 0
    while not follower.dirty and failed < 2:
        try:
            follower.pump(1)
        except AutoReconnect:
            failed += 1
    assert set(follower.dirty) == ids(1)
