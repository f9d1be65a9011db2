"""Cells of CSV as values, by the type of their column."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS

from portal.data import extended_json
from portal.data.errors import InvalidExtendedJson
from portal.data.formats.dates import NoDate, milliseconds_reader
from portal.data.formats.exact import Exact, decode_exactly
from portal.data.formats.options import Column, ColumnType, Empty

ESCAPE = "ejson:"
"""It stands before a value of another type than its column's; alone, for a missing one."""
FORMULA_SIGNS = frozenset("=+-@\t\r")
# What a spreadsheet takes for a formula, after any number of guards.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
MISSING = object()

_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECIMAL = re.compile(rf"{_DOUBLE.pattern}|-?(?:NaN|sNaN|Infinity)")
_NOT_FINITE = {"NaN", "Infinity", "-Infinity"}
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Forms that need no more checks, and that most cells have.
_FEW_DIGITS = re.compile(r"-?[0-9]{1,9}").fullmatch
_FRACTION = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,17}").fullmatch
_USUAL_DATE = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
).fullmatch
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}  # as mongoimport has them
_DIGITS_OF_A_DOUBLE = 15  # as many always come back

Convert = Callable[[str], Any]


class Unfit(ValueError):
    """A cell that isn't of its column's type; the reason is its words."""


def converter(column: Column) -> Convert | None:
    """A function from a cell that isn't empty to its value, or MISSING, that raises Unfit;
    ``None`` where the cell itself is the value. Raises ValueError for a layout that is none."""
    convert = _CONVERTERS[column.type](column)
    if column.words is not None:
        convert = _with_words(column.words, convert)
    is_escaped = column.escaped and column.type != ColumnType.DOCUMENT
    return _with_marks(column.guarded, is_escaped, convert)


def empty_value(column: Column) -> Any:
    """The value of an empty cell, or MISSING."""
    return _EMPTY[column.empty]


def unguarded(cell: str) -> str:
    """The cell without a formula's guard."""
    return cell[1:] if cell[0] == "'" and FORMULA.match(cell) else cell


_EMPTY = {Empty.MISSING: MISSING, Empty.NULL: None, Empty.TEXT: "", Empty.ERROR: MISSING}


def _with_words(words: Any, convert: Convert | None) -> Convert:
    values = {
        word: value == "true" if value in ("true", "false") else _EMPTY[Empty(value)]
        for word, value in words.items()
        if value != Empty.ERROR
    }

    def read(cell: str) -> Any:
        if cell in values:
            return values[cell]
        if convert is None:
            return cell
        return convert(cell)

    return read


def _with_marks(is_guarded: bool, is_escaped: bool, convert: Convert | None) -> Convert | None:
    """A function that takes off a guard, and reads what is escaped as what it is."""
    marks = "'" * is_guarded + ESCAPE[0] * is_escaped
    if not marks:
        return convert

    def read(cell: str) -> Any:
        if cell[0] in marks:
            if is_guarded:
                cell = unguarded(cell)
            if is_escaped and cell.startswith(ESCAPE):
                return MISSING if cell == ESCAPE else _ejson(cell[len(ESCAPE) :])
        return cell if convert is None else convert(cell)

    return read


def _number(pattern: re.Pattern[str], column: Column, told: str) -> Callable[[str], str]:
    """A function that checks a number, and gives it a point where it has another sign."""
    point, group = re.escape(column.point), re.escape(column.group)
    styled = None
    if column.group or column.point != ".":
        whole = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
        styled = re.compile(rf"[+-]?(?:{whole})(?:{point}[0-9]*)?")

    def plain(cell: str) -> str:
        text = cell.strip()
        if styled is not None:
            if not styled.fullmatch(text):
                raise Unfit(told)
            text = text.replace(column.group, "").replace(column.point, ".")
        if not pattern.fullmatch(text):
            raise Unfit(told)
        return text

    return plain


