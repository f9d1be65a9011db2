"""Dates as they are typed: each has a text that is read as the same instant."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.clock import NotOneMoment
from portal.data.editing.dates import local_text, offset_words, parse_date, utc_text

BERLIN = ZoneInfo("Europe/Berlin")
EDGES = (-(2**63), 2**63 - 1, 0, -1, -62_135_596_800_000, -62_135_596_800_001, 253_402_300_800_000)


@settings(max_examples=200, deadline=None, database=None)
@given(st.one_of(st.sampled_from(EDGES), st.integers(-(2**63), 2**63 - 1)))
def test_every_date_is_read_as_it_is_written(milliseconds):
    assert parse_date(utc_text(milliseconds), BERLIN) == milliseconds


def test_what_is_typed_is_in_the_zone_unless_it_says_its_own():
    assert parse_date("2025-06-01T08:00", BERLIN) == parse_date("2025-06-01T06:00Z", BERLIN)
    assert parse_date("2025-06-01 08:00:30.5+02:00", UTC) == parse_date(
        "2025-06-01T06:00:30.500Z", UTC
    )
    assert parse_date("2025-06-01", UTC) == datetime(2025, 6, 1, tzinfo=UTC).timestamp() * 1000


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-29T00:00",
        "2025-13-01T00:00",
        "2025-06-01T24:00",
        "yesterday",
        "",
        "2025",
        "٢٠٢٥-٠٦-٠١",
    ],
)
def test_what_is_no_date_is_not_guessed(text):
    assert parse_date(text, UTC) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-03-29T02:30", "Europe/Berlin has no such time: its clocks were put forward"),
        ("2026-10-25T02:45", "Europe/Berlin has this time twice: its clocks were put back"),
    ],
    ids=["skipped", "twice"],
)
def test_an_hour_that_a_zone_skips_or_has_twice_is_not_guessed(text, words):
    with pytest.raises(NotOneMoment, match=words):
        parse_date(text, BERLIN)
    assert parse_date(text, UTC) == parse_date(f"{text}Z", BERLIN)
    assert parse_date(f"{text}+02:00", BERLIN) == parse_date(f"{text}Z", UTC) - 7_200_000


def test_the_offset_is_that_of_the_day():
    summer, winter = (parse_date(f"2026-{month}-01T00:00Z", UTC) for month in ("07", "01"))
    assert (offset_words(summer, BERLIN), offset_words(winter, BERLIN)) == ("+02:00", "+01:00")
    assert local_text(summer, BERLIN) == "2026-07-01T02:00:00.000"
