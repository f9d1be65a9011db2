"""Options of reading and writing: all that is decided or was asked, as values that are stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self


class Format(StrEnum):
    """The format of a file."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    JSON_ARRAY = "json"
    """Also documents over several lines, one after another."""
    BSON = "bson"

    @property
    def label(self) -> str:
        """Its name on pages."""
        return _LABELS[self]

    @property
    def media_type(self) -> str:
        """Its Content-Type."""
        return _MEDIA_TYPES[self]


_LABELS = {"csv": "CSV", "jsonl": "JSON lines", "json": "JSON array", "bson": "BSON"}
_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "bson": "application/bson",
}


class ColumnType(StrEnum):
    """The type that the cells of a column are read as. A cell of another form is a fault."""

    STRING = "string"
    INT32 = "int32"
    INT64 = "int64"
    DOUBLE = "double"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT_ID = "objectid"
    UUID = "uuid"
    BINARY = "binary"
    EJSON = "ejson"
    """Extended JSON of any value."""
    DOCUMENT = "document"
    """The whole document in base64, in place of all other cells."""
    LEFT_OUT = "left_out"

    @property
    def label(self) -> str:
        """Its name on pages."""
        return _TYPE_LABELS[self]


_TYPE_LABELS = {
    "string": "text",
    "int32": "Int32",
    "int64": "Int64",
    "double": "Double",
    "decimal": "Decimal128",
    "boolean": "boolean",
    "date": "date",
    "objectid": "ObjectId",
    "uuid": "UUID",
    "binary": "binary, base64",
    "ejson": "Extended JSON",
    "document": "whole document",
    "left_out": "left out",
}


NUMERIC = frozenset({ColumnType.INT32, ColumnType.INT64, ColumnType.DOUBLE, ColumnType.DECIMAL})


class Empty(StrEnum):
    """The value of an empty cell, or of a word that is none of its column's type.

    A quoted empty cell of a text column is always an empty text.
    """

    MISSING = "missing"
    NULL = "null"
    TEXT = "text"
    """An empty text."""
    ERROR = "error"
    """A fault."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The way in which a CSV file is written."""

    delimiter: str = ","
    escape: str = ""
    """A character before quotes, in place of doubling them; usually none."""
    newline: str = "\n"
    """``\\n`` stands for ``\\r\\n`` too; ``\\r`` for files of old Macs."""
    header: bool = True
    separator_line: bool = False
    """The first line is ``sep=;``, for a spreadsheet."""
    skipped_lines: int = 0
    """The lines above the heading, such as titles, where it isn't the first row."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a CSV file, and the field that it becomes.

    ``path`` has a name for each level; a whole number is an index of a list. ``layout`` is that of
    a date in ``zone``. ``words`` are the words of a boolean column, and what each becomes:
    ``"true"``, ``"false"`` or an Empty.
    """

    header: str
    path: tuple[str | int, ...] = ()
    type: ColumnType = ColumnType.STRING
    empty: Empty = Empty.MISSING
    layout: str = ""
    zone: str = ""
    point: str = "."
    group: str = ""
    words: Mapping[str, str] | None = None
    guarded: bool = False
    """``'`` before a formula's first character is taken off (reading), put there (writing)."""
    escaped: bool = False
    """``ejson:`` stands before a value of another type."""

    def retyped(self, type_: ColumnType) -> Self:
        """The column with another type, which keeps what that takes of how its cells are written:
        signs of numbers, layout and zone of dates, words of booleans, and the guard."""
        changed = replace(self, type=type_)
        if type_ not in NUMERIC:
            changed = replace(changed, point=".", group="")
        if type_ != ColumnType.DATE:
            changed = replace(changed, layout="", zone="")
        return changed if type_ == ColumnType.BOOLEAN else replace(changed, words=None)

    def stored(self) -> dict[str, Any]:
        """A document from which ``Column.of`` makes it again."""
        words = self.words and list(self.words.items())  # any word, also one with a dot
        kept = {**asdict(self), "type": self.type.value, "empty": self.empty.value}
        return {**kept, "path": list(self.path), "words": words}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The column that was ``stored``."""
        words = stored["words"]
        return cls(
            **{
                **stored,
                "path": tuple(stored["path"]),
                "type": ColumnType(stored["type"]),
                "empty": Empty(stored["empty"]),
                "words": words and dict(words),
            }
        )


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of reading a file. ``detect`` proposes them; CSV needs ``columns`` too.

    ``member`` names a collection's file in a tar of a dump. With ``old_json`` the dialect that
    mongoexport wrote before 4.2 is read: ``{"$date": 0}``, ``{"$regex": "a", "$options": ""}``.
    """

    format: Format
    gzip: bool = False
    member: str = ""
    encoding: str = "utf-8"
    dialect: Dialect = Dialect()
    columns: tuple[Column, ...] = ()
    old_json: bool = False
    largest_bytes: int = 64 * 1024**3
    """The most that a packed file may unpack to."""

    @property
    def is_seekable(self) -> bool:
        """``True`` where a reader that resumes is given the file from ``Position.offset`` on;
        otherwise from its start."""
        return not self.gzip and not self.member and self.encoding == "utf-8"

    def stored(self) -> dict[str, Any]:
        """A document from which ``ReadOptions.of`` makes them again."""
        return {
            **asdict(self),
            "format": self.format.value,
            "columns": [column.stored() for column in self.columns],
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The options that were ``stored``."""
        return cls(
            **{
                **stored,
                "format": Format(stored["format"]),
                "dialect": Dialect(**stored["dialect"]),
                "columns": tuple(Column.of(each) for each in stored["columns"]),
            }
        )


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of writing a file.

    ``columns`` are those of CSV, as ``Survey`` finds them. A ``typed`` CSV file has types in its
    heading and is read again as the same documents; one that isn't is for people, and loses what
    no cell can say. ``guarded`` cells are no formulas to a spreadsheet. ``spreadsheet`` begins with
    a byte order mark and quotes the heading.
    """

    format: Format
    gzip: bool = False
    columns: tuple[Column, ...] = ()
    typed: bool = True
    guarded: bool = True
    delimiter: str = ","
    spreadsheet: bool = False

    def stored(self) -> dict[str, Any]:
        """A document from which ``WriteOptions.of`` makes them again."""
        return {
            **asdict(self),
            "format": self.format.value,
            "columns": [column.stored() for column in self.columns],
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The options that were ``stored``."""
        columns = tuple(Column.of(each) for each in stored["columns"])
        return cls(**{**stored, "format": Format(stored["format"]), "columns": columns})
