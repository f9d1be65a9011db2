"""The rows of a CSV file, in blocks, with the line of each."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from portal.data.formats.options import Dialect
from portal.data.formats.records import LARGEST_DOCUMENT_BYTES, Fault, Position

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The end of a file in DOS, and what writers that died leave of a block, where a record would begin.
_DOS_END = re.compile(rb"(?<=[\r\n])[\x1a\0]+\Z")
_LONGEST_RECORD_BYTES = 2 * LARGEST_DOCUMENT_BYTES
_LONGEST_SHOWN = 60

# The module's limit holds for the process: 131,072 characters unless it is told.
csv.field_size_limit(LARGEST_DOCUMENT_BYTES)


@dataclass(slots=True)
class Block:
    """Rows that begin at ``begin``, and the position after them.

    ``heading`` are the cells of the heading, if it stood before them; ``lines`` the line of each
    row. By the row's index: ``skipped`` are blank or of separators only, ``faults`` can't be read,
    ``quoted`` has the empty cells that are in quotes.
    """

    begin: Position
    end: Position
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)
    faults: dict[int, Fault] = field(default_factory=dict)
    quoted: dict[int, frozenset[int]] = field(default_factory=dict)
    heading: list[str] | None = None


def rows_in_blocks(content: Iterator[bytes], dialect: Dialect, begin: Position) -> Iterator[Block]:
    """The rows of content that begins at byte ``begin.offset``, without the heading, which stands
    in front of the first row of the file alone."""
    at = begin._replace(skip=0)
    carried, piece = b"", next(content, None)
    while piece is not None:
        following = next(content, None)
        text = carried + piece
        cut = len(text) if following is None else text.rfind(b"\n") + 1
        block = _Parser(text[:cut], dialect, at, is_last=following is None).parse()
        if block.rows or block.heading:
            yield block
        carried = text[block.end.offset - at.offset :]
        at, piece = block.end, following
        if len(carried) > _LONGEST_RECORD_BYTES:
            yield _endless(at)
            return


class QuotedEmpty(str):
    """An empty cell in quotes."""

    __slots__ = ()


def without_marks(content: bytes) -> bytes:
    """The content behind its byte order marks: programs put one before another, or join files."""
    while content.startswith(BYTE_ORDER_MARK):
        content = content[len(BYTE_ORDER_MARK) :]
    return content


def shown(text: str) -> str:
    """A text for a table: cut, and what is no character of it as ``⟨E4⟩``."""
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
    return re.sub(r"[\udc80-\udcff]", lambda found: f"⟨{ord(found[0]) - 0xDC00:02X}⟩", cut)


class _Parser:
    """Parses the complete records of a piece of a file."""

    def __init__(self, content: bytes, dialect: Dialect, begin: Position, *, is_last: bool) -> None:
        is_first = begin.offset == 0
        skipped = dialect.skipped_lines if is_first else 0
        self._content = without_marks(content) if is_first else content
        self._content = _behind_lines(self._content, skipped)
        self._mark = len(content) - len(self._content)
        self._lines = begin.lines + skipped
        if is_last:
            self._content = _DOS_END.sub(b"", self._content)
        try:
            self._text, self._is_clean = self._content.decode(), True
        except UnicodeDecodeError:
            self._text = self._content.decode(errors="surrogateescape")
            self._is_clean = False
        self._has_quoted = '""' in self._text
        self._dialect, self._is_last = dialect, is_last
        rows_above = dialect.separator_line and not skipped
        self._heading = (rows_above + dialect.header) * is_first
        self._block = Block(begin, begin)
        self._raw: list[str] = []
        self._rest = ""
        self._ended = 0  # lines of complete records

    def parse(self) -> Block:
        """The block; what is left after its end is the begin of a record."""
        reader = csv.reader(
            io.StringIO(self._text, newline="\n"),
            delimiter=self._dialect.delimiter,
            strict=True,
            doublequote=not self._dialect.escape,
            escapechar=self._dialect.escape or None,
        )
        while True:
            try:
                for row in reader:
                    self._add(row, reader.line_num)
                break
            except csv.Error as error:
                if self._refuse(str(error), reader.line_num):
                    break
        return self._ending()

    def _add(self, row: list[str], line: int) -> None:
        first, self._ended = self._ended, line
        if self._heading:
            self._heading -= any(row)  # spreadsheets have empty rows above it
            if any(row) and not self._heading and self._dialect.header:
                self._block.heading = row
            return
        block = self._block
        index = len(block.rows)
        block.rows.append(row)
        block.lines.append(self._lines + first + 1)
        if self._has_quoted and "" in row:
            written = self._written(first, line)
            if '""' in written:
                block.quoted[index] = quoted_empty(written, self._dialect)
        if not any(row) and not block.quoted.get(index):
            block.skipped.add(index)
        if not self._is_clean and (fault := _undecodable(row)):
            block.faults[index] = fault

    def _refuse(self, words: str, line: int) -> bool:
        """Add a faulty record, or leave an incomplete one; ``True`` where nothing follows."""
        block, first = self._block, self._ended
        is_open = words == "unexpected end of data"
        if is_open and not self._is_last:
            start = 0
            for _ in range(first):
                start = self._text.index("\n", start) + 1
            self._rest = self._text[start:]
            return True
        number = self._lines + first + 1
        reason = next((told for part, told in _REASONS if part in words), "This is no row of CSV.")
        if is_open:
            reason = f"The quote opened in line {number:,} is never closed."
        elif line > first + 1:
            reason = f"{reason} It takes lines {number:,} to {self._lines + line:,} with it."
        written = self._written(first, line)
        self._ended, self._heading = line, 0
        block.faults[len(block.rows)] = Fault(reason, None, shown(written), is_open)
        block.rows.append([written])
        block.lines.append(number)
        return is_open

    def _written(self, first: int, end: int) -> str:
        self._raw = self._raw or self._text.split("\n")
        return "\n".join(self._raw[first:end]).rstrip("\r")

    def _ending(self) -> Block:
        block, begin = self._block, self._block.begin
        if self._heading and not self._is_last:
            return block  # to be read again with all of the heading
        size = len(self._content) - len(self._rest.encode(errors="surrogateescape"))
        number = begin.number + len(block.rows) - len(block.skipped)
        lines = self._lines + self._ended
        block.end = Position(begin.offset + self._mark + size, lines, number)
        return block


_REASONS = (
    ("field larger", "A cell is larger than 16 MiB. Is a quote missing?"),
    ("new-line", "A cell without quotes has a line break (a carriage return) in it."),
    ("expected after", "Something follows the closing quote of a cell."),
)


def _behind_lines(content: bytes, lines: int) -> bytes:
    """The content behind so many lines; nothing while it has no more of them."""
    start = 0
    for _ in range(lines):
        start = content.find(b"\n", start) + 1
        if not start:
            return b""
    return content[start:]


def _undecodable(row: list[str]) -> Fault | None:
    for index, cell in enumerate(row):
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            byte = ord(cell[error.start]) - 0xDC00
            reason = f"Byte {byte:02X} is no character in the file’s encoding."
            return Fault(reason, f"column {index + 1}", shown(cell))
    return None


def _endless(at: Position) -> Block:
    line = at.lines + 1
    reason = f"The record in line {line:,} doesn’t end. Is a quote missing?"
    return Block(at, at, [[""]], [line], faults={0: Fault(reason, fatal=True)})


def quoted_empty(written: str, dialect: Dialect) -> frozenset[int]:
    """The indexes of a record's cells that are two quotes and nothing else."""
    found, index, position = set(), 0, 0
    while position != -1:
        if written[position : position + 1] == '"':
            closing = _closing(written, position + 1, dialect.escape)
            if closing == position + 1:
                found.add(index)
            position = closing
        position = written.find(dialect.delimiter, position)
        if position != -1:
            index, position = index + 1, position + 1
    return frozenset(found)


def _closing(written: str, position: int, escape: str) -> int:
    """The index of the quote that closes a cell."""
    while True:
        position = written.index('"', position)
        if escape and written[position - 1] == escape:
            position += 1
        elif not escape and written[position + 1 : position + 2] == '"':
            position += 2
        else:
            return position
