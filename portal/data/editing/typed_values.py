"""Values as they are typed into a form's controls: a kind, a text, and for dates a zone."""

import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import bson
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary
from bson.errors import BSONError

from portal import clock
from portal.data import extended_json, shell_syntax
from portal.data.editing import dates
from portal.data.errors import InvalidExtendedJson
from portal.data.json_types import BITS_32, BITS_64, DECIMAL, OID, UUID, WHOLE
from portal.data.patching import ARRAY, DOCUMENT


class Kind(StrEnum):
    """The kinds of values that can be typed."""

    TEXT = "text"
    INT32 = "int32"
    INT64 = "int64"
    DOUBLE = "double"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT_ID = "objectid"
    UUID = "uuid"
    BINARY = "binary"
    NULL = "null"
    OBJECT = "object"
    LIST = "list"
    JSON = "json"


WORDS = {
    Kind.TEXT: "text",
    Kind.INT32: "Int32",
    Kind.INT64: "Int64",
    Kind.DOUBLE: "Double",
    Kind.DECIMAL: "Decimal128",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.OBJECT_ID: "ObjectId",
    Kind.UUID: "UUID",
    Kind.BINARY: "binary",
    Kind.NULL: "null",
    Kind.OBJECT: "object",
    Kind.LIST: "list",
    Kind.JSON: "Extended JSON",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """The contents of a value's controls. ``zone`` is the IANA name of a date's zone."""

    kind: Kind
    text: str
    zone: str = ""


class NotOfKind(ValueError):
    """A text that is no value of its kind. Its words go on after "Write <field>"."""


def read(typed: Typed, before: bytes | None = None) -> bytes:
    """The BSON of ``{"": value}`` for what was typed, in place of the value ``before``. Raises
    NotOfKind."""
    if before is not None and typed.kind == Kind.TEXT and before[4] == 0x02:
        return _with_its_line_breaks(typed.text, before)
    return _READERS[typed.kind](typed)


def with_content(value: bytes | None, content: bytes) -> bytes:
    """The BSON of ``{"": value}`` for the content of a file, with the subtype of ``value``."""
    subtype = value[10] if value is not None and value[4] == 0x05 else 0
    return bson.encode({"": Binary(content, subtype)})


def _with_its_line_breaks(text: str, before: bytes) -> bytes:
    """A text whose line breaks are CR LF if all of those before were, else LF."""
    old = before[10:-2]
    windows = b"\r\n" in old and old.count(b"\n") == old.count(b"\r") == old.count(b"\r\n")
    lines = _lines(text)
    return bson.encode({"": lines.replace("\n", "\r\n") if windows else lines})


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_text(typed: Typed) -> bytes:
    return bson.encode({"": _lines(typed.text)})


def _read_null(typed: Typed) -> bytes:
    if typed.text.strip():
        raise NotOfKind("with another type than null, or empty it")
    return bson.encode({"": None})


def _read_boolean(typed: Typed) -> bytes:
    word = typed.text.strip().lower()
    if word not in ("true", "false"):
        raise NotOfKind("as true or false")
    return bson.encode({"": word == "true"})


def _whole(typed: Typed, limit: int, otherwise: str) -> int:
    text = typed.text.strip()
    if not WHOLE.fullmatch(text):
        raise NotOfKind(_as_number(text, whole=True))
    if len(text) > 20 or not -limit <= int(text) < limit:
        raise NotOfKind(f"from {-limit} to {limit - 1}{otherwise}")
    return int(text)


def _read_int32(typed: Typed) -> bytes:
    return bson.encode({"": _whole(typed, BITS_32, ", or choose Int64")})


def _read_int64(typed: Typed) -> bytes:
    return bson.encode({"": Int64(_whole(typed, BITS_64, ", or choose Decimal128"))})


def _read_double(typed: Typed) -> bytes:
    text = typed.text.strip()
    if text in ("NaN", "Infinity", "-Infinity"):
        return bson.encode({"": float(text)})
    if not DECIMAL.fullmatch(text) or len(text) > 400:
        raise NotOfKind(_as_number(text))
    number = float(text)
    if not math.isfinite(number) or not _is_exactly(text, number):
        raise NotOfKind(f"so that a Double holds it, or choose Decimal128: {number!r} is nearest")
    return bson.encode({"": number})


def _is_exactly(text: str, number: float) -> bool:
    try:
        return Decimal(text) == Decimal(repr(number))
    except ArithmeticError:  # an exponent beyond those of Decimal
        return False


def _read_decimal(typed: Typed) -> bytes:
    text = typed.text.strip()
    special = text.removeprefix("-").lower() in ("nan", "infinity")
    if not special and not DECIMAL.fullmatch(text):
        raise NotOfKind(_as_number(text))
    try:
        return bson.encode({"": Decimal128(text)})
    except (ArithmeticError, ValueError) as error:
        raise NotOfKind("with 34 digits at most") from error


def _read_date(typed: Typed) -> bytes:
    try:
        milliseconds = dates.parse_date(typed.text, clock.zone_of(typed.zone))
    except clock.NotOneMoment as error:
        raise NotOfKind(f"in UTC: {error}") from error
    if milliseconds is None:
        raise NotOfKind("as a date like 2026-11-25T08:00")
    return bson.encode({"": bson.DatetimeMS(milliseconds)})


def _read_object_id(typed: Typed) -> bytes:
    text = typed.text.strip()
    if not OID.fullmatch(text):
        raise NotOfKind("as 24 hexadecimal digits")
    return bson.encode({"": ObjectId(text)})


def _read_uuid(typed: Typed) -> bytes:
    text = typed.text.strip()
    if not UUID.fullmatch(text):
        raise NotOfKind("as a UUID like 00112233-4455-6677-8899-aabbccddeeff")
    return bson.encode({"": Binary.from_uuid(uuid.UUID(text))})


def _read_binary(typed: Typed) -> bytes:
    try:
        return bson.encode({"": Binary(bytes.fromhex(typed.text), 0)})
    except ValueError as error:
        raise NotOfKind("as pairs of hexadecimal digits, or choose a file") from error


def _read_json(typed: Typed) -> bytes:
    try:
        value = shell_syntax.read(extended_json.parse_value, typed.text)
    except InvalidExtendedJson as error:
        place, reason = next(iter(error.fields.items()))
        raise NotOfKind(f"as Extended JSON: {place}: {reason}") from error
    except BSONError as error:
        raise NotOfKind("as Extended JSON") from error
    wanted = {Kind.OBJECT: DOCUMENT, Kind.LIST: ARRAY}.get(typed.kind)
    if wanted is not None and value[4] != wanted:
        raise NotOfKind("as {…}" if typed.kind == Kind.OBJECT else "as […]")
    return value


def _as_number(text: str, *, whole: bool = False) -> str:
    """Words that say how to write a number, by what was typed where that can be told."""
    if whole:
        return "as a whole number, with digits alone"
    last = max(text.rfind(","), text.rfind("."))
    digits = re.sub(r"[,.'\s]", "", text[:last]) + "." + text[last + 1 :] if last > 0 else ""
    example = digits if DECIMAL.fullmatch(digits) else "1250.00"
    return f"with a dot and no thousands separator: {example}"


_READERS: dict[Kind, Callable[[Typed], bytes]] = {
    Kind.TEXT: _read_text,
    Kind.NULL: _read_null,
    Kind.BOOLEAN: _read_boolean,
    Kind.INT32: _read_int32,
    Kind.INT64: _read_int64,
    Kind.DOUBLE: _read_double,
    Kind.DECIMAL: _read_decimal,
    Kind.DATE: _read_date,
    Kind.OBJECT_ID: _read_object_id,
    Kind.UUID: _read_uuid,
    Kind.BINARY: _read_binary,
    Kind.OBJECT: _read_json,
    Kind.LIST: _read_json,
    Kind.JSON: _read_json,
}
