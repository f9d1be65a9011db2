"""Dates as files write them: layouts, in which each date is read exactly or not at all."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal import clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_SHORT_MONTHS = [name[:3] for name in MONTHS]
# Databases write an offset of hours, behind a blank, twice, or before the name of the zone.
_OFFSET = (
    r" ?(?P<offset>Z|UTC|GMT|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
    r"(?: (?P=offset)|(?<=[+-]0000) UTC)?"
)
_TOKENS = {
    "YYYY": r"(?P<year>[0-9]{4})",
    "YY": r"(?P<short>[0-9]{2})",
    "MMMM": rf"(?P<word>(?i:{'|'.join(MONTHS)}))",
    "MMM": r"(?P<word>[A-Za-z]{3})",
    "MM": r"(?P<month>0[1-9]|1[0-2])",
    "M": r"(?P<month>[1-9]|1[0-2])",
    "DD": r"(?P<day>0[1-9]|[12][0-9]|3[01])",
    "D": r"(?P<day>[1-9]|[12][0-9]|3[01])",
    "HH": r"(?P<hour>[01][0-9]|2[0-3])",
    "H": r"(?P<hour>1?[0-9]|2[0-3])",
    "hh": r"(?P<hour>0[1-9]|1[0-2])",
    "h": r"(?P<hour>[1-9]|1[0-2])",
    "mm": r"(?P<minute>[0-5][0-9])",
    "ss": r"(?P<second>[0-5][0-9])",
    "SSS": r"(?P<fraction>[0-9]{3})",
    "A": r"(?P<half>AM|PM|am|pm)",
    "Z": _OFFSET,
}
_TOKEN = re.compile("|".join(sorted(_TOKENS, key=len, reverse=True)) + r"|'[^']*'|.", re.S)
_ISO = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ](?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?::(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    rf"(?:{_OFFSET})?)?"
)


class NoDate(ValueError):
    """A text that isn't a date of the layout; the reason is its words."""


@lru_cache(1024)
def pattern_of(layout: str) -> re.Pattern[str]:
    """The pattern of the texts that a layout writes; of ISO 8601 for an empty one. Raises
    ValueError for a layout that is none."""
    if not layout:
        return _ISO
    parts = []
    for token in _TOKEN.findall(layout):
        quoted = len(token) > 1 and token[0] == "'"
        parts.append(_TOKENS.get(token) or re.escape(token.strip("'") if quoted else token))
    try:
        pattern = re.compile("".join(parts))
    except re.error as error:
        raise ValueError(f"The layout {layout} names a part of a date twice.") from error
    names = set(pattern.groupindex)
    if not ({"year", "short"} & names and {"month", "word"} & names and "day" in names):
        raise ValueError(f"The layout {layout} has no year, month and day.")
    return pattern


@lru_cache(64)
def zone_of(name: str) -> ZoneInfo:
    """The time zone; UTC for none. Raises ValueError for an unknown one."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"There is no time zone {name}.") from error


def milliseconds_reader(layout: str, zone: str) -> Callable[[str], int]:
    """A function from a text to milliseconds since 1970, which raises NoDate.

    A time without offset is one of ``zone``; one that its clocks skip or have twice is refused.
    """
    match = pattern_of(layout).fullmatch
    local = zone_of(zone)

    def read(text: str) -> int:
        found = match(text)
        if found is None:
            raise NoDate(f"Not a date like {example(layout)}")
        moment, written = _moment(found.groupdict()), found.groupdict().get("offset")
        try:
            offset = clock.offset_of(moment, local) if written is None else offset_of(written)
        except clock.NotOneMoment as error:
            raise NoDate(str(error)) from error
        # In milliseconds: the moment may be beyond the years that datetime has.
        return (moment - _NAIVE_EPOCH - offset) // _MILLISECOND

    return read


def offset_of(written: str) -> timedelta:
    """The offset from UTC that a date is written with."""
    digits = written[1:].replace(":", "").ljust(4, "0")
    if not digits.isdigit():  # Z, UTC
        return timedelta()
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if written[0] == "-" else offset


def _moment(parts: dict[str, str | None]) -> datetime:
    month = parts.get("month")
    if month is None:
        word = (parts.get("word") or "").capitalize()
        known = word[:3] in _SHORT_MONTHS
        month = str(_SHORT_MONTHS.index(word[:3]) + 1) if known else "0"
    fraction = (parts.get("fraction") or "").ljust(3, "0")
    if fraction[3:].strip("0"):
        raise NoDate("More digits than milliseconds, which a date has")
    try:
        return datetime(  # noqa: DTZ001 (the caller gives it its zone)
            _year(parts),
            int(month),
            int(parts["day"] or 1),
            _hour(parts),
            int(parts.get("minute") or 0),
            int(parts.get("second") or 0),
            int(fraction[:3]) * 1000,
        )
    except ValueError as error:
        raise NoDate("No day of the calendar") from error


def _year(parts: dict[str, str | None]) -> int:
    short = parts.get("short")
    if short is None:
        return int(parts["year"] or 0)
    return int(short) + (1900 if int(short) >= 70 else 2000)


def _hour(parts: dict[str, str | None]) -> int:
    hour, half = int(parts.get("hour") or 0), parts.get("half")
    if half is None:
        return hour
    return hour % 12 + (12 if half.upper() == "PM" else 0)


def example(layout: str) -> str:
    """A date in this layout, for words."""
    if not layout:
        return "2026-01-31T17:30:00Z"
    values = {
        "YYYY": "2026", "YY": "26", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1",
        "DD": "31", "D": "31",
        "HH": "17", "H": "17", "hh": "05", "h": "5", "mm": "30", "ss": "00", "SSS": "000",
        "A": "PM", "Z": "Z",
    }  # fmt: skip
    return "".join(values.get(token, token.strip("'")) for token in _TOKEN.findall(layout))


def iso_text(milliseconds: int) -> str | None:
    """The ISO 8601 text of a date of the years 1 to 9999; ``None`` for another."""
    try:
        moment = _NAIVE_EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds") + "Z"
