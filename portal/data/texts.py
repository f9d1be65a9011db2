"""Texts of a document's values, for people."""

import re
import struct
from datetime import UTC, datetime, timedelta

from bson import Decimal128
from bson.binary import OLD_UUID_SUBTYPE, UUID_SUBTYPE

from portal.data.bson_types import BINARY, DECIMAL, INT32, INT64, WORDS
from portal.data.nodes import Node
from portal.display_names import is_seen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_LINES = re.compile(r"([\n\t])")


def type_words(node: Node) -> str:
    """The type of a value in words."""
    if node.kind == BINARY and not node.is_cut:
        return {UUID_SUBTYPE: "UUID", OLD_UUID_SUBTYPE: "old UUID"}.get(node.value[10], "binary")
    return WORDS[node.kind]


def visible(text: str) -> str:
    """The text with invisible and bidirectional control characters, and bytes that aren't UTF-8,
    escaped."""
    if text.isprintable():
        return text
    return "".join(c if is_seen(text, index) else _escape(c) for index, c in enumerate(text))


def visible_lines(text: str) -> str:
    """The text as ``visible`` tells it, but for line breaks and tabs, which are seen."""
    return "".join(part if part in "\n\t" else visible(part) for part in _LINES.split(text))


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    return short or (f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}")


def text_of(node: Node) -> str:
    """The characters of a text; bytes that aren't UTF-8 as surrogates."""
    return node.value[10:-2].decode(errors="surrogateescape")


def number_text(node: Node) -> str:
    """The digits of a number of any type."""
    content = node.value[6:-1]
    if node.kind in (INT32, INT64):
        return str(int_of(node))
    if node.kind == DECIMAL:
        return str(Decimal128.from_bid(content))
    [number] = struct.unpack("<d", content)
    return repr(number).replace("inf", "Infinity").replace("nan", "NaN")


def int_of(node: Node) -> int:
    """The value of a whole number, or the milliseconds of a date."""
    return int.from_bytes(node.value[6:-1], "little", signed=True)


def hex_of(node: Node) -> str:
    """The bytes of an ObjectId as hexadecimal digits."""
    return node.value[6:-1].hex()


def moment_of(milliseconds: int) -> datetime | None:
    """The moment, if it is of the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def utc_text(moment: datetime) -> str:
    """The moment as ISO 8601 in UTC, with milliseconds where it has some."""
    fraction = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=fraction) + "Z"


def year_of(milliseconds: int) -> int:
    """The year of the Gregorian calendar, also before the year 1 (where 0 is the year before it)
    and after 9999: it repeats every 146,097 days, which are 400 years."""
    days = milliseconds // _DAY_MS + 719_162  # since 1 January of the year 1
    eras, rest = divmod(days, 146_097)
    return eras * 400 + (datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=rest)).year
