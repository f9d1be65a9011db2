"""Error files: the records that were refused, as they were, with the reasons; imported again after
mending."""

import json
from collections.abc import Iterable

from portal.data.formats.csv_rows import QuotedEmpty
from portal.data.formats.headings import ERROR_COLUMNS, path_text
from portal.data.formats.json_reading import ERROR
from portal.data.formats.options import Format, ReadOptions, WriteOptions
from portal.data.formats.records import Fault, Record
from portal.data.formats.writing import Writer


class ErrorFile:
    """Writes the error file of an import, in pieces: ``begin``, then any number of ``encode``.

    CSV has the input's columns and then ``$line``, ``$record`` and ``$reason``, in the input's
    dialect, its line ``sep=`` included, and UTF-8. Any other format becomes JSON lines, in which a
    line ``{"$error": …}`` stands before each refused document. The readers pass over both.
    """

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._bson = Writer(WriteOptions(Format.JSON_LINES))
        self._width = len(options.columns)

    @property
    def format(self) -> Format:
        """CSV, or JSON lines."""
        return Format.CSV if self._options.format == Format.CSV else Format.JSON_LINES

    def begin(self) -> bytes:
        """The start of the file."""
        if self.format != Format.CSV:
            return b""
        columns, dialect = self._options.columns, self._options.dialect
        told = f"sep={dialect.delimiter}\r\n".encode() if dialect.separator_line else b""
        names = [each.header or path_text(each.path) for each in columns]
        return told + self._row(names, ERROR_COLUMNS)

    def encode(self, refused: Iterable[tuple[Record, Fault]]) -> bytes:
        """The refused records, by the reader's fault or by the caller's (a duplicate, a rule)."""
        write = self._csv if self.format == Format.CSV else self._json
        return b"".join([write(record, fault) for record, fault in refused])

    def _csv(self, record: Record, fault: Fault) -> bytes:
        told = (str(record.line), str(record.number), _reason(fault))
        return self._row(list(record.source or [""]), told)

    def _row(self, cells: list[str], told: Iterable[str]) -> bytes:
        """A row, its cells as many as columns: what has more keeps them behind the reason."""
        few = [""] * (self._width - len(cells))
        row = [*cells[: self._width], *few, *told, *cells[self._width :]]
        line = self._options.dialect.delimiter.join(map(self._quoted, row))
        return f"{line}\r\n".encode(errors="surrogateescape")

    def _quoted(self, cell: str) -> str:
        dialect = self._options.dialect
        if isinstance(cell, QuotedEmpty):
            return '""'
        if not any(sign in cell for sign in (dialect.delimiter, '"', "\r", "\n")):
            return cell
        escape = dialect.escape or '"'
        text = cell.replace(escape, escape * 2) if dialect.escape else cell
        return '"' + text.replace('"', f'{escape}"') + '"'

    def _json(self, record: Record, fault: Fault) -> bytes:
        told = {"line": record.line, "record": record.number, "reason": _reason(fault)}
        line = json.dumps({ERROR: told}, ensure_ascii=False).encode() + b"\n"
        if self._options.format == Format.BSON:
            # What is no BSON, or too large, has nothing that can be mended.
            return line + (self._bson.encode([record.source]) if record.document else b"")
        text = record.source.strip().replace(b"\r", b"")
        return line + _in_a_line(text) + b"\n"


def _reason(fault: Fault) -> str:
    return f"{fault.column}: {fault.reason}" if fault.column else fault.reason


def _in_a_line(text: bytes) -> bytes:
    """The text of a document in one line: JSON has line breaks only between its values."""
    return b" ".join(text.split(b"\n"))
