"""Writing CSV: documents as rows, so that a typed file is read as the same documents."""

import base64
import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import bson
import bsonjs
from bson import Decimal128

from portal.data import extended_json
from portal.data.errors import InvalidExtendedJson
from portal.data.formats.cells import ESCAPE, FORMULA, PLAIN_NUMBER
from portal.data.formats.dates import iso_text
from portal.data.formats.exact import EXACT, UNDECODABLE, decode_all_exactly
from portal.data.formats.headings import heading_of, path_text
from portal.data.formats.options import Column, ColumnType, Empty, WriteOptions
from portal.data.formats.surveying import TYPES, type_of
from portal.data.formats.written import Written

LONGEST_SPREADSHEET_CELL = 32_767
"""The characters that a spreadsheet cuts a cell to."""

_LINE_END = "\r\n"
_NAN = struct.pack("<d", math.nan)
_GUARDED = frozenset("'=+-@\t\r")
_MOST_LEFT_OUT = 200
_DECODED_AT_ONCE = 100

# Cells of other types are no formulas, nor escaped by chance.
_WITH_ANY_TEXT = (ColumnType.STRING, ColumnType.BINARY)

# Values of these types are a text by themselves; what begins so may be no plain one.
_BY_TYPE = {column: kind for kind, column in TYPES.items()}
_MARKED = _GUARDED | {ESCAPE[0]}


class _Cell(NamedTuple):
    """The place of a field's cell, and how values of the type of its column become text."""

    place: int
    type: type | None
    text: Callable[[Any], str]
    is_text: bool


_Tree = dict[str, "_Cell | _Tree"]


class _Unsayable(Exception):
    """The columns can't carry the document."""


