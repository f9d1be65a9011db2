"""The shape of documents: their fields, and of each its types, share and values.

A survey reads encoded documents one by one and keeps counts only. Which documents have something is
a set of bits, so that what several keys had can be told of them together: keys that look like ids
fold into one.
"""

import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

from bson import Decimal128

from portal.data.bson_types import (
    BINARY,
    DATE,
    DECIMAL,
    DOUBLE,
    INT32,
    INT64,
    LIST,
    NUMBERS,
    OBJECT,
    TEXT,
)
from portal.tenants.elements import elements_of

_DOUBLE = struct.Struct("<d")

MOST_FIELDS = 1000
"""The fields that a survey tells; of more it says that there are more."""
MOST_ELEMENTS = 50_000
"""The elements of a document that are looked at, at whatever depth."""
MOST_DEPTH = 20
MOST_ALIKE = 12
"""The keys of an object that may look alike until they fold into one."""
MOST_KEYS = 10_000
MOST_TEXTS = 30
FIRST_DATE, LAST_DATE = -62135596800000, 253402300799999
"""The milliseconds of the first and the last moment that has a year of one to four digits."""
_LONGEST_TEXT = 60
_MOST_NUMBERS = 5000


class Step(Enum):
    """A step of a path that isn't the name of a field."""

    ITEM = "in a list"
    OBJECT_IDS = "24 hex digits"
    UUIDS = "UUIDs"
    NUMBERS = "digits"
    DATES = "dates"
    ADDRESSES = "e-mail addresses"
    TOKENS = "16 and more letters and digits"


Path = tuple[str | Step, ...]
"""The names of a field and of those around it, literally: a dot in one is a dot."""

