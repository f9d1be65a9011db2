"""A target is compared with its source, byte for byte, while both change."""

import threading
import time

import bson
import pytest
from bson import Int64, ObjectId
from bson.raw_bson import RawBSONDocument

from portal.tenants.moving import verifying
from portal.tenants.moving.applying import apply_dirty
from portal.tenants.moving.errors import VerificationFailed
from portal.tenants.moving.following import Follower
from portal.tenants.moving.verifying import digest_of, verify, verify_ids
from portal.tenants.moving.writing import Target
from portal.tenants.placements import COLLECTION, DATABASE, SHARED
from tests.tenants.moving.contents import an_id, documents, of_size

PAIRS = [
    *((COLLECTION, each) for each in (COLLECTION, DATABASE, SHARED)),
    *((SHARED, each) for each in (COLLECTION, DATABASE, SHARED)),
    *((DATABASE, each) for each in (COLLECTION, SHARED)),
]


class Sides:
    """A source with its copy, and what a mover has in hand."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.writing = Target(target, ObjectId(), 1)
        self.writing.take_over()
        self.follower = Follower(source)

    def apply(self):
        apply_dirty(self.source, self.writing, self.follower)

    def verify(self, **options):
        return verify(self.source, self.target, self.follower, self.apply, **options)

    def verify_ids(self, ids, **options):
        return verify_ids(self.source, self.target, self.follower, self.apply, ids, **options)


@pytest.fixture
def sides(a_place, admin):
    """Makes a source and a target with the same documents."""
    made = []

    def make(source, target, contents):
        both = Sides(a_place(source), a_place(target))
        for place in (both.source, both.target):
            put(admin, place, *contents)
        both.follower.close()
        both.follower = Follower(both.source)
        made.append(both)
        return both

    yield make
    for both in made:
        both.follower.close()


def put(admin, place, *contents):
    """Insert documents at a place as another client does."""
    stored = [RawBSONDocument(place.stored(each)) for each in contents]
    if stored:
        collection = admin[place.database.name][place.name]
        collection.with_options(collection.codec_options).insert_many(stored)


def change(admin, place, document_id, *, to=None):
    """Delete a document at a place, or put another one there."""
    collection = admin[place.database.name][place.name]
    one = RawBSONDocument(place.key(document_id))
    collection.delete_one(one)
    if to is not None:
        put(admin, place, to)


def some(number):
    return [bson.encode({"_id": n, "n": n, "text": "x" * 20}) for n in range(number)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_equal_places_are_the_same_and_planted_differences_are_found(sides, admin, source, target):
    both = sides(source, target, some(2500))
    clean = both.verify()
    assert (clean.documents, clean.differences, clean.complete) == (2500, 0, True)
    assert clean.ranges == 4  # the first is small: it tells how large documents are
    assert clean.digest == digest_of(both.source) == digest_of(both.target)
    change(admin, both.target, an_id(3), to=bson.encode({"_id": 3, "n": 4, "text": "x" * 20}))
    change(admin, both.target, an_id(1000))
    change(admin, both.target, an_id(2), to=bson.encode({"_id": 2, "text": "x" * 20, "n": 2}))
    put(admin, both.target, bson.encode({"_id": 2.5}), bson.encode({"_id": "last"}))
    put(admin, both.target, bson.encode({"_id": -1}))
    seen = both.verify()
    assert (seen.differences, seen.repaired, seen.complete) == (6, 6, True)
    assert {bson.decode(each)[""] for each in seen.ids} == {3, 1000, 2, 2.5, "last", -1}
    assert '"last"' in seen.shown_ids
    assert digest_of(both.target) == clean.digest
    assert both.verify().differences == 0


def test_documents_of_all_types_and_ids_are_compared(sides, admin):
    contents = documents()
    for target in (COLLECTION, SHARED):
        both = sides(COLLECTION, target, [])
        for place in (both.source, both.target):
            writing = Target(place, ObjectId(), 1)
            writing.take_over()
            assert writing.replace((), list(contents.values()))
        found = both.verify()
        assert (found.documents, found.differences) == (len(contents), 0)


def test_a_number_of_another_type_is_a_difference(sides, admin):
    both = sides(COLLECTION, COLLECTION, [bson.encode({"_id": 1, "n": 1})])
    change(admin, both.target, an_id(1), to=bson.encode({"_id": 1, "n": Int64(1)}))
    assert both.verify().differences == 1
    change(admin, both.target, an_id(1), to=bson.encode({"_id": 1.0, "n": 1}))
    found = both.verify()
    assert found.differences == found.repaired == 2
    assert digest_of(both.source) == digest_of(both.target)


def test_ids_in_the_order_of_a_collation_are_compared_in_that(a_place, admin, monkeypatch):
    monkeypatch.setattr(verifying, "RANGE_DOCUMENTS", 2)
    collation = {"locale": "de", "strength": 2}
    both = Sides(*(a_place(COLLECTION, collation=collation) for _ in range(2)))
    ids = ["B", "a", "ä", "C", "z", "Öl", "p", "~", "1", 1, None]
    for place in (both.source, both.target):
        put(admin, place, *(bson.encode({"_id": each}) for each in ids))
    assert (both.verify().documents, both.verify().differences) == (len(ids), 0)
    # The same to the index, and not to those who read it.
    change(admin, both.target, an_id("a"), to=bson.encode({"_id": "A"}))
    change(admin, both.target, an_id("p"))
    found = both.verify()
    both.follower.close()
    assert {bson.decode(each)[""] for each in found.ids} == {"a", "A", "p"}
    assert digest_of(both.source) == digest_of(both.target)


def test_an_organization_without_documents_is_verified_too(sides, admin):
    both = sides(SHARED, COLLECTION, [])
    found = both.verify()
    assert (found.documents, found.ranges, found.complete) == (0, 1, True)
    put(admin, both.target, bson.encode({"_id": "stray"}))
    assert both.verify().repaired == 1
    assert both.verify().differences == 0


def test_large_documents_are_compared_one_by_one(sides, admin):
    large = [of_size(n, 9 * 1024 * 1024) for n in range(3)]
    both = sides(COLLECTION, COLLECTION, [*large, *some(10)[3:]])
    change(admin, both.target, an_id(1), to=of_size(1, 9 * 1024 * 1024 - 1))
    found = both.verify()
    assert (found.documents, found.differences, found.repaired) == (10, 1, 1)


def test_it_compares_no_more_documents_a_second_than_it_may(sides):
    both, begun = sides(COLLECTION, DATABASE, some(100)), time.monotonic()
    seen = both.verify(throttle=lambda: 200)
    assert time.monotonic() - begun > 0.4
    assert (seen.documents, seen.differences, seen.complete) == (100, 0, True)
    assert seen.ranges == 3  # no range is more than a quarter of a second's


def test_what_is_written_meanwhile_is_no_difference(sides, admin, monkeypatch):
    """Not before it was applied, and not after."""
    monkeypatch.setattr(verifying, "RANGE_DOCUMENTS", 100)
    both = sides(COLLECTION, SHARED, some(3000))
    collection = admin[both.source.database.name][both.source.name]
    ended, written = threading.Event(), set()

    def write():
        n = 0
        while not ended.is_set():
            n += 1
            collection.update_one({"_id": n * 7 % 3000}, {"$inc": {"changed": 1}})
            collection.update_one({"_id": "hot"}, {"$inc": {"changed": 1}}, upsert=True)
            collection.delete_one({"_id": n * 13 % 3000})
            collection.insert_one({"_id": 5000 + n})
            written.update((n * 7 % 3000, n * 13 % 3000, 5000 + n, "hot"))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        found = [both.verify() for _ in range(4)]
    finally:
        ended.set()
        writing.join()
    assert [each.differences for each in found] == [0] * 4
    rest = both.verify()
    assert (rest.differences, rest.unsettled) == (0, set())
    assert digest_of(both.source) == digest_of(both.target)


def test_what_was_written_all_the_time_is_compared_once_nobody_writes(sides, admin):
    both = sides(COLLECTION, COLLECTION, some(10))
    collection = admin[both.source.database.name][both.source.name]

    def write_and_apply():
        both.apply()
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}})

    checked = verify_ids(
        both.source, both.target, both.follower, write_and_apply, [an_id(n) for n in range(3)]
    )
    assert (checked.differences, checked.unsettled) == (0, {an_id(1)})
    both.follower.reach(verifying.time_of(both.source), 5)
    both.apply()
    change(admin, both.target, an_id(1))
    last = both.verify_ids(checked.unsettled, fenced=True)
    assert (last.differences, last.repaired, last.unsettled) == (1, 1, set())


def test_a_move_whose_documents_can_not_be_made_equal_is_not_verified(sides, admin):
    both = sides(COLLECTION, COLLECTION, some(10))

    def spoil():
        both.apply()
        change(admin, both.target, an_id(4))

    spoil()
    with pytest.raises(VerificationFailed) as told:
        verify(both.source, both.target, both.follower, spoil)
    assert told.value.ids == ["4"]
    assert "such as 4" in str(told.value)


def test_many_differences_are_counted_and_the_first_are_named(sides, admin):
    both = sides(COLLECTION, COLLECTION, some(1500))
    admin[both.target.database.name][both.target.name].delete_many({})
    found = both.verify()
    assert (found.differences, found.repaired, len(found.ids)) == (1500, 1500, 100)


def test_it_may_be_stopped_and_goes_through_renames(sides, admin, monkeypatch):
    monkeypatch.setattr(verifying, "RANGE_DOCUMENTS", 10)
    monkeypatch.setattr(verifying, "GROUP_RANGES", 3)
    both = sides(COLLECTION, COLLECTION, some(200))
    stopped = both.verify(on_progress=lambda found: False)
    assert (stopped.complete, stopped.documents) == (False, 30)
    tenants = admin[both.source.database.name]

    def rename(found):
        for place, name in (
            (both.source, f"org_{found.documents}"),
            (both.target, f"move_{found.documents}"),
        ):
            tenants[place.name].rename(name)
        return True

    found = both.verify(on_progress=rename)
    assert (found.complete, found.documents, found.differences) == (True, 200, 0)


@pytest.mark.parametrize("code", [239, 246, 175], ids=["too old", "unavailable", "killed"])
def test_a_range_whose_time_is_gone_is_read_again(sides, failing, code):
    both = sides(COLLECTION, COLLECTION, some(100))
    failing("find", {"times": 3}, errorCode=code)
    found = both.verify()
    assert (found.complete, found.documents, found.differences) == (True, 100, 0)
