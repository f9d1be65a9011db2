"""Values of documents in words, as pages show them."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from uuid import UUID

import humanize
from bson import Binary, Decimal128, ObjectId
from bson.binary import UuidRepresentation

from portal.data.bson_types import (
    BINARY,
    BOOLEAN,
    DATE,
    DECIMAL,
    DOUBLE,
    INT32,
    INT64,
    LIST,
    NULL,
    NUMBERS,
    OBJECT,
    OBJECT_ID,
    TEXT,
    TIMESTAMP,
    UNDEFINED,
    WORDS,
)  # fmt: skip
from portal.data.masks.masks import MASKED
from portal.data.nodes import Node

LONGEST_CELL = 60
_LONGEST_LINE = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_REGEX, _DB_POINTER, _CODE, _SYMBOL, _SCOPED = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
_MAX_KEY, _MIN_KEY = 0x7F, 0xFF
_OLD_UUID, _UUID = 3, 4
LEGACY_UUIDS = {
    "java": UuidRepresentation.JAVA_LEGACY,
    "csharp": UuidRepresentation.CSHARP_LEGACY,
    "python": UuidRepresentation.PYTHON_LEGACY,
}
"""The readings of a UUID of the old subtype, by the drivers that wrote it."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of a page: the ``zone`` of dates, and the driver by which old UUIDs are read."""

    zone: tzinfo = UTC
    legacy_uuid: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value in a cell: its ``text``, its ``look`` (text, code, number, date, absent, masked), a
    ``title`` with what is stored, a ``moment`` where it is one, and what it says of its type."""

    text: str
    look: str
    title: str = ""
    moment: datetime | None = None
    type: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a line of JSON: its text, its ``look`` (key, value, type, more) and, where it leads
    to a value that was cut, the path of that."""

    text: str
    look: str = ""
    path: tuple[str, ...] | None = None


MISSING = Shown("missing", "missing")
HIDDEN = Shown(MASKED, "masked")


def cell(node: Node | None, reader: Reader, usual: int | None = None) -> Shown:
    """The value in a cell of a table; ``usual`` is the type of others in its column, beside which
    another is told."""
    if node is None:
        return MISSING
    shown = _cell(node, reader)
    if usual is None or _family(node.kind) == _family(usual) or shown.look in ("absent", "masked"):
        return shown
    text = f'"{shown.text}"' if node.kind == TEXT else shown.text
    return Shown(text, shown.look, shown.title, shown.moment, type_words(node))


def type_words(node: Node) -> str:
    """The type of a value in words."""
    if node.kind == BINARY and not node.is_cut:
        return {_UUID: "UUID", _OLD_UUID: "old UUID"}.get(node.value[10], "binary")
    return WORDS[node.kind]


def lines(document: Node, reader: Reader) -> list[list[Token]]:
    """A document as the lines of its JSON, in the shell's words for types."""
    return list(_lines([], document, reader, 0, (), ""))


def _family(kind: int) -> int:
    return DOUBLE if kind == INT32 else kind


def _cell(node: Node, reader: Reader) -> Shown:
    if node.is_masked:
        return Shown(_string(node), "masked")
    if node.kind in _CELLS:
        return _CELLS[node.kind](node, reader)
    text = "".join(token.text for token in _value(node, reader, ()))
    return Shown(_folded(text), "code", text if len(text) > LONGEST_CELL else "")


def _number_cell(node: Node, reader: Reader) -> Shown:
    return Shown(_number(node), "number")


def _null_cell(node: Node, reader: Reader) -> Shown:
    return Shown("null", "absent")


def _object_id_cell(node: Node, reader: Reader) -> Shown:
    text = _hex(node)
    made = ObjectId(text).generation_time.astimezone(reader.zone)
    return Shown(f"{text[:4]}…{text[-4:]}", "code", f"{text}, made {made:%-d %b %Y %H:%M:%S}")


def _document_cell(node: Node, reader: Reader) -> Shown:
    names = [
        f"{visible(name)}: {MASKED}" if inner.is_masked else visible(name) or '""'
        for name, inner in node.members[:4]
    ]
    if not names:
        return Shown("{ … }" if node.is_cut else "{ }", "inner")
    more = len(node.members) + node.more > len(names)
    return Shown(_folded("{ " + ", ".join(names)) + (", … }" if more else " }"), "inner")


def _list_cell(node: Node, reader: Reader) -> Shown:
    count = len(node.members) + node.more
    return Shown(f"[ {humanize.intcomma(count)} ]" if count else "[ ]", "inner")


def _text_cell(node: Node, reader: Reader) -> Shown:
    text = _string(node)
    if not text:
        return Shown("empty text", "absent")
    title = f"{humanize.intcomma(node.size_bytes)} bytes" if node.size_bytes is not None else ""
    if not title and len(text) > LONGEST_CELL:
        title = visible(text)
    return Shown(_folded(visible(text), cut=node.is_cut), "text", title)


