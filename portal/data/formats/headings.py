"""Headings of CSV files that name fields and their types.

``name.string()`` as mongoimport reads it with ``--columnsHaveTypes``, and more types. A dot, a
backslash, or the first digit of a name of digits below the first level is written after a
backslash, so that a name is any text.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from portal.data.formats.options import Column, ColumnType, Empty

WHOLE_DOCUMENT = "$bson"
ERROR_COLUMNS = ("$line", "$record", "$reason")

_TYPED = re.compile(r"(?P<path>.*)\.(?P<type>[a-z0-9_]+)\((?P<arguments>[^()]*)\)", re.S)
_STEP = re.compile(r"(?:[^.\\]|\\.)*", re.S)
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")
_DATES = {"date": "go", "date_go": "go", "date_ms": "ms", "date_oracle": "oracle"}
_NAMED = frozenset(ColumnType) - {ColumnType.LEFT_OUT}
_BASES = frozenset({"base64", "base32", "hex"})
_EMPTY = {f"empty={empty}": empty for empty in Empty}
_ARGUMENTS = frozenset(_EMPTY) | _BASES | {""}
# What mongoimport's layouts call the parts of a date.
_LAYOUTS = {
    "go": {"2006": "YYYY", "06": "YY", "01": "MM", "January": "MMMM", "Jan": "MMM", "02": "DD",
           "15": "HH", "03": "hh", "04": "mm", "05": "ss", ".000": ".SSS", "PM": "A", "Z07:00": "Z",
           "-0700": "Z", "-07:00": "Z", "1": "M", "2": "D", "3": "h"},
    "ms": {"yyyy": "YYYY", "yy": "YY", "MMMM": "MMMM", "MMM": "MMM", "MM": "MM", "dd": "DD",
           "HH": "HH", "hh": "hh", "mm": "mm", "ss": "ss", "fff": "SSS", "SSS": "SSS",
           "tt": "A", "M": "M", "d": "D", "H": "H", "h": "h"},
    "oracle": {"YYYY": "YYYY", "YY": "YY", "MONTH": "MMMM", "MON": "MMM", "MM": "MM", "DD": "DD",
               "HH24": "HH", "HH12": "hh", "HH": "hh", "MI": "mm", "SS": "ss",
               "AM": "A", "PM": "A"},
}  # fmt: skip


def typed_columns(headers: Iterable[str]) -> tuple[Column, ...] | None:
    """The columns of headings that all have a type, the columns of an error file left out;
    ``None`` where one has none."""
    columns = []
    for header in headers:
        column = _error_column(header) or _typed_column(header)
        if column is None:
            return None
        columns.append(column)
    if all(column.type == ColumnType.LEFT_OUT for column in columns):
        return None
    whole = next((column for column in columns if column.type == ColumnType.DOCUMENT), None)
    if whole is None:
        return tuple(columns)
    return tuple(replace(each, escaped=True, guarded=whole.guarded) for each in columns)


def heading_of(column: Column) -> str:
    """The heading of a column with its type."""
    path = path_text(column.path)
    argument = "" if column.empty == Empty.MISSING else f"empty={column.empty}"
    if column.type == ColumnType.DOCUMENT:
        path, argument = WHOLE_DOCUMENT, "guard" if column.guarded else ""
    return f"{path}.{column.type}({argument})"


def path_text(path: tuple[str | int, ...]) -> str:
    """A path with dots, its names escaped where they would be read otherwise."""
    return ".".join(_escaped(step, level) for level, step in enumerate(path))


def parse_path(text: str) -> tuple[str | int, ...]:
    """The path that ``path_text`` writes; a number below the first level is an index."""
    steps: list[str | int] = []
    position = 0
    while position <= len(text):
        found = _STEP.match(text, position)
        written = found[0] if found else ""
        index = steps and _INDEX.fullmatch(written)
        steps.append(int(written) if index else re.sub(r"\\(.)", r"\1", written, flags=re.S))
        position += len(written) + 1
        if position <= len(text) and text[position - 1] != ".":  # a backslash at the end
            position = len(text) + 1
    return tuple(steps)


def _escaped(step: str | int, level: int) -> str:
    if isinstance(step, int):
        return str(step)
    if level and _INDEX.fullmatch(step):
        return "\\" + step
    return step.replace("\\", "\\\\").replace(".", "\\.")


def _error_column(header: str) -> Column | None:
    if header in ERROR_COLUMNS:
        return Column(header, type=ColumnType.LEFT_OUT)
    return None


def _typed_column(header: str) -> Column | None:
    found = _TYPED.fullmatch(header.rstrip())
    if found is None:
        return None
    name, argument, path = found["type"], found["arguments"], parse_path(found["path"])
    if name in _DATES and argument and not argument.startswith("empty="):
        layout = _layout_of(_DATES[name], argument)
        return None if layout is None else Column(header, path, ColumnType.DATE, layout=layout)
    kind = ColumnType(name) if name in _NAMED else None
    if kind is None or (kind != ColumnType.DOCUMENT and argument not in _ARGUMENTS):
        return None
    if kind == ColumnType.DOCUMENT:
        return Column(header, (WHOLE_DOCUMENT,), kind, guarded=argument == "guard")
    if kind == ColumnType.BINARY and argument in _BASES:
        return Column(header, path, kind, layout=argument)
    return Column(header, path, kind, _EMPTY.get(argument, Empty.MISSING))


def _layout_of(dialect: str, written: str) -> str | None:
    """The layout in our tokens; ``None`` for one that has others."""
    names = _LAYOUTS[dialect]
    token = re.compile("|".join(re.escape(each) for each in sorted(names, key=len, reverse=True)))
    rest = token.sub("", written)
    if re.search(r"[A-SU-Za-z0-9]", rest):
        return None
    return token.sub(lambda found: names[found[0]], written)
