"""The order of ids that a copy knows without asking, beside the server's own."""

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Timestamp

from portal.tenants.elements import framed_id
from portal.tenants.moving.order import is_behind
from portal.tenants.moving.places import read_page_ids
from tests.tenants.moving.contents import IDS, an_id
from tests.tenants.moving.test_places import fill

CHOOSE = random.Random(7)
NUMBERS = [0, -1, 2**31 - 1, Int64(2**53), Int64(2**53 + 1), 2.0**54, 0.1, -1e300, float("inf")]
TELLABLE = {
    "numbers": [*NUMBERS, *(CHOOSE.choice([-1, 1]) * CHOOSE.random() * 10**n for n in range(9))],
    "strings": ["a", "A", "aa", "a\0", "Ä", "z", "\U0001f600", "\uffff", "10", "9"],
    "binaries": [
        Binary(CHOOSE.randbytes(size), kind) for size in (0, 1, 16, 17) for kind in (0, 3, 4, 128)
    ],
    "ObjectIds": [ObjectId() for _ in range(10)],
    "dates": [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days) for days in (-900, -1, 0, 7)],
    "timestamps": [Timestamp(time, n) for time in (0, 1, 2**32 - 1) for n in (1, 2**31)],
    "booleans": [True, False],
}


def in_order(place, ids):
    """These ids as the server has them in order."""
    fill(place, map(framed_id, ids))
    return read_page_ids(place, None, len(ids) + 1)


@pytest.mark.parametrize("strategy", ["collection", "shared"])
def test_of_any_two_ids_it_is_told_truly_or_not_at_all(a_place, strategy):
    ordered = in_order(a_place(strategy), IDS)
    for first, second in itertools.combinations(ordered, 2):
        assert is_behind(second, first, collated=False) in (True, None)
        assert is_behind(first, second, collated=False) in (False, None)


@pytest.mark.parametrize("values", TELLABLE.values(), ids=TELLABLE)
def test_of_simple_types_it_is_always_told(a_place, values):
    ordered = in_order(a_place("collection"), {an_id(each) for each in values})
    for first, second in itertools.combinations(ordered, 2):
        assert is_behind(second, first, collated=False) is True
        assert is_behind(first, second, collated=False) is False
    assert not any(is_behind(each, each, collated=False) for each in ordered)


def test_what_is_equal_is_not_behind():
    assert is_behind(an_id(1), an_id(1.0), collated=False) is False
    assert is_behind(an_id(1.0), an_id(Int64(1)), collated=False) is False


def test_a_collation_orders_strings_and_nothing_else(a_place):
    strings = list(map(an_id, ["a", "A", "ä", "z", "10", "9"]))
    others = [an_id(1), an_id(ObjectId())]
    ordered = in_order(a_place("collection", collation={"locale": "de"}), [*strings, *others])
    for first, second in itertools.combinations(ordered, 2):
        both = first in strings and second in strings
        assert is_behind(second, first, collated=True) is (None if both else True)


def test_what_the_server_compares_in_its_own_way_is_not_told():
    for one, other in [
        (Decimal128("1.5"), 1),
        (float("nan"), 1),
        ({"a": 1}, {"a": 2}),
        (Binary(b"x", 2), Binary(b"yy", 2)),
    ]:
        assert is_behind(an_id(one), an_id(other), collated=False) is None
