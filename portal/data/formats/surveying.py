"""Finding the columns of a CSV file from documents."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS

from portal.data.formats.exact import EXACT, UNDECODABLE
from portal.data.formats.headings import WHOLE_DOCUMENT, path_text
from portal.data.formats.options import Column, ColumnType, Empty

_MOST_COLUMNS = 2000
_MOST_ALIKE = 100
_DECODED_AT_ONCE = 100
_MOST_SUBFIELDS = 100
"""A sub-document with more fields has keys that are values, and stays one cell."""
TYPES: dict[type, ColumnType] = {
    str: ColumnType.STRING,
    int: ColumnType.INT32,
    Int64: ColumnType.INT64,
    float: ColumnType.DOUBLE,
    Decimal128: ColumnType.DECIMAL,
    bool: ColumnType.BOOLEAN,
    DatetimeMS: ColumnType.DATE,
    ObjectId: ColumnType.OBJECT_ID,
    bytes: ColumnType.BINARY,
}
_UUID_SUBTYPE, _UUID_BYTES = 4, 16


def type_of(value: Any) -> ColumnType:
    """The type of a column that has such values; EJSON where no other has them."""
    found = TYPES.get(type(value))
    if found is not None:
        return found
    if type(value) is Binary and value.subtype == _UUID_SUBTYPE and len(value) == _UUID_BYTES:
        return ColumnType.UUID
    return ColumnType.EJSON


@dataclass(slots=True)
class _Node:
    """Counts of a field's values, over all documents."""

    types: Counter[ColumnType] = field(default_factory=Counter)
    count: int = 0
    nulls: int = 0
    empty_texts: int = 0
    documents: int = 0
    order: list[str] = field(default_factory=list)
    below: "dict[str, _Node]" = field(default_factory=dict)

    def add_fields(self, fields: dict[str, Any], times: int = 1) -> None:
        self.documents += times
        place = 0
        for name, value in fields.items():
            node = self.below.get(name)
            if node is not None:
                if self.order[place : place + 1] == [name]:
                    place += 1
                else:
                    place = max(place, self.order.index(name) + 1)
            elif len(self.below) < _MOST_COLUMNS:
                node = self.below[name] = _Node()
                self.order.insert(place, name)
                place += 1
            if node is not None:
                node.add(value, times)

    def add(self, value: Any, times: int) -> None:
        self.count += times
        if type(value) is dict and value:
            if len(self.below) <= _MOST_SUBFIELDS:
                self.add_fields(value, times)
            else:
                self.documents += times
        elif value is None:
            self.nulls += times
        else:
            self.types[type_of(value)] += times
            self.empty_texts += times * (type(value) is str and not value)

    @property
    def is_flat(self) -> bool:
        """``True`` where it is always a sub-document, which becomes columns of its own."""
        return self.documents == self.count and len(self.below) <= _MOST_SUBFIELDS


@dataclass(slots=True)
class _Alike:
    """Fields of a document, and how many others have fields like these."""

    fields: dict[str, Any]
    times: int = 1


class Survey:
    """Finds the columns of a CSV file from documents: all of them, or a sample."""

    def __init__(self) -> None:
        self._top = _Node()
        # Most documents are alike: those of the same names and types are only counted.
        self._alike: dict[tuple[Any, ...], _Alike] = {}

    def add(self, documents: Sequence[bytes]) -> None:
        """Take documents into account."""
        for start in range(0, len(documents), _DECODED_AT_ONCE):
            self._add_part(documents[start : start + _DECODED_AT_ONCE])

    def _add_part(self, documents: Sequence[bytes]) -> None:
        try:
            decoded = bson.decode_all(b"".join(documents), EXACT)
        except UNDECODABLE:
            if len(documents) > 1:
                for document in documents:
                    self._add_part([document])
            return  # it has no cells of its own
        for fields in decoded:
            self._add(fields)

    def _add(self, fields: dict[str, Any]) -> None:
        types = tuple(map(type, fields.values()))
        key = (*fields, *types)
        known = self._alike.get(key)
        if known is not None and "" not in fields.values():
            known.times += 1
        elif dict in types or Binary in types or "" in fields.values():
            self._top.add_fields(fields)
        else:
            if len(self._alike) == _MOST_ALIKE:
                self._count_alike()
            self._alike[key] = _Alike(fields)

    def columns(self) -> tuple[Column, ...]:
        """The columns in the documents' order, with their types, 2,000 at most; last the one for a
        document that the others can't carry. Sub-documents are flattened."""
        self._count_alike()
        found = _columns(self._top, (), self._top.documents)[:_MOST_COLUMNS]
        return (*found, Column(WHOLE_DOCUMENT, (WHOLE_DOCUMENT,), ColumnType.DOCUMENT))

    def _count_alike(self) -> None:
        for alike in self._alike.values():
            self._top.add_fields(alike.fields, alike.times)
        self._alike.clear()


def _columns(node: _Node, path: tuple[str, ...], total: int) -> list[Column]:
    found: list[Column] = []
    for name in node.order:
        below, whole = node.below[name], (*path, name)
        if below.is_flat:
            found += _columns(below, whole, total)
        else:
            found.append(_column(below, whole, total))
    return found


def _column(node: _Node, path: tuple[str, ...], total: int) -> Column:
    types = node.types + Counter({ColumnType.EJSON: node.documents})
    [(kind, _)] = types.most_common(1) or [(ColumnType.STRING, 0)]
    empties = {Empty.MISSING: total - node.count, Empty.NULL: node.nulls}
    if kind == ColumnType.STRING:
        empties[Empty.TEXT] = node.empty_texts
    return Column(path_text(path), path, kind, max(empties, key=lambda each: empties[each]))