def _folded(text: str, *, cut: bool = False) -> str:
    if len(text) > LONGEST_CELL:
        return text[:LONGEST_CELL] + "…"
    return text + "…" if cut else text


def _date_cell(node: Node, reader: Reader) -> Shown:
    milliseconds = _int(node)
    moment = _moment(milliseconds)
    if moment is None:
        return Shown(f"in the year {_year(milliseconds)}", "date", f"{milliseconds:,} ms")
    return Shown(_local(moment, reader), "date", _iso(moment), moment)


def _local(moment: datetime, reader: Reader) -> str:
    try:
        local = moment.astimezone(reader.zone)
    except OverflowError:
        local = moment
    text = f"{local.day} {local:%b} {local.year:04} {local:%H:%M}"
    if local.microsecond:
        return f"{text}:{local:%S}.{local.microsecond // 1000:03}"
    return f"{text}:{local:%S}" if local.second else text


def visible(text: str) -> str:
    """The text with invisible and bidirectional control characters, and bytes that aren't UTF-8,
    escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    return short or (f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}")


# JSON


def _lines(
    before: list[Token], node: Node, reader: Reader, depth: int, path: tuple[str, ...], end: str
) -> Iterator[list[Token]]:
    """The lines of a value behind what stands before it in its first."""
    indent = Token("  " * depth)
    start = [indent, *before]
    if node.kind not in (OBJECT, LIST) or (depth and _fits(node, reader, depth)):
        yield [*start, *_value(node, reader, path), *([Token(end)] if end else [])]
        return
    opening, closing = "{}" if node.kind == OBJECT else "[]"
    yield [*start, Token(opening)]
    last = len(node.members) - 1
    for index, (name, inner) in enumerate(node.members):
        label = [] if node.kind == LIST else [Token(f'"{_quoted(name)}"', "key"), Token(": ")]
        comma = "" if index == last and not node.more else ","
        yield from _lines(label, inner, reader, depth + 1, (*path, name), comma)
    if node.more:
        more = Token(f"… {humanize.intcomma(node.more)} more", "more", path)
        yield [Token("  " * (depth + 1)), more]
    yield [indent, Token(closing + end)]


def _fits(node: Node, reader: Reader, depth: int) -> bool:
    """Tell whether a document or list has room on a line."""
    if node.more or len(node.members) > _LONGEST_LINE // 4 or len(node.value) > 400:
        return False
    if any(inner.kind in (OBJECT, LIST) and inner.members for _, inner in node.members):
        return False
    length = sum(len(token.text) for token in _value(node, reader, ()))
    return length <= _LONGEST_LINE - 2 * depth


def _value(node: Node, reader: Reader, path: tuple[str, ...]) -> list[Token]:
    if node.kind in (OBJECT, LIST):
        return _inline(node, reader, path)
    if node.is_masked:
        return [Token(_string(node), "mask")]
    if node.kind == TEXT:
        found = [Token(f'"{_quoted(_string(node))}{"…" if node.is_cut else ""}"', "value")]
        return found + _size(node, path)
    if node.kind == BINARY:
        return _binary(node, reader, path)
    if node.is_cut:
        return [Token(type_words(node), "type"), *_size(node, path)]
    return _scalar(node)


def _inline(node: Node, reader: Reader, path: tuple[str, ...]) -> list[Token]:
    opening, closing = "{}" if node.kind == OBJECT else "[]"
    if not node.members:
        if not node.is_cut:
            return [Token(f"{opening}{closing}")]
        return [Token(opening), *_size(node, path), Token(f" {closing}")]
    found = [Token(f"{opening} ")]
    for index, (name, inner) in enumerate(node.members):
        found += [Token(", ")] if index else []
        if node.kind == OBJECT:
            found += [Token(f'"{_quoted(name)}"', "key"), Token(": ")]
        found += _value(inner, reader, (*path, name))
    return [*found, Token(f" {closing}")]


def _size(node: Node, path: tuple[str, ...]) -> list[Token]:
    if not node.is_cut:
        return []
    parts = []
    if node.kind in (OBJECT, LIST) and node.count is not None:
        unit = "fields" if node.kind == OBJECT else "elements"
        parts.append(f"{humanize.intcomma(node.count)} {unit}")
    if node.size_bytes is not None:
        parts.append(humanize.naturalsize(node.size_bytes, format="%.3g"))
    return [Token(" "), Token(", ".join(parts), "more", path)]


def _binary(node: Node, reader: Reader, path: tuple[str, ...]) -> list[Token]:
    if node.is_cut:
        return [Token("binary", "type"), *_size(node, path)]
    subtype, content = node.value[10], node.value[11:-1]
    if uuid := _uuid(subtype, content, reader):
        return _called("UUID", f'"{uuid}"')
    first = content[:16].hex() + ("…" if len(content) > 16 else "")
    told = f"{first}, {len(content)} bytes" if content else "0 bytes"
    return _called(f"Binary.{subtype}" if subtype else "Binary", told)


def _uuid(subtype: int, content: bytes, reader: Reader) -> UUID | None:
    if len(content) != 16:
        return None
    if subtype == _UUID:
        return UUID(bytes=content)
    if subtype == _OLD_UUID and reader.legacy_uuid in LEGACY_UUIDS:
        return Binary(content, _OLD_UUID).as_uuid(LEGACY_UUIDS[reader.legacy_uuid])
    return None


def _scalar(node: Node) -> list[Token]:
    if node.kind in _WORDS:
        return [Token(_WORDS[node.kind], "type")]
    if node.kind in (DOUBLE, INT32):
        return [Token(_number(node), "value")]
    return _SCALARS[node.kind](node)


def _truth(node: Node) -> list[Token]:
    return [Token("true" if node.value[6] else "false", "value")]


def _timestamp(node: Node) -> list[Token]:
    increment, seconds = struct.unpack("<II", node.value[6:-1])
    return _called("Timestamp", f"{seconds}, {increment}")


def _regex(node: Node) -> list[Token]:
    pattern, options, _ = node.value[6:].split(b"\0", 2)
    return [Token(f"/{_decoded(pattern)}/{_decoded(options)}", "value")]


def _scoped(node: Node) -> list[Token]:
    length = int.from_bytes(node.value[10:14], "little")
    return _called("Code", f'"{_decoded(node.value[14 : 13 + length])}", {{…}}')


def _db_pointer(node: Node) -> list[Token]:
    name, oid = node.value[10:-14], node.value[-13:-1]
    return _called("DBPointer", f'"{_decoded(name)}", "{oid.hex()}"')


def _date(node: Node) -> list[Token]:
    milliseconds = _int(node)
    moment = _moment(milliseconds)
    if moment is None:
        told = Token(f" in the year {_year(milliseconds)}", "more")
        return [*_called("Date", str(milliseconds)), told]
    return _called("ISODate", f'"{_iso(moment)}"')


def _called(name: str, content: str) -> list[Token]:
    return [Token(f"{name}(", "type"), Token(content, "value"), Token(")", "type")]


def _number(node: Node) -> str:
    content = node.value[6:-1]
    if node.kind in (INT32, INT64):
        return str(_int(node))
    if node.kind == DECIMAL:
        return str(Decimal128.from_bid(content))
    [number] = struct.unpack("<d", content)
    return repr(number).replace("inf", "Infinity").replace("nan", "NaN")


def _int(node: Node) -> int:
    return int.from_bytes(node.value[6:-1], "little", signed=True)


def _hex(node: Node) -> str:
    return node.value[6:-1].hex()


def _string(node: Node) -> str:
    return node.value[10:-2].decode(errors="surrogateescape")


def _quoted(text: str) -> str:
    return visible(text.replace("\\", "\\\\").replace('"', '\\"'))


def _decoded(content: bytes) -> str:
    return visible(content.decode(errors="surrogateescape"))


def _moment(milliseconds: int) -> datetime | None:
    """The moment, if it is of the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _iso(moment: datetime) -> str:
    fraction = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=fraction) + "Z"


