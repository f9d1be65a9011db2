"""Values as a form's controls show them.

A value is offered for typing only where its own text is read as the same bytes again. One that has
no such text by its kind has that of Extended JSON; one without that either is kept as it is.
"""

import math
import re
import struct
import uuid
from collections.abc import Callable

from bson import Decimal128

from portal import clock
from portal.data import extended_json
from portal.data.editing import dates
from portal.data.editing.indenting import on_a_line
from portal.data.editing.typed_values import WORDS, Kind, NotOfKind, Typed, read
from portal.data.patching import ARRAY, DOCUMENT
from portal.web.template_filters import is_valid_in_html

LONGEST_TEXT = 64 * 1024
"""The longest text that a control shows."""
MOST_HEX_BYTES = 64
"""The largest binary value that is typed; a larger one comes from a file."""
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
    content = value[11:-1]
    return content[:8].hex(" ") + (" …" if len(content) > 8 else "")


def size_of(value: bytes) -> int:
    """The bytes that a binary value has."""
    return len(value[11:-1])


def subtype_of(value: bytes) -> int:
    """The subtype of a binary value."""
    return value[10]


def _is_uuid(value: bytes) -> bool:
    return value[4] == 0x05 and len(value) == 28 and value[10] == _OWN_UUID


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


def _double_text(encoded: bytes) -> str:
    number: float = struct.unpack("<d", encoded)[0]
    if math.isfinite(number):
        return repr(number)
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(number, "NaN")


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


def _rendered(value: bytes) -> str:
    """The value for display alone."""
    if value[4] in (0x02, 0x0D, 0x0E):
        return value[10:-2].decode(errors="replace")
    try:
        return json_text(value)
    except ValueError:
        return "has text that is no UTF-8"


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
