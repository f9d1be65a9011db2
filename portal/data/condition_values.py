"""Values of conditions: what a text that somebody typed stands for, by its kind."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from bson import Binary, Decimal128, Int64, ObjectId
from bson.binary import UuidRepresentation
from bson.datetime_ms import DatetimeMS

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
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,3}))?)?"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
    r"(?:\[(?P<zone>[\w/+-]+)\])?"
)
_MILLISECOND = timedelta(milliseconds=1)
_FAR = DatetimeMS(253_402_300_800_000)  # the year 10000, which no datetime reaches
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
        "boolean": re.compile("true|false"),
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
    that it names in brackets, else UTC. Raises InvalidQuery."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise InvalidQuery(
            f"“{isolated(text)}” is no date: write it as 2026-11-25 or 2026-11-25 08:00."
        )
    try:
        return _interval(found)
    except (ValueError, KeyError) as error:
        raise InvalidQuery(f"There is no such date: “{isolated(text)}”.") from error


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
    double, decimal = float(exact), Decimal128(text.strip())
    if Decimal(double) == exact:
        return [double]
    found: list[tuple[Decimal, Any]] = []
    if math.isfinite(double) and double:
        found.append((Decimal(double), double))
    if decimal.to_decimal() == exact:
        found.append((exact, decimal))
    if not found:
        raise InvalidQuery(f"“{isolated(text)}” has more digits than MongoDB stores.")
    return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def _booleans(text: str) -> list[Any]:
    if text not in ("true", "false"):
        raise InvalidQuery("Choose true or false.")
    return [text == "true"]


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


def _interval(found: re.Match[str]) -> Interval:
    given = {name: int(text) for name, text in found.groupdict().items() if text and text.isdigit()}
    zone = ZoneInfo(found["zone"]) if found["zone"] else UTC
    fraction = (found["fraction"] or "").ljust(3, "0") if found["fraction"] else ""
    start = datetime(
        given["year"], given.get("month", 1), given.get("day", 1), given.get("hour", 0),
        given.get("minute", 0), given.get("second", 0), int(fraction or 0) * 1000, tzinfo=zone,
    )  # fmt: skip
    if found["offset"]:
        start = datetime.fromisoformat(f"{start:%Y-%m-%dT%H:%M:%S.%f}{found['offset']}")
    try:
        end = _next(start, given, fraction)
    except OverflowError:
        return Interval(start.astimezone(UTC), _FAR)
    return Interval(start.astimezone(UTC), end.astimezone(UTC))


def _next(start: datetime, given: dict[str, int], fraction: str) -> datetime:
    if "month" not in given:
        return _beginning(start, start.year + 1, 1, 1)
    if "day" not in given:
        return _beginning(start, start.year + start.month // 12, start.month % 12 + 1, 1)
    if "hour" not in given:
        return start + timedelta(days=1)  # of the calendar: the zone stays
    step = _MILLISECOND if fraction else timedelta(seconds=1 if "second" in given else 60)
    return start.astimezone(UTC) + step


def _beginning(start: datetime, year: int, month: int, day: int) -> datetime:
    if year > 9999:
        raise OverflowError(year)
    return start.replace(year=year, month=month, day=day)