def _year(milliseconds: int) -> int:
    """The year of the Gregorian calendar, also before the year 1 (where 0 is the year before it)
    and after 9999: it repeats every 146,097 days, which are 400 years."""
    days = milliseconds // _DAY_MS + 719_162  # since 1 January of the year 1
    eras, rest = divmod(days, 146_097)
    return eras * 400 + (datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=rest)).year


_CELLS: dict[int, Callable[[Node, Reader], Shown]] = {
    TEXT: _text_cell,
    DATE: _date_cell,
    NULL: _null_cell,
    OBJECT_ID: _object_id_cell,
    OBJECT: _document_cell,
    LIST: _list_cell,
    **dict.fromkeys(NUMBERS, _number_cell),
}
_WORDS = {NULL: "null", UNDEFINED: "undefined", _MIN_KEY: "MinKey()", _MAX_KEY: "MaxKey()"}
_SCALARS: dict[int, Callable[[Node], list[Token]]] = {
    INT64: lambda node: _called("Long", f'"{_int(node)}"'),
    DECIMAL: lambda node: _called("Decimal128", f'"{_number(node)}"'),
    OBJECT_ID: lambda node: _called("ObjectId", f'"{_hex(node)}"'),
    DATE: _date,
    TIMESTAMP: _timestamp,
    BOOLEAN: _truth,
    _REGEX: _regex,
    _CODE: lambda node: _called("Code", f'"{_quoted(_string(node))}"'),
    _SYMBOL: lambda node: _called("Symbol", f'"{_quoted(_string(node))}"'),
    _SCOPED: _scoped,
    _DB_POINTER: _db_pointer,
}
