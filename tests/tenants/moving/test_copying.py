"""A copy of all documents, made while they are written."""

import random
import time
from collections import Counter
from threading import Event, Thread

import bson
import pytest
from bson import ObjectId

from portal.tenants.moving import copying
from portal.tenants.moving.copying import copy
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.following import Follower
from portal.tenants.moving.writing import Target
from tests.tenants.moving.contents import an_id, documents, encoded, of_size
from tests.tenants.moving.test_applying import PAIRS, following, same
from tests.tenants.moving.test_places import all_of, fill

__all__ = ["following"]  # a fixture


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(copying, "PAGE_DOCUMENTS", 20)


def copied(pair, after=None, on_progress=lambda _: True, **options):
    target, follower = options.pop("target", pair.target), options.pop("follower", pair.follower)
    return copy(pair.source, target, follower, after=after, on_progress=on_progress, **options)


class Writer:
    """Writes documents of its own, and knows what must be there of all that was acknowledged."""

    def __init__(self, source, number, new_id):
        self.collection, self.source = source.database[source.name], source
        self.choose, self.new_id, self.number = random.Random(number), new_id, number
        self.there, self.done, self.stop = {}, Counter(), Event()
        for _ in range(50):
            self.insert()
        self.thread = Thread(target=self.run)

    def run(self):
        kinds = [self.insert, self.insert, self.increment, self.replace, self.delete]
        while not self.stop.is_set():
            kind = self.choose.choice(kinds)
            kind()
            self.done[kind.__name__] += 1

    def insert(self):
        document = {"_id": self.new_id(), "n": 0, "by": self.number}
        self.collection.insert_one(self.stored(document))
        self.there[an_id(document["_id"])] = document

    def increment(self):
        document = self.some()
        self.collection.update_one({"_id": self.stored(document)["_id"]}, {"$inc": {"n": 1}})
        document["n"] += 1

    def replace(self):
        document = self.some()
        document.update(n=self.choose.random(), r=1)
        self.collection.replace_one({"_id": self.stored(document)["_id"]}, self.stored(document))

    def delete(self):
        document = self.some()
        self.collection.delete_one({"_id": self.stored(document)["_id"]})
        del self.there[an_id(document["_id"])]

    def some(self):
        return self.there[self.choose.choice(list(self.there))]

    def stored(self, document):
        return bson.decode(self.source.stored(encoded(document)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


NEW_IDS = {
    "object ids": ObjectId,
    "strings": lambda: str(ObjectId())[::-1],
    "both": lambda: random.choice([ObjectId(), random.random()]),
}


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [("collection", "collection", "object ids"), ("collection", "shared", "both"),
     ("shared", "database", "strings")],
)  # fmt: skip
def test_a_copy_has_all_that_was_acknowledged_and_nothing_else(
    following, monkeypatch, source, target, kind
):
    monkeypatch.setattr(copying, "PAGE_DOCUMENTS", 40)
    pair, new_id = following(source, target), NEW_IDS[kind]
    neutral = [{"_id": new_id(), "n": n} for n in range(500)]
    fill(pair.source, map(encoded, neutral))
    with Writer(pair.source, 1, new_id) as one, Writer(pair.source, 2, new_id) as other:
        assert copied(pair)
    pair.catch_up()
    expected = {
        an_id(document["_id"]): encoded(document)
        for document in [*neutral, *one.there.values(), *other.there.values()]
    }
    assert all_of(pair.source) == expected
    assert all_of(pair.place) == expected
    assert set(one.done) == {"insert", "increment", "replace", "delete"}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_documents_of_all_kinds_are_copied_byte_for_byte(following, small_pages, source, target):
    pair, given = following(source, target), documents()
    fill(pair.source, given.values())
    seen = []
    pair.follower.pump()
    assert copied(pair, on_progress=lambda told: seen.append(told) or True)
    assert all_of(pair.place) == given
    assert sum(told.documents for told in seen) == len(given)
    assert sum(told.size_bytes for told in seen) == sum(map(len, given.values()))


def test_an_empty_collection_is_copied(following):
    pair, seen = following(), []
    assert copied(pair, on_progress=lambda told: seen.append(told) or True)
    assert [told.documents for told in seen] == [0, 0]


@pytest.mark.parametrize("ids", [range(100), [ObjectId() for _ in range(100)]], ids=["int", "oid"])
def test_what_is_deleted_while_its_page_is_in_hand_does_not_come_back(
    following, small_pages, monkeypatch, ids
):
    pair, write = following(), Target.replace
    pair.collection.insert_many({"_id": each} for each in ids)
    pair.catch_up()
    list(pair.target.clear())

    def meanwhile(self, *batch):
        if pair.collection.count_documents({}) == 100:  # the second page is being read
            pair.collection.delete_many({"_id": {"$in": list(ids)[::3]}})
            pair.collection.update_many({"_id": {"$in": list(ids)[1::3]}}, {"$set": {"n": 1}})
        return write(self, *batch)

    monkeypatch.setattr(Target, "replace", meanwhile)
    assert copied(pair)
    assert same(pair)
    assert len(all_of(pair.place)) == 66


def test_a_copy_goes_on_where_another_process_left_it(following, small_pages):
    pair = following()
    pair.collection.insert_many({"_id": each} for each in range(1000))
    pair.follower.pump()
    stored = []

    def leave(told):
        stored.append(told)
        return told.after is None

    assert copied(pair, on_progress=leave) is False
    # It copied more than it stored, of which some is deleted or changed now.
    page = [encoded({"_id": each}) for each in range(160, 180)]
    assert pair.target.replace((), page)
    pair.collection.delete_many({"_id": {"$in": [10, 170]}})
    pair.collection.update_many({"_id": {"$in": [11, 171]}}, {"$set": {"n": 1}})
    second = Target(pair.place, pair.target._move, 2)
    second.take_over()
    with pytest.raises(Overtaken):
        copied(pair)
    assert stored[0].token["_data"]  # also where nothing was copied, nor written
    last = stored[-1]
    with Follower(pair.source, last.token) as follower:
        assert copied(pair, last.after, target=second, follower=follower)
        assert not follower.dirty
    assert same(pair)
    assert len(all_of(pair.place)) == 998


def test_a_target_with_anything_in_it_is_cleared_first(following):
    pair = following("collection", "shared")
    fill(pair.place, [encoded({"_id": each, "stray": True}) for each in range(700)])
    pair.collection.insert_many({"_id": each} for each in range(5))
    assert copied(pair)
    assert same(pair)


def test_no_more_documents_are_copied_in_a_second_than_it_is_told(following):
    pair, begun = following(), time.monotonic()
    pair.collection.insert_many({"_id": each} for each in range(100))
    pair.follower.pump()
    assert copied(pair, throttle=lambda: 200)
    assert time.monotonic() - begun > 0.4
    assert same(pair)


def test_nothing_is_copied_while_more_is_written_than_can_be_applied(following, monkeypatch):
    pair, seen = following(), []
    pair.collection.insert_many({"_id": each} for each in range(10))
    pump = Follower.pump

    def behind(self, *arguments, **options):
        pump(self, *arguments, **options)
        return len(seen) > 2

    monkeypatch.setattr(Follower, "pump", behind)
    assert copied(pair, on_progress=lambda told: seen.append(told) or True)
    assert [told.caught_up for told in seen[:4]] == [False, False, False, True]
    assert not any(told.documents for told in seen[:4])
    assert same(pair)


def test_large_documents_are_copied_one_after_the_other(following):
    pair = following("collection", "shared")
    for each in range(3):
        pair.collection.insert_one(bson.decode(of_size(each, 16_700_000)))
    assert copied(pair)
    assert same(pair)