class CsvRows:
    """Makes rows of documents, by the columns."""

    def __init__(self, options: WriteOptions, written: Written) -> None:
        self._typed, self._guarded = options.typed, options.guarded
        self._delimiter, self._spreadsheet = options.delimiter, options.spreadsheet
        self._written = written
        self._columns = [
            column
            for column in options.columns
            if column.type != ColumnType.DOCUMENT or options.typed
        ]
        self._types = [column.type for column in self._columns]
        # A typed file says what is missing where an empty cell says something else.
        self._blank = [
            ESCAPE if options.typed and column.empty != Empty.MISSING else ""
            for column in self._columns
        ]
        self._quotable = re.compile(rf'[{re.escape(options.delimiter)}"\r\n\ufeff]')
        self._tree = self._placed()

    def heading(self) -> str:
        """The first line."""
        cells = [
            heading_of(self._with_guard(column)) if self._typed else path_text(column.path)
            for column in self._columns
        ]
        mark = "\ufeff" if self._spreadsheet else ""
        if self._spreadsheet:  # a first cell ID would be taken for another format
            cells = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        else:
            cells = [self._quoted(cell) for cell in cells]
        return mark + self._delimiter.join(cells) + _LINE_END

    def rows(self, documents: Sequence[bytes]) -> str:
        """The lines of documents; several for one whose texts have line breaks."""
        self._written.documents += len(documents)
        if not self._typed:
            return "".join(map(self._plain_row, documents))
        starts = range(0, len(documents), _DECODED_AT_ONCE)
        parts = (documents[start : start + _DECODED_AT_ONCE] for start in starts)
        return "".join(
            line for part in parts for line in map(self._row, part, decode_all_exactly(part))
        )

    def _row(self, document: bytes, fields: dict[str, Any] | None) -> str:
        try:
            if fields is None:
                raise _Unsayable
            cells = self._blank.copy()
            self._fill(fields, self._tree, cells, -1)
            if not any(cells):
                raise _Unsayable
        except _Unsayable:
            self._written.wrapped += 1
            cells = [""] * (len(self._columns) - 1)
            cells.append(base64.b64encode(document).decode())
        return self._joined(cells)

    def _placed(self) -> _Tree:
        tree: _Tree = {}
        for index, column in enumerate(self._columns):
            if column.type == ColumnType.DOCUMENT:
                continue
            *above, last = map(str, column.path)
            level: _Tree = tree
            for step in above:
                level = level.setdefault(step, {})  # type: ignore[assignment]
            kind = column.type
            level[last] = _Cell(index, _BY_TYPE.get(kind), _TEXTS[kind], kind in _WITH_ANY_TEXT)
        return tree

    def _with_guard(self, column: Column) -> Column:
        if column.type != ColumnType.DOCUMENT:
            return column
        return Column(column.header, column.path, column.type, guarded=self._guarded)

    def _fill(self, fields: dict[str, Any], tree: _Tree, cells: list[str], last: int) -> int:
        """Put the fields into cells; they have to be in the columns' order. The last one filled."""
        for name, value in fields.items():
            found = tree.get(name)
            if found is None:
                raise _Unsayable
            if isinstance(found, dict):
                if type(value) is not dict or not value:
                    raise _Unsayable
                last = self._fill(value, found, cells, last)
                continue
            place, kind, text_of, is_text = found
            if place <= last:
                raise _Unsayable
            last = place
            text = text_of(value) if type(value) is kind else ""
            if text and not (is_text and text[0] in _MARKED):
                cells[place] = text
            else:
                cells[place] = self._cell(value, place)
        return last

    def _cell(self, value: Any, place: int) -> str:
        kind = self._types[place]
        if kind == type_of(value):
            text = _TEXTS[kind](value)
            if text and kind not in _WITH_ANY_TEXT:
                return text
            if text and not text.startswith(ESCAPE):
                return self._guard(text)
        empty = self._columns[place].empty
        if (value is None and empty == Empty.NULL) or (value == "" and empty == Empty.TEXT):
            return ""
        return ESCAPE + _ejson(value)

    def _guard(self, text: str) -> str:
        if not self._guarded or text[0] not in _GUARDED or not FORMULA.match(text):
            return text
        return text if PLAIN_NUMBER.fullmatch(text) else f"'{text}"

    def _plain_row(self, document: bytes) -> str:
        cells = [""] * len(self._columns)
        self._fill_plainly(_loosely(document), self._tree, cells, ())
        return self._joined(cells)

    def _fill_plainly(
        self, fields: dict[str, Any], tree: _Tree, cells: list[str], path: tuple[str, ...]
    ) -> None:
        for name, value in fields.items():
            found = tree.get(name)
            if isinstance(found, dict) and type(value) is dict:
                self._fill_plainly(value, found, cells, (*path, name))
            elif isinstance(found, _Cell):
                text = _plainly(value)
                cells[found.place] = self._guard(text) if text else text
            elif value is not None or found is None:
                self._leave_out(path_text((*path, name)))

    def _leave_out(self, path: str) -> None:
        counts = self._written.left_out
        if path in counts or len(counts) < _MOST_LEFT_OUT:
            counts[path] = counts.get(path, 0) + 1

    def _joined(self, cells: list[str]) -> str:
        line = self._delimiter.join(cells)
        has_more = line.count(self._delimiter) >= len(cells)
        if has_more or '"' in line or "\n" in line or "\r" in line or "\ufeff" in line:
            line = self._delimiter.join([self._quoted(cell) for cell in cells])
        if len(line) > LONGEST_SPREADSHEET_CELL:
            long = sum(1 for cell in cells if len(cell) > LONGEST_SPREADSHEET_CELL)
            self._written.long_cells += long
        return line + _LINE_END

    def _quoted(self, cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if self._quotable.search(cell) else cell


def _ejson(value: Any) -> str:
    element = bson.encode({"": value})
    text = extended_json.render_value(element)
    try:
        if extended_json.parse_value(text) != element:
            raise _Unsayable
    except InvalidExtendedJson as error:
        raise _Unsayable from error
    return text


def _double(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if struct.pack("<d", value) != _NAN:
        raise _Unsayable
    return "NaN"


def _decimal(value: Decimal128) -> str:
    text = str(value)
    try:
        if Decimal128(text) != value:
            raise _Unsayable
    except ArithmeticError as error:
        raise _Unsayable from error
    return text


_TEXTS: dict[ColumnType, Callable[[Any], str]] = {
    ColumnType.STRING: lambda value: value,
    ColumnType.INT32: str,
    ColumnType.INT64: str,
    ColumnType.DOUBLE: _double,
    ColumnType.DECIMAL: _decimal,
    ColumnType.BOOLEAN: lambda value: "true" if value else "false",
    ColumnType.DATE: lambda value: iso_text(int(value)) or "",
    ColumnType.OBJECT_ID: str,
    ColumnType.UUID: lambda value: str(UUID(bytes=bytes(value))),
    ColumnType.BINARY: lambda value: base64.b64encode(value).decode(),
    ColumnType.EJSON: _ejson,
}


def _loosely(document: bytes) -> dict[str, Any]:
    try:
        return bson.decode(document, EXACT)
    except UNDECODABLE:
        return dict(json.loads(bsonjs.dumps(document, mode=bsonjs.RELAXED)))


def _plainly(value: Any) -> str:
    """The value for people."""
    if value is None:
        return ""
    kind = type_of(value)
    if kind == ColumnType.EJSON or (kind == ColumnType.DATE and iso_text(int(value)) is None):
        return extended_json.render_value(bson.encode({"": value}), relaxed=True)
    if kind == ColumnType.DOUBLE and not math.isfinite(value):
        return str(value)
    if kind == ColumnType.DECIMAL:
        return str(value)
    return _TEXTS[kind](value)
