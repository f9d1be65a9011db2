"""The dialect of a CSV file, told from its start."""

import csv
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass

from portal.data.formats.options import Dialect

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""The delimiters that are told, and can be chosen, with their names."""
_ROWS = 200
# As such, or as a program writes it for a cell, or a spreadsheet fills up the row.
_SEPARATOR_LINE = re.compile(r'("?)sep=(.)\1\2*\r?(?:\n|$)', re.I)
_VALUE = re.compile(r"[+-]?[0-9]+(?:[.,:/-][0-9]+)*|true|false|", re.I)
_FIT = 0.9
_FEWEST_BELOW_TITLES = 3
"""The cells of a table's rows below a line that may be its title: two are seen in any text."""


@dataclass(frozen=True, slots=True)
class FoundDialect:
    """A dialect, and what to ask about it: delimiters that fit as well, a first row that may be no
    heading, since it looks like values, or since a row further down, the one in ``likely_heading``,
    is the first with as many cells as almost all below it."""

    dialect: Dialect
    headers: tuple[str, ...]
    delimiters: tuple[str, ...] = ()
    is_heading_doubtful: bool = False
    likely_heading: tuple[str, ...] = ()


def dialect_of(text: str, *, is_whole: bool, is_tabular: bool = False) -> FoundDialect:
    """The dialect of a file that begins with ``text``; ``is_tabular`` if its name says so."""
    newline = "\r" if "\r" in text and "\n" not in text else "\n"
    text = text.lstrip("\ufeff")
    if newline == "\r":
        text = text.replace("\r", "\n")
    told = _SEPARATOR_LINE.match(text)
    content = text[told.end() :] if told else text
    if not is_whole and "\n" in content:
        content = content[: content.rindex("\n") + 1]
    escape = "\\" if _is_escaped(content) else ""
    if told:
        fitting = [told[2]]
    else:
        fitting = _fitting(content, escape)
        if is_tabular and "\t" in fitting:
            fitting = ["\t"]
    titled = {} if told or is_tabular else _below_titles(content, escape)
    if titled and not any(each not in titled for each in fitting):
        fitting = [*titled]
    delimiter = fitting[0] if fitting else ","
    dialect = Dialect(delimiter, escape, newline, separator_line=told is not None)
    rows = _rows(content, dialect.delimiter, escape)
    headers = next((tuple(row) for row in rows if any(row)), ())
    likely = titled.get(delimiter, ())
    return FoundDialect(
        dialect,
        headers,
        tuple(fitting) if len(fitting) > 1 else (),
        bool(likely) or any(cell and _VALUE.fullmatch(cell) for cell in headers),
        likely,
    )


def _fitting(content: str, escape: str) -> list[str]:
    """The delimiters by which almost all rows have as many cells as the first, best first; where
    there is none, those that the first row has, and most others have more often."""
    found, short = [], []
    for delimiter in DELIMITERS:
        rows = _rows(content, delimiter, escape)
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        [(usual, times)] = Counter(map(len, rows)).most_common(1)
        if usual == width or len(rows) <= 2:
            found.append((times / len(rows), delimiter))
        elif usual > width:
            short.append((times / len(rows), delimiter))
    found = found or short
    best = max((share for share, _ in found), default=0)
    return [each for share, each in found if share >= min(best, _FIT)]


def _below_titles(content: str, escape: str) -> dict[str, tuple[str, ...]]:
    """The first row of a table by each delimiter that makes one below rows with fewer cells, or
    with none but the first, as spreadsheets fill them up."""
    found = {}
    for delimiter in DELIMITERS:
        rows = [row for row in _rows(content, delimiter, escape) if any(row)]
        for width, _ in Counter(map(len, rows)).most_common():
            if width >= _FEWEST_BELOW_TITLES and (table := _table_of(rows, width)):
                found[delimiter] = tuple(table[0])
                break
    return found


def _table_of(rows: list[list[str]], width: int) -> list[list[str]]:
    """The rows from the first on that is as wide, if there are others above it, and almost all of
    them have as many cells."""
    start = next(n for n, row in enumerate(rows) if len(row) >= width)
    start += sum(1 for _ in itertools.takewhile(lambda row: not any(row[1:]), rows[start:]))
    table = rows[start:]
    fitting = sum(len(row) >= width and not any(row[width:]) for row in table)
    return table if start and len(table) > 1 and fitting >= _FIT * len(table) else []


def _rows(content: str, delimiter: str, escape: str) -> list[list[str]]:
    """The first rows that aren't blank."""
    reader = csv.reader(
        io.StringIO(content, newline="\n"),
        delimiter=delimiter,
        doublequote=not escape,
        escapechar=escape or None,
    )
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == _ROWS:
                break
    except csv.Error:  # the reader of the whole file tells it with its line
        return rows
    return rows


def _is_escaped(content: str) -> bool:
    """Tell whether quotes in quotes have a backslash before them."""
    return re.search(r'(?:^|[,;\t|\n])"[^"]*\\"[^",;\t|\r\n]', content) is not None
