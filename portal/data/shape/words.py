"""A survey of documents in words, a row a field."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from portal.bidi import isolated
from portal.data.bson_types import (
    BINARY,
    BOOLEAN,
    DATE,
    DOUBLE,
    LIST,
    NULL,
    NUMBERS,
    OBJECT,
    OBJECT_ID,
    TEXT,
    WORDS,
    family_of,
)
from portal.data.shape.fields import FIRST_DATE, LAST_DATE, Node, Path, Range, Step, number_of
from portal.tenants.elements import elements_of

MISSING = "missing"
BAR_WIDTH = 96
STRAY = 0.02
"""The share of documents below which a type is a stray."""
_LONGEST_EXAMPLE = 24
_FEW = 12
_MOST_NAMES = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a field's documents, or of what is in its lists: a type, or none."""

    words: str
    share: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a bar of BAR_WIDTH: ``first``, ``second`` or ``stray``; what is missing is left."""

    start: float
    width: float
    kind: str


def bars_of(parts: Sequence[Part]) -> list[Bar]:
    """The parts as a bar, each that there is wide enough to be seen."""
    found, start = [], 0.0
    types = [part for part in parts if part.words != MISSING]
    for rank, part in enumerate(types):
        width = max(part.share * BAR_WIDTH, 1.5)
        kind = "first" if not rank else "stray" if part.share < STRAY else "second"
        found.append(Bar(round(min(start, BAR_WIDTH - width), 1), round(width, 1), kind))
        start += width
    return found


def shown_path(path: Path) -> str:
    """The path as people write it: lists by the names of what is in their objects alone."""
    names = []
    for step in path:
        if step is Step.ITEM:
            continue
        names.append(f"‹{step.value}›" if isinstance(step, Step) else step or "‹no name›")
    return ".".join(names)


def percent(share: float) -> str:
    """A share in words; neither none nor all where it is little less, or more."""
    number = share * 100
    if number in (0, 100) or 10 <= number <= 90:
        return f"{number:.0f} %"
    if number < 0.1:
        return "under 0.1 %"
    return f"{min(number, 99.9):.1f}".removesuffix(".0") + " %"


def parts_of(path: Path, node: Node, base: int | None) -> list[Part]:
    """The types of a field, the commonest first, then what has none; ``base`` is the number of
    objects that it could be in."""
    whole = max(base or 0, node.tally.values)
    found = []
    for kind, tally in sorted(node.kinds.items(), key=lambda each: -each[1].values):
        empty = node.empty.get(kind)
        empties = empty.values if empty and kind == TEXT else 0
        found.append((tally.values - empties, WORDS[kind]))
        if empties:
            found.append((empties, "empty text"))
    parts = [Part(words, number / whole) for number, words in sorted(found, reverse=True) if number]
    absent = whole - node.tally.values
    return [*parts, Part(MISSING, absent / whole)] if absent else parts


def types_in_words(node: Node, parts: list[Part]) -> str:
    """The types with their shares; the share of the only one goes without saying."""
    item = node.children.get(Step.ITEM)
    if set(node.kinds) == {LIST} and item and len(parts) == 1:
        kinds = sorted(item.kinds.items(), key=lambda each: -each[1].values)
        if len(kinds) == 1:
            return f"list of {_plural(kinds[0][0])}"
        shares = (
            f"of {_plural(kind)} {percent(tally.values / item.tally.values)}"
            for kind, tally in kinds
        )
        return "list, " + ", ".join(shares)
    if len(parts) == 1:
        return parts[0].words
    return ", ".join(f"{part.words} {percent(part.share)}" for part in parts)


def values_in_words(path: Path, node: Node) -> str:
    """The range of the values of the commonest type."""
    if isinstance(path[-1], str) and "." in path[-1]:
        return "one field with a dot"
    kind = family_of(_usual(node))
    if kind in _RANGES:
        return _range(node.ranges[kind], _RANGES[kind]) if kind in node.ranges else ""
    if kind == LIST and node.lengths:
        usual = max(node.lengths, key=lambda length: node.lengths[length])
        words = _range(node.ranges[LIST], str)
        return words if words == str(usual) else f"{words}, mostly {usual}"
    if kind == OBJECT_ID and TEXT in node.kinds:
        ids = node.hex_texts.values + node.kinds[OBJECT_ID].values
        return "all 24 hex digits" if ids == node.tally.values else ""
    return _texts_in_words(node) if kind == TEXT else ""


def examples_of(node: Node) -> list[str]:
    """Some values; of a text with few different ones the commonest, with their shares."""
    if _usual(node) == TEXT and is_enumeration(node):
        by_share = sorted(node.texts.items(), key=lambda each: -each[1].values)[:_MOST_NAMES]
        whole = node.kinds[TEXT].values
        shares = ((_cut(text), tally.values / whole) for text, tally in by_share)
        return [f"{isolated(text)} {percent(share)}" for text, share in shares]
    kinds = sorted(node.first, key=lambda kind: -node.kinds[kind].values)
    quoted = len({family_of(kind) for kind in kinds}) > 1
    found: list[str] = []
    for kind in kinds[:_MOST_NAMES]:
        for document, start, end in node.first[kind][: 1 if len(kinds) > 1 else 2]:
            words = value_in_words(kind, document, start, end, quoted=quoted)
            if words not in found:
                found.append(words)
    return found


def is_enumeration(node: Node) -> bool:
    """Tell whether its texts are a few words that come again and again."""
    texts = node.kinds[TEXT].values if TEXT in node.kinds else 0
    return not node.many_texts and 0 < len(node.texts) <= _FEW and texts >= 4 * len(node.texts)


def value_in_words(kind: int, document: bytes, start: int, end: int, *, quoted: bool = True) -> str:
    """A value in a few characters."""
    if kind == TEXT:
        text = _cut(document[start + 4 : end - 1].decode("utf-8", "replace"))
        return f"“{text}”" if quoted or not text else text
    if kind == LIST:
        length = sum(1 for _ in elements_of(document, start))
        return f"[ {length} ]" if length else "[ ]"
    if kind == OBJECT:
        return _keys(document, start)
    if kind in NUMBERS:
        return _number(number_of(kind, document[start:end]))
    shown = _SHOWN.get(kind)
    return shown(document[start:end]) if shown else WORDS[kind]


def _usual(node: Node) -> int:
    return max(node.kinds, key=lambda kind: (node.kinds[kind].values, kind != NULL))


def _texts_in_words(node: Node) -> str:
    lengths = node.ranges.get(TEXT)
    if lengths is None:
        return "always empty"
    if is_enumeration(node):
        return f"{len(node.texts)} different" if len(node.texts) > 1 else "always the same"
    words = _range(lengths, str)
    return f"{words} character{'' if words == '1' else 's'}"


def _range(seen: Range, shown: Any) -> str:
    least, most = shown(seen.least), shown(seen.most)
    return least if least == most else f"{least} to {most}"


def _plural(kind: int) -> str:
    words = WORDS[kind]
    return {TEXT: "texts", BINARY: "binaries"}.get(kind) or (
        words if words[-1].isdigit() or kind == NULL else f"{words}s"
    )


def _number(number: Any) -> str:
    if isinstance(number, int):
        return f"{number:,}".replace("-", "−")
    return f"{number:,.10g}".replace("-", "−")


def _size(size_bytes: int) -> str:
    for unit, size in (("MB", 1_000_000), ("kB", 1000)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size_bytes} B"


def _day(moment: int) -> str:
    if not FIRST_DATE <= moment <= LAST_DATE:
        return f"year {_year(moment)}"
    return f"{_EPOCH + timedelta(milliseconds=moment):%-d %b %Y}"


def _moment(moment: int) -> str:
    if not FIRST_DATE <= moment <= LAST_DATE:
        return f"year {_year(moment)}"
    return f"{_EPOCH + timedelta(milliseconds=moment):%-d %b %Y %H:%M} UTC"


def _year(moment: int) -> int:
    """The year of a date that Python has none for, as the Gregorian calendar goes on."""
    return int(1970 + moment // 1000 / (365.2425 * 86400))


def _keys(document: bytes, start: int) -> str:
    names = list(_names(document, start))
    if not names:
        return "{ }"
    more = ", …" if len(names) > _MOST_NAMES else ""
    return "{ " + ", ".join(_cut(name) for name in names[:_MOST_NAMES]) + more + " }"


def _names(document: bytes, start: int) -> Iterator[str]:
    for _, encoded, _, _ in elements_of(document, start):
        yield encoded.decode("utf-8", "replace")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_EXAMPLE else f"{text[:_LONGEST_EXAMPLE]}…"


def _binary(encoded: bytes) -> str:
    first = encoded[5:9].hex(" ")
    return f"{first} …" if len(encoded) > 9 else first or "0 B"


_RANGES: dict[int, Callable[[Any], str]] = {DOUBLE: _number, DATE: _day, BINARY: _size}
_SHOWN: dict[int, Callable[[bytes], str]] = {
    OBJECT_ID: lambda encoded: f"{encoded.hex()[:8]}…",
    BOOLEAN: lambda encoded: "true" if encoded[0] else "false",
    DATE: lambda encoded: _moment(int.from_bytes(encoded, "little", signed=True)),
    BINARY: _binary,
}
