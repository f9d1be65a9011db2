"""Values as a form's controls carry them: a kind, a text, and for dates a zone.

A value is offered for typing only where its own text is read as the same bytes again. One that has
no such text by its kind has that of Extended JSON; one without that either is kept as it is.
"""

import math
import re
import struct
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
from portal.data import extended_json
from portal.data.editing import dates
from portal.data.editing.indenting import on_a_line
from portal.data.errors import InvalidExtendedJson
from portal.data.json_types import BITS_32, BITS_64, DECIMAL, OID, UUID, WHOLE
from portal.data.patching import ARRAY, DOCUMENT
from portal.web.template_filters import is_valid_in_html

LONGEST_TEXT = 64 * 1024
"""The longest text that a control shows."""
MOST_HEX_BYTES = 64
"""The largest binary value that is typed; a larger one comes from a file."""


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
OLD = {0x06: "undefined", 0x0C: "DBPointer", 0x0E: "symbol"}
"""Types that are kept where they are stored, and not made any more."""

_KINDS = {
    0x01: Kind.DOUBLE, 0x02: Kind.TEXT, DOCUMENT: Kind.OBJECT, ARRAY: Kind.LIST, 0x05: Kind.BINARY,
    0x07: Kind.OBJECT_ID, 0x08: Kind.BOOLEAN, 0x09: Kind.DATE, 0x0A: Kind.NULL, 0x10: Kind.INT32,
    0x12: Kind.INT64, 0x13: Kind.DECIMAL,
}  # fmt: skip
_WORDS_OF_TYPES = {
    0x0B: "regular expression", 0x0D: "code", 0x0F: "code with scope", 0x11: "timestamp",
    0x7F: "MaxKey", 0xFF: "MinKey",
}  # fmt: skip
_OWN_UUID = 4


@dataclass(frozen=True, slots=True)
class Typed:
    """The contents of a value's controls. ``zone`` is the IANA name of a date's zone."""

    kind: Kind
    text: str
    zone: str = ""


class NotOfKind(ValueError):
    """A text that is no value of its kind. Its words go on after "Write <field>"."""


def words_of_type(value: bytes) -> str:
    """The type of the value in the BSON of ``{"": value}``, in words."""
    kind = value[4]
    named = OLD.get(kind) or _WORDS_OF_TYPES.get(kind)
    return named or WORDS[_KINDS[kind] if not _is_uuid(value) else Kind.UUID]


def shown(value: bytes, zone: str) -> Typed | None:
    """The controls of the value in the BSON of ``{"": value}``; ``None`` for one that is only kept.
    What they have is read as the same bytes."""
    if value[4] in OLD:
        return None
    kind = Kind.UUID if _is_uuid(value) else _KINDS.get(value[4], Kind.JSON)
    for offered in dict.fromkeys((kind, Kind.JSON)):
        for zone_name in dict.fromkeys((zone, "")):
            found = _shown_as(offered, value, zone_name)
            if found is not None and _is_read_as(found, value):
                return found
    return None


def read(typed: Typed, before: bytes | None = None) -> bytes:
    """The BSON of ``{"": value}`` for what was typed, in place of the value ``before``. Raises
    NotOfKind."""
    if before is not None and typed.kind == Kind.TEXT and before[4] == 0x02:
        return _with_its_line_breaks(typed.text, before)
    return _READERS[typed.kind](typed)