_ALIKE = (
    (re.compile(r"[0-9a-fA-F]{24}"), Step.OBJECT_IDS),
    (re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"), Step.UUIDS),
    (re.compile(r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2}.*)?"), Step.DATES),
    (re.compile(r"[0-9]+"), Step.NUMBERS),
    (re.compile(r"[^@\s]+@[^@\s]+"), Step.ADDRESSES),
    (re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_-]{16,}"), Step.TOKENS),
)


class Tally:
    """A number of values, and the documents that they are in, as bits."""

    __slots__ = ("bits", "values")

    def __init__(self) -> None:
        self.values, self.bits = 0, 0

    def add(self, bit: int) -> None:
        """Count a value in the document of this bit."""
        self.values += 1
        self.bits |= bit

    def merge(self, other: "Tally") -> None:
        """Count what the other one did."""
        self.values += other.values
        self.bits |= other.bits

    @property
    def documents(self) -> int:
        """The number of documents."""
        return self.bits.bit_count()


@dataclass(slots=True)
class Range:
    """The least and the greatest of some values."""

    least: Any = None
    most: Any = None

    def add(self, value: Any) -> None:
        """Widen the range to the value."""
        if self.least is None or value < self.least:
            self.least = value
        if self.most is None or value > self.most:
            self.most = value

    def merge(self, other: "Range") -> None:
        """Widen the range to another one."""
        if other.least is not None:
            self.add(other.least)
            self.add(other.most)


@dataclass(slots=True)
class Node:
    """A field as a survey has seen it, at one place of documents, or an element of a list."""

    tally: Tally = field(default_factory=Tally)
    kinds: dict[int, Tally] = field(default_factory=dict)
    empty: dict[int, Tally] = field(default_factory=dict)  # texts and lists
    hex_texts: Tally = field(default_factory=Tally)
    early: Tally = field(default_factory=Tally)  # dates before the year 1
    late: Tally = field(default_factory=Tally)  # and after 9999
    texts: dict[str, Tally] = field(default_factory=dict)
    many_texts: bool = False
    numbers: list[tuple[int | float | Decimal, int]] = field(default_factory=list)
    ranges: dict[int, Range] = field(default_factory=dict)  # values, lengths and sizes
    lengths: dict[int, int] = field(default_factory=dict)  # of lists: how often each
    first: dict[int, list[tuple[bytes, int, int]]] = field(default_factory=dict)
    children: "dict[str | Step, Node]" = field(default_factory=dict)
    names: dict[Step, set[str]] = field(default_factory=dict)

    def documents_of(self, kinds: Mapping[int, Any] | frozenset[int]) -> int:
        """The number of documents with a value of one of these types."""
        return self.bits_of(kinds).bit_count()

    def bits_of(self, kinds: Mapping[int, Any] | frozenset[int]) -> int:
        """The documents with a value of one of these types, as bits."""
        bits = 0
        for kind in self.kinds.keys() & kinds:
            bits |= self.kinds[kind].bits
        return bits

    def merge(self, other: "Node") -> None:
        """Count what was seen at another place as seen here."""
        self.tally.merge(other.tally)
        self.hex_texts.merge(other.hex_texts)
        self.early.merge(other.early)
        self.late.merge(other.late)
        for mine, others in ((self.kinds, other.kinds), (self.empty, other.empty)):
            for kind, tally in others.items():
                mine.setdefault(kind, Tally()).merge(tally)
        for text, tally in other.texts.items():
            self.texts.setdefault(text, Tally()).merge(tally)
        self.many_texts |= other.many_texts or len(self.texts) > MOST_TEXTS
        self.numbers = (self.numbers + other.numbers)[:_MOST_NUMBERS]
        for kind, seen in other.ranges.items():
            self.ranges.setdefault(kind, Range()).merge(seen)
        for length, number in other.lengths.items():
            self.lengths[length] = self.lengths.get(length, 0) + number
        for kind, examples in other.first.items():
            self.first.setdefault(kind, examples)
        for name, child in other.children.items():
            if name in self.children:
                self.children[name].merge(child)
            else:
                self.children[name] = child
        for step, names in other.names.items():
            self.names.setdefault(step, set()).update(names)


class Survey:
    """Counts what the documents that it is given have."""

    def __init__(self) -> None:
        self.root = Node()
        self.documents = 0
        self.fields = 0
        self.cut = False
        """Not all was looked at: a document has too many elements, or is nested too deep."""
        self.more_fields = False
        """There are more fields than MOST_FIELDS."""
        self._left = 0

    def add(self, document: bytes) -> None:
        """Count a document."""
        self._left = MOST_ELEMENTS
        self._object(self.root, document, 0, 1 << self.documents, 1)
        self.documents += 1

    def walk(self) -> Iterator[tuple[Path, Node, Node]]:
        """Each field below the whole, with its path and the node of what it is in, in the order in
        which they were found."""
        yield from _walk((), self.root)

    def _object(self, node: Node, document: bytes, start: int, bit: int, depth: int) -> None:
        seen = set()
        for kind, encoded, value, end in elements_of(document, start):
            self._left -= 1
            if self._left < 0:
                self.cut = True
                return
            name = encoded.decode("utf-8", "replace")
            child = self._child(node, name)
            # A key that is there twice is one field: the first, as filters have it.
            if child is None or encoded in seen:
                continue
            seen.add(encoded)
            self._value(child, document, kind, value, end, bit, depth)

    def _list(self, node: Node, document: bytes, start: int, bit: int, depth: int) -> int:
        item, length = node.children.get(Step.ITEM), 0
        for kind, _, value, end in elements_of(document, start):
            length += 1
            self._left -= 1
            if self._left < 0:
                self.cut = True
                continue
            if item is None:
                item = node.children[Step.ITEM] = Node()
            self._value(item, document, kind, value, end, bit, depth)
        return length

    def _value(
        self, node: Node, document: bytes, kind: int, start: int, end: int, bit: int, depth: int
    ) -> None:
        node.tally.add(bit)
        node.kinds.setdefault(kind, Tally()).add(bit)
        examples = node.first.setdefault(kind, [])
        if len(examples) < 3:
            examples.append((document, start, end))
        if kind in NUMBERS:
            _count_number(node, number_of(kind, document[start:end]), bit)
        elif kind == TEXT:
            _count_text(node, document[start + 4 : end - 1], bit)
        elif kind == DATE:
            _count_date(node, document[start:end], bit)
        elif kind == BINARY:
            node.ranges.setdefault(BINARY, Range()).add(end - start - 5)
        elif kind in (OBJECT, LIST) and depth >= MOST_DEPTH:
            self.cut = True
        elif kind == OBJECT:
            self._object(node, document, start, bit, depth + 1)
        elif kind == LIST:
            _count_length(node, self._list(node, document, start, bit, depth + 1), bit)

    def _child(self, node: Node, name: str) -> Node | None:
        found = node.children.get(name)
        if found is not None:
            return found
        alike = next((step for pattern, step in _ALIKE if pattern.fullmatch(name)), None)
        if alike is not None:
            names = node.names.setdefault(alike, set())
            if len(names) < MOST_KEYS:
                names.add(name)
            if alike in node.children:
                return node.children[alike]
            if len(names) > MOST_ALIKE:
                return self._fold(node, alike, names)
        if self.fields >= MOST_FIELDS:
            self.more_fields = True
            return None
        self.fields += 1
        found = node.children[name] = Node()
        return found

    def _fold(self, node: Node, alike: Step, names: set[str]) -> Node:
        folded = Node()
        for name in names & node.children.keys():
            folded.merge(node.children.pop(name))
            self.fields -= 1
        self.fields += 1
        node.children[alike] = folded
        return folded


def number_of(kind: int, encoded: bytes) -> int | float | Decimal:
    """The number in the bytes of a value of one of NUMBERS."""
    if kind in (INT32, INT64):
        return int.from_bytes(encoded, "little", signed=True)
    if kind == DECIMAL:
        return Decimal128.from_bid(encoded).to_decimal()
    return float(_DOUBLE.unpack(encoded)[0])


def _count_number(node: Node, number: int | float | Decimal, bit: int) -> None:
    if number.is_nan() if isinstance(number, Decimal) else math.isnan(number):
        return
    node.ranges.setdefault(DOUBLE, Range()).add(number)
    if len(node.numbers) < _MOST_NUMBERS:
        node.numbers.append((number, bit))


def _count_date(node: Node, encoded: bytes, bit: int) -> None:
    moment = int.from_bytes(encoded, "little", signed=True)
    node.ranges.setdefault(DATE, Range()).add(moment)
    if not FIRST_DATE <= moment <= LAST_DATE:
        (node.late if moment > 0 else node.early).add(bit)


def _count_length(node: Node, length: int, bit: int) -> None:
    node.ranges.setdefault(LIST, Range()).add(length)
    node.lengths[length] = node.lengths.get(length, 0) + 1
    if not length:
        node.empty.setdefault(LIST, Tally()).add(bit)


def _count_text(node: Node, encoded: bytes, bit: int) -> None:
    text = encoded.decode("utf-8", "replace")
    if not text:
        node.empty.setdefault(TEXT, Tally()).add(bit)
        return
    node.ranges.setdefault(TEXT, Range()).add(len(text))
    if _ALIKE[0][0].fullmatch(text):
        node.hex_texts.add(bit)
    if len(text) <= _LONGEST_TEXT and (text in node.texts or len(node.texts) < MOST_TEXTS):
        node.texts.setdefault(text, Tally()).add(bit)
    else:
        node.many_texts = True


def _walk(above: Path, node: Node) -> Iterator[tuple[Path, Node, Node]]:
    for step, child in node.children.items():
        path = (*above, step)
        yield path, child, node
        yield from _walk(path, child)
