"""Values of conditions: what a text that somebody typed stands for, by its kind."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from bson import Binary, Decimal128, Int64, ObjectId
from bson.binary import UuidRepresentation
from bson.datetime_ms import DatetimeMS

from portal import clock
from portal.bidi import isolated
from portal.data import document_ids, extended_json, queries, shell_syntax
from portal.data.errors import InvalidDocumentId, InvalidExtendedJson, InvalidQuery

KINDS = ("text", "number", "date", "boolean", "objectid", "uuid", "json", "address")
"""The kinds of value that a condition compares with; ``json`` is any, as Extended JSON, and
``address`` the ``_id`` of a document, as URLs have it."""

KIND_WORDS = {
    "text": "text",
    "number": "number",
    "date": "date",
    "boolean": "true or false",
    "objectid": "ObjectId",
    "uuid": "UUID",
    "json": "Extended JSON",
    "type": "type",
    "address": "id",
}

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_UUID = re.compile(r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?")
_BOOLEAN = re.compile("true|false", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,3}))?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
    r"(?:\[(?P<zone>[\w/+-]+)\])?"
)
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
# The years 1 and 10000: what is outside no datetime reaches.
_FIRST, _FAR = -62_135_596_800_000, 253_402_300_800_000
_LEGACY = (
    UuidRepresentation.PYTHON_LEGACY,
    UuidRepresentation.JAVA_LEGACY,
    UuidRepresentation.CSHARP_LEGACY,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """The time that a date says: a day is 24 hours long, or 23, or 25."""

    start: datetime | DatetimeMS
    end: datetime | DatetimeMS


def kinds_of(text: str) -> list[str]:
    """The kinds that a text reads as, the likeliest first; it is always a text too."""
    checks = {
        "objectid": _OBJECT_ID,
        "uuid": _UUID,
        "date": _DATE,
        "number": _NUMBER,
        "boolean": _BOOLEAN,
    }
    found = [kind for kind, pattern in checks.items() if pattern.fullmatch(text.strip())]
    if "date" in found and "number" in found:  # four digits
        found.remove("date")
    return [*found, "text"]


def candidates(kind: str, text: str) -> list[Any]:
    """The stored values that a typed one stands for, in rising order. Raises InvalidQuery."""
    return _READERS[kind](text)


def interval_of(text: str) -> Interval:
    """The time that a date says: a year, month, day, minute, second or millisecond, in the zone
    that it names in brackets, else UTC; from the first to the last where clocks there show it
    twice. Raises InvalidQuery, also for what they skip."""
    found = intervals_of(text)
    return Interval(found[0].start, found[-1].end)


def intervals_of(text: str) -> list[Interval]:
    """The time that a date says; two such where clocks show it twice. Raises InvalidQuery."""
    found = _date(text)
    with _refusals(text):
        return _intervals(found)


def moment_of(text: str) -> datetime | DatetimeMS:
    """The moment that a date says, the first of a day. Raises InvalidQuery, also for what clocks of
    the zone show twice."""
    found = _date(text)
    with _refusals(text):
        first, *others = _intervals(found)
    if others:
        zone = _zone(found)
        offsets = (_told(each) for each in clock.offsets_of(_naive(found), zone))
        raise InvalidQuery(
            f"{zone} has this time twice: its clocks were put back. Write {' or '.join(offsets)} "
            "behind it."
        )
    return first.start


def in_zone(text: str, zone: str) -> str:
    """A date with the zone that it was typed in, unless it names one."""
    if "date" not in kinds_of(text) or "[" in text or text.rstrip().endswith("Z") or not zone:
        return text
    return f"{text.strip()}[{zone}]"


def without_zone(text: str) -> str:
    """A date as it was typed, before ``in_zone``."""
    return re.sub(r"\[[^\]]*\]\s*$", "", text)


def read_as(kinds: tuple[str, ...], text: str) -> str:
    """The value as a sentence has it: a text in quotes, and what else it may be."""
    if kinds in (("number",), ("boolean",), ("json",)):
        return isolated(text)
    if "date" in kinds:
        text = without_zone(text)
    if kinds == ("date",):
        return isolated(text.replace("T", " "))
    if kinds == ("text",):
        return f"“{isolated(text)}”"
    return f"{isolated(text)} ({' or '.join(KIND_WORDS[kind] for kind in kinds)})"


def _texts(text: str) -> list[Any]:
    return [text]


def _numbers(text: str) -> list[Any]:
    """A whole number as such; another as a double and, where that is rounded, as a decimal too."""
    if not _NUMBER.fullmatch(text.strip()) or len(text) > 400:
        raise InvalidQuery(f"“{isolated(text)}” is no number: write it as 1234.5.")
    exact = Decimal(text.strip())
    if exact == exact.to_integral_value() and -(2**63) <= exact < 2**63:
        return [Int64(exact)]
    double = float(exact)
    if Decimal(double) == exact:
        return [double]
    found: list[tuple[Decimal, Any]] = []
    if math.isfinite(double) and double:
        found.append((Decimal(double), double))
    with suppress(ArithmeticError):  # more digits than a decimal has, or out of its range
        found.append((exact, Decimal128(exact)))
    if not found:
        raise InvalidQuery(f"“{isolated(text)}” has more digits than MongoDB stores.")
    return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def _booleans(text: str) -> list[Any]:
    if not _BOOLEAN.fullmatch(text.strip()):
        raise InvalidQuery("Choose true or false.")
    return [text.strip().lower() == "true"]


def _object_ids(text: str) -> list[Any]:
    if not _OBJECT_ID.fullmatch(text.strip()):
        raise InvalidQuery(
            f"“{isolated(text)}” is no ObjectId: it has 24 digits of 0 to 9 and a to f."
        )
    return [ObjectId(text.strip())]


def _uuids(text: str) -> list[Any]:
    """The UUID as it is stored now, and in the three orders in which drivers used to."""
    if not _UUID.fullmatch(text.strip()):
        raise InvalidQuery(f"“{isolated(text)}” is no UUID.")
    uuid = UUID(text.strip())
    legacy = dict.fromkeys(Binary.from_uuid(uuid, each) for each in _LEGACY)
    return [*legacy, Binary.from_uuid(uuid)]


def _json(text: str) -> list[Any]:
    try:
        return [queries.decode(shell_syntax.read(extended_json.parse_value, text))[""]]
    except InvalidExtendedJson as error:
        raise InvalidQuery(
            f"“{isolated(text)}” is no Extended JSON value: a text stands in quotes."
        ) from error


def _addresses(text: str) -> list[Any]:
    try:
        return [document_ids.decoded(document_ids.parse_document_id(text))]
    except InvalidDocumentId as error:
        raise InvalidQuery("A document that was chosen has another address.") from error


def _dates(text: str) -> list[Any]:
    return [interval_of(text).start]


_READERS = {
    "text": _texts,
    "number": _numbers,
    "date": _dates,
    "boolean": _booleans,
    "objectid": _object_ids,
    "uuid": _uuids,
    "json": _json,
    "address": _addresses,
}


def _date(text: str) -> re.Match[str]:
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise InvalidQuery(
            f"“{isolated(text)}” is no date: write it as 2026-11-25 or 2026-11-25 08:00."
        )
    return found


@contextmanager
def _refusals(text: str) -> Iterator[None]:
    try:
        yield
    except clock.NotOneMoment as error:
        raise InvalidQuery(f"{error}.") from error
    except ValueError as error:
        raise InvalidQuery(f"There is no such date: “{isolated(text)}”.") from error


def _intervals(found: re.Match[str]) -> list[Interval]:
    naive, zone = _naive(found), _zone(found)
    if found["hour"]:
        offsets = clock.offsets_of(naive, zone)
        if found["offset"]:
            offsets = (_offset(found["offset"]),)
        elif not offsets:
            clock.offset_of(naive, zone)  # raises
        step = 1 if found["fraction"] else 1000 if found["second"] else 60_000
        starts = [_milliseconds(naive, offset) for offset in offsets]
        return [Interval(_moment(start), _moment(start + step)) for start in starts]
    # Of a midnight that is there twice the first, and of one that isn't the end of the gap.
    begin, end = _start_of_day(naive, zone), _next(naive, found)
    if end is None:  # beyond what Python has
        after = _FAR - _milliseconds(naive, timedelta())
        return [Interval(_moment(begin), _moment(begin + after))]
    return [Interval(_moment(begin), _moment(_start_of_day(end, zone)))]


def _naive(found: re.Match[str]) -> datetime:
    given = {name: int(text) for name, text in found.groupdict().items() if text and text.isdigit()}
    thousandths = int((found["fraction"] or "0").ljust(3, "0"))
    return datetime(  # noqa: DTZ001 (of a zone's clocks)
        given["year"], given.get("month", 1), given.get("day", 1), given.get("hour", 0),
        given.get("minute", 0), given.get("second", 0), thousandths * 1000,
    )  # fmt: skip


def _zone(found: re.Match[str]) -> tzinfo:
    name = found["zone"] or "UTC"
    if not clock.is_zone(name):
        raise InvalidQuery(f"There is no time zone {isolated(name[:100])}.")
    return clock.zone_of(name)


def _offset(text: str) -> timedelta:
    return datetime.fromisoformat(f"2000-01-01T00:00{text}").utcoffset() or timedelta()


def _told(offset: timedelta) -> str:
    return datetime(2000, 1, 1, tzinfo=timezone(offset)).isoformat()[19:]


def _start_of_day(naive: datetime, zone: tzinfo) -> int:
    return _milliseconds(naive, naive.replace(tzinfo=zone).utcoffset() or timedelta())


def _milliseconds(naive: datetime, offset: timedelta) -> int:
    return (naive - _NAIVE_EPOCH - offset) // _MILLISECOND


def _moment(milliseconds: int) -> datetime | DatetimeMS:
    if _FIRST <= milliseconds < _FAR:
        return _EPOCH + milliseconds * _MILLISECOND
    return DatetimeMS(milliseconds)


def _next(naive: datetime, found: re.Match[str]) -> datetime | None:
    """The beginning of the next year, month or day, if Python has it."""
    try:
        if not found["month"]:
            return naive.replace(year=naive.year + 1)
        if not found["day"]:
            year, month = naive.year + naive.month // 12, naive.month % 12 + 1
            return naive.replace(year=year, month=month)
        return naive + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