def in_words(value: bytes, zone: str, longest: int = 80) -> str:
    """The value for a reader, cut to ``longest`` characters."""
    kind = value[4]
    if kind == 0x05 and not _is_uuid(value):
        return first_bytes(value)
    if kind == 0x0A:
        return "null"
    if kind in OLD:
        return _cut(_rendered(value), longest)
    own = Kind.UUID if _is_uuid(value) else _KINDS.get(kind, Kind.JSON)
    found = _shown_as(own, value, zone)
    if found is not None:
        text = found.text.replace("T", " ") if kind == 0x09 else found.text
    else:
        text = _rendered(value)
    return _cut(text, longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def first_bytes(value: bytes) -> str:
    """The first bytes of a binary value."""
    content = _binary(value)[1]
    return content[:8].hex(" ") + (" …" if len(content) > 8 else "")


def size_of(value: bytes) -> int:
    """The bytes that a binary value has."""
    return len(_binary(value)[1])


def subtype_of(value: bytes) -> int:
    """The subtype of a binary value."""
    return _binary(value)[0]


def with_content(value: bytes | None, content: bytes) -> bytes:
    """The BSON of ``{"": value}`` for the content of a file, with the subtype of ``value``."""
    subtype = subtype_of(value) if value is not None and value[4] == 0x05 else 0
    return bson.encode({"": Binary(content, subtype)})


def _is_uuid(value: bytes) -> bool:
    return value[4] == 0x05 and len(value) == 28 and value[10] == _OWN_UUID


def _binary(value: bytes) -> tuple[int, bytes]:
    return value[10], value[11:-1]


def _shown_as(kind: Kind, value: bytes, zone: str) -> Typed | None:
    if len(value) > LONGEST_TEXT:
        return None
    try:
        if kind == Kind.DATE:
            return _shown_date(value, zone)
        text = _TEXTS[kind](value[6:-1]) if kind in _TEXTS else json_text(value)
    except ValueError:
        return None
    return Typed(kind, text) if is_valid_in_html(text) else None


def _shown_date(value: bytes, zone: str) -> Typed:
    milliseconds = int.from_bytes(value[6:14], "little", signed=True)
    if not dates.is_within_years(milliseconds) or not zone:
        return Typed(Kind.DATE, dates.utc_text(milliseconds))
    return Typed(Kind.DATE, dates.local_text(milliseconds, clock.zone_of(zone)), zone)


def _whole_text(encoded: bytes) -> str:
    return str(int.from_bytes(encoded, "little", signed=True))


def _hex_text(encoded: bytes) -> str:
    if len(encoded) > MOST_HEX_BYTES + 5:
        raise ValueError("too large to type")
    return encoded[5:].hex(" ")


def _is_read_as(typed: Typed, value: bytes) -> bool:
    try:
        # A browser sends line breaks as CR LF, whatever they were.
        sent = Typed(typed.kind, re.sub("\r\n|\r|\n", "\r\n", typed.text), typed.zone)
        return read(sent, value) == value
    except NotOfKind:
        return False


def json_text(value: bytes) -> str:
    """The canonical Extended JSON of the value in the BSON of ``{"": value}``, on a line. Raises
    ValueError for text that is no UTF-8."""
    return escaped(on_a_line(extended_json.render_value(value)))


def escaped(text: str) -> str:
    """A text of JSON in which characters that a page can't carry are escaped."""
    if is_valid_in_html(text):
        return text
    return "".join(
        each if is_valid_in_html(each) else "".join(f"\\u{unit:04x}" for unit in _units(each))
        for each in text
    )


def _units(character: str) -> tuple[int, ...]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return struct.unpack(f">{len(encoded) // 2}H", encoded)


def _double_text(encoded: bytes) -> str:
    number: float = struct.unpack("<d", encoded)[0]
    if math.isfinite(number):
        return repr(number)
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(number, "NaN")


def _with_its_line_breaks(text: str, before: bytes) -> bytes:
    """A text whose line breaks are CR LF if all of those before were, else LF."""
    old = before[10:-2]
    windows = b"\r\n" in old and old.count(b"\n") == old.count(b"\r") == old.count(b"\r\n")
    lines = _lines(text)
    return bson.encode({"": lines.replace("\n", "\r\n") if windows else lines})


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _rendered(value: bytes) -> str:
    """The value for display alone."""
    if value[4] in (0x02, 0x0D, 0x0E):
        return value[10:-2].decode(errors="replace")
    try:
        return json_text(value)
    except ValueError:
        return "has text that is no UTF-8"


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
    if not math.isfinite(number) or Decimal(repr(number)) != Decimal(text):
        raise NotOfKind(f"so that a Double holds it, or choose Decimal128: {number!r} is nearest")
    return bson.encode({"": number})


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
    milliseconds = dates.parse_date(typed.text, clock.zone_of(typed.zone))
    if milliseconds is None:
        raise NotOfKind("as a date like 2026-11-25T08:00, at a time that the zone has")
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
        value = extended_json.parse_value(typed.text)
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


_TEXTS: dict[Kind, Callable[[bytes], str]] = {
    Kind.TEXT: lambda encoded: encoded[4:-1].decode(),
    Kind.NULL: lambda encoded: "",
    Kind.BOOLEAN: lambda encoded: "true" if encoded == b"\1" else "false",
    Kind.OBJECT_ID: bytes.hex,
    Kind.UUID: lambda encoded: str(uuid.UUID(bytes=encoded[5:])),
    Kind.BINARY: _hex_text,
    Kind.INT32: _whole_text,
    Kind.INT64: _whole_text,
    Kind.DOUBLE: _double_text,
    Kind.DECIMAL: lambda encoded: str(Decimal128.from_bid(encoded)),
}
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
