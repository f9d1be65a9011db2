"""Proofs that a type fits all cells of a column: each value prints back identically."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from bson import Decimal128

from portal.data.errors import InvalidExtendedJson
from portal.data.extended_json import parse_value
from portal.data.formats.dates import NoDate, milliseconds_reader, offset_of, pattern_of

Test = Callable[[str], object]

WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}").fullmatch
OBJECT_ID = re.compile(r"[0-9a-f]{24}").fullmatch
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
LOOSE_NUMBER = re.compile(r"[+-]?[0-9][0-9.,'’ \u00a0\u202f]*(?:[eE][+-]?[0-9]+)?|[+-]?[.,][0-9]+")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+|-?[1-9](?:\.[0-9]+)?e[+-][0-9]{2,3}").fullmatch
_EXPONENT = re.compile(r"-?[0-9](?:\.[0-9]+)?E[+-][0-9]{1,4}").fullmatch
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch
_TINY = re.compile(r"-?0\.0{6}[0-9]").match  # a Decimal128 prints an exponent
_DIGITS_OF_A_DECIMAL = 34
STYLES = ((",", ""), (",", "."), (".", ","), (",", " "), (",", "\u00a0"), (",", "\u202f"),
          (".", "'"), (".", "’"))  # fmt: skip
"""Signs of a number's point and of its groups, besides ``.`` and none."""


@dataclass(slots=True)
class Proof:
    """A test that all cells have passed so far; or the first one that did not, with its line."""

    test: Test
    broken_by: str | None = None
    line: int = 0

    def add(self, cells: Sequence[str], lines: Sequence[int]) -> None:
        """Try more cells."""
        if self.broken_by is not None or all(map(self.test, cells)):
            return
        place = next(index for index, cell in enumerate(cells) if not self.test(cell))
        self.broken_by, self.line = cells[place], lines[place]

    @property
    def holds(self) -> bool:
        """``True`` while every cell has passed."""
        return self.broken_by is None


def is_double(cell: str) -> bool:
    """Tell whether a Double prints the cell."""
    return _FRACTION(cell) is not None and repr(float(cell)) == cell


def is_decimal(cell: str) -> bool:
    """Tell whether a Decimal128 prints the cell."""
    if _EXPONENT(cell):
        return _prints_decimal(cell)
    digits = len(cell) - cell.count(".") - cell.count("-")
    return bool(_DECIMAL(cell)) and digits <= _DIGITS_OF_A_DECIMAL and not _TINY(cell)


def is_json(cell: str) -> bool:
    """Tell whether the cell is an object or array in Extended JSON."""
    if cell[0] not in "{[":
        return False
    try:
        parse_value(cell)
    except InvalidExtendedJson:
        return False
    return True


def _prints_decimal(cell: str) -> bool:
    try:
        return str(Decimal128(cell)) == cell
    except ArithmeticError:
        return False


@cache
def styled_number(point: str, group: str) -> Test:
    """A test of numbers with these signs, groups in all or none of a number's thousands."""
    signs = re.escape(point), re.escape(group)
    whole = rf"[1-9][0-9]{{0,2}}(?:{signs[1]}[0-9]{{3}})*" if group else "[1-9][0-9]*"
    match = re.compile(rf"-?(?:0|{whole})(?:{signs[0]}[0-9]+)?").fullmatch

    def test(cell: str) -> bool:
        plain = cell.replace(group, "").replace(point, ".") if group else cell.replace(point, ".")
        return match(cell) is not None and is_decimal(plain)

    return test


@cache
def date_layouts() -> tuple[str, ...]:
    """The layouts that are tried, exact ones first."""
    days = ["YYYY-MM-DD", "YYYY/MM/DD", "YYYY.MM.DD"]
    for sign in "/.-":
        for year in ("YYYY", "YY"):
            for day, month in (("DD", "MM"), ("D", "M")):
                days += [f"{day}{sign}{month}{sign}{year}", f"{month}{sign}{day}{sign}{year}"]
    days += ["DD-MMM-YYYY", "DD MMM YYYY", "D MMM YYYY", "DD-MMM-YY", "MMM D, YYYY", "MMM DD, YYYY"]
    days += ["D MMMM YYYY", "DD MMMM YYYY", "MMMM D, YYYY", "MMMM DD, YYYY"]
    times = ["", ", HH:mm"]
    for hour, half in (("HH", ""), ("H", ""), ("hh", " A"), ("h", " A")):
        times += [f" {hour}:mm{half}", f" {hour}:mm:ss{half}"]
    times += [" HH:mm:ss.SSS", "THH:mm", "THH:mm:ss", "THH:mm:ss.SSS"]
    local = [day + time for day in days for time in times]
    return (*local, *(f"YYYY-MM-DD{time}Z" for time in times if "H" in time))


def fitting_layouts(cell: str) -> dict[str, Proof]:
    """A proof for each layout that the cell has."""
    if not re.search(r"[0-9][-/. ,].*[0-9]", cell):
        return {}
    return {
        layout: Proof(_date_test(layout))
        for layout in date_layouts()
        if pattern_of(layout).fullmatch(cell)
    }


@cache
def _date_test(layout: str) -> Test:
    read, match = milliseconds_reader(layout, ""), pattern_of(layout).fullmatch

    def test(cell: str) -> bool:
        found = match(cell)
        if found is None or offset_of(found.groupdict().get("offset") or "Z"):
            return False  # an offset isn't kept by a date
        try:
            read(cell)
        except NoDate:
            return False
        return True

    return test


@dataclass(slots=True)
class Range:
    """The least and the greatest of whole numbers."""

    least: int = 0
    greatest: int = 0
    is_empty: bool = field(default=True)

    def add(self, cells: Sequence[str]) -> None:
        """Take more into account."""
        values = [int(cell) for cell in cells]
        low, high = min(values), max(values)
        self.least = low if self.is_empty else min(low, self.least)
        self.greatest = high if self.is_empty else max(high, self.greatest)
        self.is_empty = False

    def fits(self, bits: int) -> bool:
        """``True`` where all are whole numbers of so many bits."""
        return -(2 ** (bits - 1)) <= self.least and self.greatest < 2 ** (bits - 1)
