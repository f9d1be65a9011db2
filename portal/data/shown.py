"""Documents as lines of JSON, in the shell's words for types."""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from uuid import UUID

import humanize
from bson import Binary
from bson.binary import OLD_UUID_SUBTYPE, UUID_SUBTYPE

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
    OBJECT,
    OBJECT_ID,
    TEXT,
    TIMESTAMP,
    UNDEFINED,
)  # fmt: skip
from portal.data.nodes import Node
from portal.data.texts import (
    hex_of,
    int_of,
    moment_of,
    number_text,
    text_of,
    type_words,
    utc_text,
    visible,
    year_of,
)
from portal.data.uuid_readings import LEGACY_UUIDS, field_at

_LONGEST_LINE = 80
_REGEX, _DB_POINTER, _CODE, _SYMBOL, _SCOPED = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
_MAX_KEY, _MIN_KEY = 0x7F, 0xFF


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of a page: the ``zone`` of dates, the drivers by which old UUIDs are read, by the
    field, and the ``longest`` text of a cell."""

    zone: tzinfo = UTC
    uuids: Mapping[str, str] = field(default_factory=dict)
    longest: int = 60

    def at(self, path: Sequence[str]) -> "Reader":
        """The reader of the field at a path alone."""
        own = self.uuids.get(field_at(path))
        return self if own is None else replace(self, uuids={"": own})


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a line of JSON: its text, its ``look`` (key, value, type, more) and, where it leads
    to a value that was cut, the path of that."""

    text: str
    look: str = ""
    path: tuple[str, ...] | None = None


def lines(document: Node, reader: Reader) -> list[list[Token]]:
    """A document as the lines of its JSON."""
    return list(_lines([], document, reader, 0, (), ""))


def value_tokens(node: Node, reader: Reader, path: tuple[str, ...]) -> list[Token]:
    """The value at a ``path`` of a document on one line."""
    if node.kind in (OBJECT, LIST):
        return _inline(node, reader, path)
    if node.is_masked:
        return [Token(text_of(node), "mask")]
    if node.kind == TEXT:
        found = [Token(f'"{_quoted(text_of(node))}{"…" if node.is_cut else ""}"', "value")]
        return found + _size(node, path)
    if node.kind == BINARY:
        return _binary(node, reader, path)
    if node.is_cut:
        return [Token(type_words(node), "type"), *_size(node, path)]
    return _scalar(node)


def _lines(
    before: list[Token], node: Node, reader: Reader, depth: int, path: tuple[str, ...], end: str
) -> Iterator[list[Token]]:
    """The lines of a value behind what stands before it in its first."""
    indent = Token("  " * depth)
    start = [indent, *before]
    if node.kind not in (OBJECT, LIST) or (depth and _fits(node, reader, depth)):
        yield [*start, *value_tokens(node, reader, path), *([Token(end)] if end else [])]
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
    length = sum(len(token.text) for token in value_tokens(node, reader, ()))
    return length <= _LONGEST_LINE - 2 * depth


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
        found += value_tokens(inner, reader, (*path, name))
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
    subtype, content = node.value[10], node.value[11:-1]
    if node.is_cut:
        if not content:
            return [Token("binary", "type"), *_size(node, path)]
        name = f"Binary.{subtype}" if subtype else "Binary"
        return [*_called(name, f"{content.hex()}…"), *_size(node, path)]
    if uuid := _uuid(subtype, content, reader.at(path).uuids.get("")):
        return _called("UUID", f'"{uuid}"')
    first = content[:16].hex() + ("…" if len(content) > 16 else "")
    told = f"{first}, {len(content)} bytes" if content else "0 bytes"
    return _called(f"Binary.{subtype}" if subtype else "Binary", told)


def _uuid(subtype: int, content: bytes, reading: str | None) -> UUID | None:
    if len(content) != 16:
        return None
    if subtype == UUID_SUBTYPE:
        return UUID(bytes=content)
    if subtype == OLD_UUID_SUBTYPE and reading in LEGACY_UUIDS:
        return Binary(content, OLD_UUID_SUBTYPE).as_uuid(LEGACY_UUIDS[reading])
    return None


def _scalar(node: Node) -> list[Token]:
    if node.kind in _WORDS:
        return [Token(_WORDS[node.kind], "type")]
    if node.kind in (DOUBLE, INT32):
        return [Token(number_text(node), "value")]
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
    milliseconds = int_of(node)
    moment = moment_of(milliseconds)
    if moment is None:
        told = Token(f" in the year {year_of(milliseconds)}", "more")
        return [*_called("Date", str(milliseconds)), told]
    return _called("ISODate", f'"{utc_text(moment)}"')


def _called(name: str, content: str) -> list[Token]:
    return [Token(f"{name}(", "type"), Token(content, "value"), Token(")", "type")]


def _quoted(text: str) -> str:
    return visible(text.replace("\\", "\\\\").replace('"', '\\"'))


def _decoded(content: bytes) -> str:
    return visible(content.decode(errors="surrogateescape"))


_WORDS = {NULL: "null", UNDEFINED: "undefined", _MIN_KEY: "MinKey()", _MAX_KEY: "MaxKey()"}
_SCALARS: dict[int, Callable[[Node], list[Token]]] = {
    INT64: lambda node: _called("Long", f'"{int_of(node)}"'),
    DECIMAL: lambda node: _called("Decimal128", f'"{number_text(node)}"'),
    OBJECT_ID: lambda node: _called("ObjectId", f'"{hex_of(node)}"'),
    DATE: _date,
    TIMESTAMP: _timestamp,
    BOOLEAN: _truth,
    _REGEX: _regex,
    _CODE: lambda node: _called("Code", f'"{_quoted(text_of(node))}"'),
    _SYMBOL: lambda node: _called("Symbol", f'"{_quoted(text_of(node))}"'),
    _SCOPED: _scoped,
    _DB_POINTER: _db_pointer,
}