def _whole(column: Column) -> Convert:
    bits = 31 if column.type == ColumnType.INT32 else 63
    make = int if bits == 31 else Int64
    limit = 2**bits
    plain = _number(_WHOLE, column, "Not a whole number")

    def read(cell: str) -> Any:
        if _FEW_DIGITS(cell):
            return make(cell)
        value = int(plain(cell))
        if not -limit <= value < limit:
            raise Unfit(f"A whole number of more than {bits + 1} bits")
        return make(value)

    return read


def _double(column: Column) -> Convert:
    plain = _number(_DOUBLE, column, "Not a number")

    def read(cell: str) -> float:
        if _FRACTION(cell) and repr(usual := float(cell)) == cell:
            return usual
        if cell in _NOT_FINITE:
            return float(cell)
        text = plain(cell)
        value = float(text)
        if value in (float("inf"), float("-inf")) or (not value and re.search("[1-9]", text)):
            raise Unfit("Out of the range of a Double")
        if len(text) > _DIGITS_OF_A_DOUBLE and Decimal(repr(value)) != Decimal(text):
            raise Unfit("More digits than a Double holds")
        return value

    return read


def _decimal(column: Column) -> Convert:
    plain = _number(_DECIMAL, column, "Not a number")

    def read(cell: str) -> Decimal128:
        try:
            return Decimal128(plain(cell))
        except ArithmeticError as error:
            raise Unfit("More digits than a Decimal128 holds") from error

    return read


def _boolean(column: Column) -> Convert:
    words = column.words and "Neither " + " nor ".join(list(column.words)[:2])

    def read(cell: str) -> bool:
        value = None if words else _BOOLEANS.get(cell.strip().lower())
        if value is None:
            raise Unfit(words or "Neither true nor false")
        return value

    return read


def _date(column: Column) -> Convert:
    milliseconds = milliseconds_reader(column.layout, column.zone)
    usual = _USUAL_DATE if not column.layout else re.compile(r"(?!)").fullmatch

    def read(cell: str) -> DatetimeMS | datetime:
        if usual(cell):
            return datetime.fromisoformat(cell)
        try:
            return DatetimeMS(milliseconds(cell.strip()))
        except NoDate as error:
            raise Unfit(str(error)) from error

    return read


def _object_id(_: Column) -> Convert:
    def read(cell: str) -> ObjectId:
        text = cell.strip()
        if not _OBJECT_ID.fullmatch(text):
            raise Unfit("Not 24 hexadecimal digits")
        return ObjectId(bytes.fromhex(text))

    return read


def _uuid(_: Column) -> Convert:
    def read(cell: str) -> Binary:
        text = cell.strip()
        if not _UUID.fullmatch(text):
            raise Unfit("Not a UUID")
        return Binary(UUID(text).bytes, 4)

    return read


def _binary(column: Column) -> Convert:
    decode = {"base32": base64.b32decode, "hex": bytes.fromhex}.get(column.layout, _base64)

    def read(cell: str) -> bytes:
        try:
            return decode(cell.strip())
        except ValueError as error:
            raise Unfit(f"Not {column.layout or 'base64'}") from error

    return read


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _ejson(text: str) -> Any:
    try:
        element = extended_json.parse_value(text)
    except InvalidExtendedJson as error:
        raise Unfit("Not a value in Extended JSON") from error
    decoded = decode_exactly(element)
    return Exact(element) if decoded is None else decoded[""]


def _document(_: Column) -> Convert:
    def read(cell: str) -> bytes:
        try:
            return base64.b64decode(cell, validate=True)
        except (ValueError, binascii.Error) as error:
            raise Unfit("Not a document in base64") from error

    return read


_CONVERTERS: dict[ColumnType, Callable[[Column], Convert | None]] = {
    ColumnType.STRING: lambda _: None,
    ColumnType.INT32: _whole,
    ColumnType.INT64: _whole,
    ColumnType.DOUBLE: _double,
    ColumnType.DECIMAL: _decimal,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DATE: _date,
    ColumnType.OBJECT_ID: _object_id,
    ColumnType.UUID: _uuid,
    ColumnType.BINARY: _binary,
    ColumnType.EJSON: lambda _: _ejson,
    ColumnType.DOCUMENT: _document,
}
