"""Reading CSV: rows as documents, by the types of their columns."""

from collections.abc import Iterator, Sequence
from typing import Any

import bson

from portal.data.formats.cells import MISSING, Convert, Unfit, converter, empty_value
from portal.data.formats.csv_rows import Block, QuotedEmpty, rows_in_blocks, shown
from portal.data.formats.exact import Exact, encode_exactly, fault_of
from portal.data.formats.options import Column, ColumnType, Empty, ReadOptions
from portal.data.formats.records import LARGEST_DOCUMENT_BYTES, TOO_LARGE, Fault, Position, Record

_NOTHING: frozenset[int] = frozenset()


def read_csv(content: Iterator[bytes], options: ReadOptions, begin: Position) -> Iterator[Record]:
    """The records after ``begin``."""
    rows = _Rows(options.columns)
    skip = begin.skip
    counted = 0  # since byte ``begin.offset``
    for block in rows_in_blocks(content, options.dialect, begin):
        size = len(block.rows)
        if counted + size > skip:
            yield from _records(block, rows, max(0, skip - counted))
        counted += size


def _records(block: Block, rows: "_Rows", start: int) -> Iterator[Record]:
    offset, lines, number = block.begin[:3]
    faults, skipped, quoted = block.faults, block.skipped, block.quoted
    count = number
    for index, row in enumerate(block.rows):
        is_skipped = index in skipped
        count += not is_skipped
        if index < start:
            continue
        document: bytes | None = None
        fault = faults.get(index)
        if fault is None and not is_skipped:
            try:
                document = rows.document(row, quoted.get(index, _NOTHING))
            except _Faulty as faulty:
                fault = faulty.fault
        end = Position(offset, lines, number, index + 1)
        source = _with_quotes(row, quoted[index]) if index in quoted else row
        yield Record(count, block.lines[index], end, document, fault, source)


def _with_quotes(row: list[str], quoted: frozenset[int]) -> list[str]:
    return [QuotedEmpty() if index in quoted else cell for index, cell in enumerate(row)]


class _Faulty(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


class _Field:
    """A column that becomes a field of a document or, by its index, of a list."""

    __slots__ = ("column", "convert", "empty", "index", "is_text")

    def __init__(self, index: int, column: Column) -> None:
        self.index, self.column = index, column
        self.convert: Convert | None = converter(column)
        self.empty = empty_value(column)
        self.is_text = column.type == ColumnType.STRING

    def value(self, cell: str, is_quoted: bool) -> Any:
        """The value of a cell, or MISSING."""
        if not cell:
            if is_quoted and self.is_text:
                return ""
            if self.column.empty == Empty.ERROR:
                raise _Faulty(Fault("Empty", self.column.header, ""))
            return self.empty
        try:
            return cell if self.convert is None else self.convert(cell)
        except Unfit as unfit:
            raise _Faulty(Fault(str(unfit), self.column.header, shown(cell))) from unfit


_Tree = dict[str | int, "_Field | _Tree"]


class _Rows:
    """Makes documents of rows."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._width = len(columns)
        self._tree: _Tree = {}
        self._whole: _Field | None = None
        for index, column in enumerate(columns):
            if column.type == ColumnType.DOCUMENT:
                self._whole = _Field(index, column)
            elif column.type != ColumnType.LEFT_OUT:
                self._place(column, _Field(index, column))
        self._has_exact = any(column.escaped or column.type == "ejson" for column in columns)
        self._plain = [
            (name, field.index, field.convert, field)
            for name, field in self._tree.items()
            if isinstance(field, _Field)
        ]
        self._is_plain = len(self._plain) == len(self._tree)

    def document(self, row: list[str], quoted: frozenset[int]) -> bytes:
        """The document of a row. Raises _Faulty."""
        if len(row) != self._width:
            row = self._fitted(row)
        if self._whole is not None and row[self._whole.index]:
            return self._whole_document(row)
        fields = (
            self._fields(row, quoted) if self._is_plain else self._level(self._tree, row, quoted)
        )
        if self._has_exact and _has_exact(fields):
            document = encode_exactly(fields)
        else:
            document = bson.encode(fields)
        return _checked(document)

    def _fields(self, row: list[str], quoted: frozenset[int]) -> dict[str, Any]:
        """The fields of a document without sub-documents; most of an import's time is here."""
        fields: dict[Any, Any] = {}
        for name, index, convert, field in self._plain:
            cell = row[index]
            if not cell:
                value = field.value(cell, index in quoted)
                if value is not MISSING:
                    fields[name] = value
            elif convert is None:
                fields[name] = cell
            else:
                try:
                    value = convert(cell)
                except Unfit as unfit:
                    fault = Fault(str(unfit), field.column.header, shown(cell))
                    raise _Faulty(fault) from unfit
                if value is not MISSING:
                    fields[name] = value
        return fields

    def _level(self, tree: _Tree, row: list[str], quoted: frozenset[int]) -> Any:
        found: dict[Any, Any] = {}
        for step, node in tree.items():
            if isinstance(node, _Field):
                value = node.value(row[node.index], node.index in quoted)
            else:
                value = self._level(node, row, quoted) or MISSING
            if value is not MISSING:
                found[step] = value
        if tree and isinstance(next(iter(tree)), int):
            return _list(found)
        return found

    def _place(self, column: Column, field: _Field) -> None:
        level = self._tree
        for step in column.path[:-1]:
            node = level.setdefault(step, {})
            if isinstance(node, _Field):
                raise ValueError(f"{column.header} is inside of a field that has a value")
            level = node
        level[column.path[-1]] = field

    def _fitted(self, row: list[str]) -> list[str]:
        """The row with as many cells as columns: missing ones are empty."""
        if any(row[self._width :]):
            told = f"{len(row)} cells, {self._width} columns"
            raise _Faulty(Fault(_too_many(row), None, told))
        return row[: self._width] + [""] * (self._width - len(row))

    def _whole_document(self, row: list[str]) -> bytes:
        whole = self._whole
        assert whole is not None  # noqa: S101 (for the type checker)
        header = whole.column.header
        if sum(map(bool, row)) > 1:
            reason = "A whole document, and other cells that aren’t empty"
            raise _Faulty(Fault(reason, header))
        document: bytes = whole.value(row[whole.index], is_quoted=False)
        reason = fault_of(document) or ""
        if reason:
            raise _Faulty(Fault(reason, header))
        return _checked(document)


def _list(found: dict[int, Any]) -> list[Any]:
    if [*found] != [*range(len(found))]:
        missing = next(index for index in range(len(found) + 1) if index not in found)
        raise _Faulty(Fault(f"Element {missing} of a list is missing, and a later one isn’t"))
    return [*found.values()]


def _has_exact(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_exact, value.values()))
    if isinstance(value, list):
        return any(map(_has_exact, value))
    return isinstance(value, Exact)


def _checked(document: bytes) -> bytes:
    if len(document) > LARGEST_DOCUMENT_BYTES:
        raise _Faulty(Fault(TOO_LARGE))
    return document


def _too_many(row: list[str]) -> str:
    if any(cell.startswith(" ") and cell.lstrip(" ").startswith('"') for cell in row):
        return "More cells than columns: a quote behind a space encloses nothing"
    return "More cells than columns"
