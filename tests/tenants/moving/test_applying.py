"""What is dirty is made the same again, whatever happened to it."""

import random
from threading import Event, Thread

import pytest
from bson import ObjectId
from pymongo import UpdateOne

from portal.tenants.moving.applying import apply_dirty
from portal.tenants.moving.errors import Overtaken, TargetDiffers
from portal.tenants.moving.following import Follower
from portal.tenants.moving.places import time_of
from portal.tenants.moving.writing import Target
from tests.tenants.moving.contents import an_id, documents, encoded
from tests.tenants.moving.test_places import all_of, fill

PAIRS = [
    ("collection", "collection"), ("collection", "shared"), ("shared", "collection"),
    ("shared", "shared"), ("database", "collection"), ("collection", "database"),
]  # fmt: skip


class Following:
    """A source, a target, and what brings one to the other."""

    def __init__(self, source, target):
        self.source, self.place = source, target
        self.follower = Follower(source)
        self.target = Target(target, ObjectId(), 1)
        self.target.take_over()

    @property
    def collection(self):
        return self.source.database[self.source.name]

    def catch_up(self):
        self.follower.reach(time_of(self.source), 10)
        return apply_dirty(self.source, self.target, self.follower)


@pytest.fixture
def following(a_place):
    """Follows from a place of one strategy to one of another."""
    opened = []

    def follow(source="collection", target="collection", **options):
        opened.append(Following(a_place(source, **options), a_place(target, **options)))
        return opened[-1]

    yield follow
    for each in opened:
        each.follower.close()


def same(pair):
    return all_of(pair.source) == all_of(pair.place)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_documents_of_all_kinds_are_the_same_byte_for_byte(following, source, target):
    pair, given = following(source, target), documents()
    fill(pair.source, given.values())
    assert pair.catch_up() >= len(given)
    assert all_of(pair.place) == given
    assert not pair.follower.dirty
    Target(pair.source, pair.source.organization, 1).delete(list(given)[::2])
    pair.catch_up()
    assert all_of(pair.place) == dict(list(given.items())[1::2])


def test_what_is_applied_twice_or_in_another_order_is_the_same(following):
    pair = following()
    pair.collection.insert_many({"_id": number} for number in range(1200))
    pair.collection.delete_many({"_id": {"$lt": 100}})
    pair.catch_up()
    pair.follower.mark(map(an_id, reversed(range(1200))))
    apply_dirty(pair.source, pair.target, pair.follower)
    assert same(pair)


def test_an_update_that_events_tell_ambiguously_is_applied_as_it_came_out(following):
    pair = following()
    pair.collection.insert_one({"_id": 1, "meta": {"10": {"a": 1}}, "arr": [{"10": 1}, {}, {}, 4]})
    pair.catch_up()
    change = [
        {"$set": {"arr": {"$slice": ["$arr", 2]}}},
        {"$set": {"arr.0.10": 99, "meta.10": {"b": 1}}},
    ]
    pair.collection.update_one({"_id": 1}, change)
    pair.catch_up()
    assert same(pair)


def test_an_id_that_is_equal_to_another_takes_its_place(following):
    pair = following()
    pair.collection.insert_one({"_id": 1, "n": 1})
    pair.catch_up()
    pair.collection.delete_one({"_id": 1})
    pair.collection.insert_one({"_id": 1.0, "n": 2})
    pair.catch_up()
    assert all_of(pair.place) == {an_id(1.0): encoded({"_id": 1.0, "n": 2})}


def test_an_id_that_a_collation_holds_equal_takes_its_place(following):
    pair = following(collation={"locale": "en", "strength": 2})
    pair.collection.insert_one({"_id": "a"})
    pair.catch_up()
    pair.collection.delete_one({"_id": "a"})
    pair.collection.insert_one({"_id": "A"})
    pair.catch_up()
    assert list(all_of(pair.place)) == [an_id("A")]


def with_unique_keys(pair, number):
    for each in (pair.source, pair.place):
        each.database[each.name].create_index("key", unique=True, sparse=True)
    pair.collection.insert_many({"_id": each, "key": each} for each in range(number))
    pair.catch_up()


def test_unique_keys_that_change_hands_end_up_where_they_are_in_the_source(following):
    pair = following()
    with_unique_keys(pair, 1200)
    # Each takes the key of the next one; of more than a batch, in the order that is worst.
    pair.collection.update_one({"_id": 1199}, {"$unset": {"key": 1}})
    pair.collection.bulk_write(
        [
            UpdateOne({"_id": number}, {"$set": {"key": number + 1}})
            for number in reversed(range(1199))
        ]
    )
    pair.catch_up()
    assert same(pair)


def test_unique_keys_that_change_hands_all_the_time_do_not_stop_it(following):
    pair, stop = following(), Event()
    with_unique_keys(pair, 40)
    collection, choose = pair.collection, random.Random(7)

    def exchange():
        while not stop.is_set():
            with collection.database.client.start_session() as session:
                session.with_transaction(swap)

    def swap(session):
        one, other = choose.sample(range(40), 2)
        keys = [collection.find_one({"_id": each}, session=session)["key"] for each in (one, other)]
        for each, change in (
            (one, {"$unset": {"key": 1}}),
            (other, {"$set": {"key": keys[0]}}),
            (one, {"$set": {"key": keys[1]}}),
        ):
            collection.update_one({"_id": each}, change, session=session)

    writer = Thread(target=exchange)
    writer.start()
    try:
        applied = sum(pair.catch_up() for _ in range(30))
    finally:
        stop.set()
        writer.join()
    pair.catch_up()
    assert applied
    assert same(pair)


def test_a_document_that_the_source_never_had_in_the_way_is_told(following):
    pair = following()
    with_unique_keys(pair, 3)
    fill(pair.place, [encoded({"_id": "planted", "key": 7})])
    pair.collection.insert_one({"_id": 7, "key": 7})
    with pytest.raises(TargetDiffers):
        pair.catch_up()
    assert an_id(7) in pair.follower.dirty
    pair.follower.mark([an_id("planted")])  # as the verification would
    pair.catch_up()
    assert same(pair)


def test_documents_larger_than_a_batch_are_applied(following):
    pair = following("shared", "shared")
    for number in range(4):
        fill(pair.source, [encoded({"_id": number, "pad": "x" * 7_000_000})])
    pair.catch_up()
    assert same(pair)


def test_who_was_overtaken_applies_nothing_and_keeps_its_token(following):
    pair = following()
    begun = pair.follower.token
    pair.collection.insert_one({"_id": 1})
    Target(pair.place, pair.target._move, 2).take_over()
    with pytest.raises(Overtaken):
        pair.catch_up()
    assert not all_of(pair.place)
    assert pair.follower.token == begun
