"""Pages of documents, in the order of whatever ids there are."""

import bson
import pytest

from portal.tenants.moving.errors import ClusterTimeUnknown, PlaceGone
from portal.tenants.moving.places import read_ids, read_page, read_page_ids, time_in, time_of
from portal.tenants.moving.writing import Target
from tests.tenants.moving.contents import an_id, documents, encoded, of_size

STRATEGIES = ["collection", "database", "shared"]
RENAMED = {"collection": "org_b", "database": "portal_moved_documents_1", "shared": "shared_1_2"}


def fill(place, stored):
    """Put these documents there as any client might."""
    target = Target(place, place.organization, 1)
    target.take_over()
    assert target.replace((), list(stored))


def pages(place, size, after=None, **options):
    while (page := read_page(place, after, size, **options)).ids:
        yield page
        after = page.ids[-1]


def all_of(place, size=1000, **options):
    return {
        each: document
        for page in pages(place, size, **options)
        for each, document in zip(page.ids, page.documents, strict=True)
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pages_have_every_document_once_byte_for_byte_in_the_order_of_ids(a_place, strategy):
    place, given = a_place(strategy), documents()
    fill(place, given.values())
    sorted_ = place.read("find", {"sort": {"_id": 1}, "filter": {}, "batchSize": 1000})
    order = [place.given(bytes(each.raw)) for each in sorted_["cursor"]["firstBatch"]]
    order = [each for each in order if each in given.values()]  # not the neighbour's
    for size in (1, 2, 7, 1000):
        read = all_of(place, size)
        assert read == given
        assert list(read.values()) == order
    assert read_page_ids(place, None, 1000) == list(read)
    assert read_ids(place, [*given, an_id("missing")]) == given


@pytest.mark.parametrize("strategy", ["collection", "shared"])
def test_a_page_may_end_in_front_of_any_id(a_place, strategy):
    place, given = a_place(strategy), documents()
    fill(place, given.values())
    order = list(all_of(place))
    for position in (0, 1, 5, 20, len(order) - 1):
        bound = order[position]
        assert list(all_of(place, 3, before=bound)) == order[:position]
        assert read_page_ids(place, bound, 2) == order[position + 1 : position + 3]


def test_a_collation_of_its_own_orders_pages(a_place):
    place = a_place("collection", collation={"locale": "de", "strength": 1})
    fill(place, [encoded({"_id": each}) for each in ("ä", "B", "z", "Ö", "c", "ab", 1, True)])
    order = [bson.decode(each)[""] for each in all_of(place, 2)]
    assert order == [1, "ä", "ab", "B", "c", "Ö", "z", True]
    assert list(read_ids(place, [an_id("Z"), an_id("A")])) == [an_id("ä"), an_id("z")]


def test_an_id_finds_what_is_equal_to_it(a_place):
    place = a_place("collection")
    fill(place, [encoded({"_id": 1.0})])
    assert list(read_ids(place, [an_id(1), an_id(True)])) == [an_id(1.0)]


def test_documents_larger_than_one_reply_are_read(a_place):
    place, size = a_place("collection"), 6 * 1024 * 1024
    given = {an_id(n): of_size(n, size) for n in range(5)}
    for each in given.values():
        fill(place, [each])
    assert [len(page.ids) for page in pages(place, 1000)] == [2, 2, 1]
    assert read_ids(place, given) == given


def test_what_is_read_is_as_it_was_at_a_time(a_place):
    place = a_place("shared")
    fill(place, [encoded({"_id": 1})])
    at = time_of(place)
    fill(place, [encoded({"_id": 2})])
    assert list(all_of(place, at=at)) == [an_id(1)]
    assert list(all_of(place, since=time_of(place))) == [an_id(1), an_id(2)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_place_is_found_under_another_name_and_not_when_it_is_gone(a_place, strategy):
    place = a_place(strategy)
    fill(place, [encoded({"_id": 1})])
    place.database[place.name].rename(RENAMED[strategy])
    place.database[place.name].insert_one({"_id": "a stranger's"})
    assert list(all_of(place)) == [an_id(1)]
    assert place.name == RENAMED[strategy]
    place.database[place.name].drop()
    with pytest.raises(PlaceGone):
        read_page(place, None, 10)


def test_a_reply_without_a_cluster_time_is_told_as_such(a_place):
    with pytest.raises(ClusterTimeUnknown, match="was just started"):
        time_in({"ok": 1.0}, a_place("collection"))
