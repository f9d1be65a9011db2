"""Examining a whole CSV file: what each column may become, with the proof."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from portal.data.formats.csv_rows import Block, rows_in_blocks
from portal.data.formats.encodings import Candidate, candidates_of
from portal.data.formats.errors import BrokenFile
from portal.data.formats.evidence import Choice, Evidence, Question, Reading
from portal.data.formats.headings import ERROR_COLUMNS, parse_path
from portal.data.formats.options import Column, ColumnType, ReadOptions
from portal.data.formats.records import Position
from portal.data.formats.unpacking import unpack

_SAMPLE_LINES = 3
_INDEXED = re.compile(r".\[[0-9]+\]")
# Blanks, soft hyphens, spaces of no width, marks of direction and of the order of bytes.
_UNSEEN = r"\s\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
_AROUND = re.compile(rf"^[{_UNSEEN}]+|(?<![{_UNSEEN}])[{_UNSEEN}]+\Z")
_LEAVE_OUT = Choice("left out", {"type": ColumnType.LEFT_OUT})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A column, the field that it is proposed to become, and what was found in all rows.

    ``first`` is its first value, ``filled`` the number of cells with one, ``empty`` of empty ones,
    ``quoted`` of those in quotes. ``found`` are sentences, such as ``As a number line 2 would
    change: 01067 to 1067.`` A column with questions isn't complete before each is answered.
    """

    column: Column
    first: str
    filled: int
    empty: int
    quoted: int
    found: tuple[str, ...]
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """Counts of a file's rows, and a proposal for each column."""

    records: int
    lines: int
    blank: int
    separators_only: int
    too_few: int
    too_many: int
    unreadable: int
    """Records that are no CSV, or have a character that the encoding hasn't."""
    proposals: tuple[Proposal, ...]
    candidates: tuple[Candidate, ...] = ()
    """Encodings to ask for, where a line far below the head is no UTF-8."""
    fault: str | None = None
    """The reason for which the file can't be read to its end."""


class Examiner:
    """Examines a CSV file of these options, whose ``columns`` are kept where there are any. Memory
    is bounded."""

    def __init__(self, options: ReadOptions, zone: str = "UTC") -> None:
        """``zone`` is the time zone proposed for dates without one."""
        self._options, self._zone = options, zone
        self._headers: list[str] = [column.header for column in options.columns]
        self._evidence = [Evidence(zone) for _ in self._headers]
        self._lines = self._records = self._blank = self._separators_only = 0
        self._too_few = self._too_many = self._unreadable = 0
        self._undecodable: list[bytes] = []
        self._fault: str | None = None

    def run(self, parts: Iterable[bytes]) -> Iterator[int]:
        """Examine the whole file; yields the number of bytes done (of the unpacked file), so that
        the caller may report and stop."""
        content = unpack(parts, self._options, 0)
        try:
            for block in rows_in_blocks(content, self._options.dialect, Position()):
                if not self._headers:
                    self._headers = block.heading or [""] * _width(block.rows)
                    self._evidence = [Evidence(self._zone) for _ in self._headers]
                self._add(block)
                self._lines, self._records = block.end.lines, block.end.number
                yield block.end.offset
        except BrokenFile as error:
            self._fault = error.reason

    def result(self) -> Examined:
        """The findings so far."""
        return Examined(
            self._records,
            self._lines,
            self._blank,
            self._separators_only,
            self._too_few,
            self._too_many,
            self._unreadable,
            tuple(self._proposals()),
            candidates_of(self._undecodable) if self._undecodable else (),
            self._fault,
        )

    def _add(self, block: Block) -> None:
        width = len(self._evidence)
        rows, lines, quoted = [], [], [0] * width
        for index, row in enumerate(block.rows):
            if index in block.skipped:
                self._blank += not row
                self._separators_only += bool(row)
            elif index in block.faults:
                self._refuse(block, index)
            elif any(row[width:]):
                self._too_many += 1
            else:
                self._too_few += len(row) < width
                rows.append(row[:width] + [""] * (width - len(row)))
                lines.append(block.lines[index])
                for place in block.quoted.get(index, ()):
                    quoted[place] += 1
        columns = zip(*rows, strict=True)
        for evidence, cells, count in zip(self._evidence, columns, quoted, strict=bool(rows)):
            evidence.add(cells, lines, count)

    def _refuse(self, block: Block, index: int) -> None:
        self._unreadable += 1
        fault = block.faults[index]
        if fault.fatal:
            self._fault = fault.reason
        text = self._options.dialect.delimiter.join(block.rows[index])
        raw = text.encode(errors="surrogateescape")
        if not text.isascii() and len(self._undecodable) < _SAMPLE_LINES and not _is_utf8(raw):
            self._undecodable.append(raw)

    def _proposals(self) -> Iterator[Proposal]:
        seen: dict[str, int] = {}
        for index, (header, evidence) in enumerate(zip(self._headers, self._evidence, strict=True)):
            if self._options.columns:
                column = self._options.columns[index]
                found: tuple[str, ...] = ("The heading has the type.",)
                questions: tuple[Question, ...] = ()
            else:
                column, found, questions = _proposed(header, evidence)
                name = _name_of(header)
                if name and seen.get(name):
                    found = ()
                    questions = (_twice(name, seen[name] + 1),)
                seen[name] = seen.get(name, 0) + 1
            yield Proposal(
                column,
                evidence.first,
                evidence.filled,
                evidence.empty,
                evidence.quoted,
                found,
                questions,
            )


def _width(rows: Sequence[list[str]]) -> int:
    """The number of columns without a heading: that of the first row, or of most, if it is more."""
    [(usual, _)] = Counter(map(len, rows)).most_common(1)
    return max(len(rows[0]), usual)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _name_of(header: str) -> str:
    """The heading without what isn't seen around it, as pages and spreadsheets put it there."""
    return _AROUND.sub("", header)


def _proposed(
    header: str, evidence: Evidence
) -> tuple[Column, tuple[str, ...], tuple[Question, ...]]:
    name = _name_of(header)
    if name in ERROR_COLUMNS:
        column = Column(header, (name,), ColumnType.LEFT_OUT)
        return column, ("It is of an error file: left out.",), ()
    reading = evidence.reading()
    column = replace(Column(header, (name,)), **reading.change)
    if not name:
        return _without_heading(column, evidence, reading)
    found, questions = reading.found, reading.questions
    if name != header.strip():
        found = (*found, "Characters around the heading that can’t be seen are taken off.")
    elif name != header:
        found = (*found, "Blanks around the heading are taken off.")
    if "." in name or _INDEXED.search(name):
        questions = (*questions, _dots(name))
    return column, found, questions


def _without_heading(
    column: Column, evidence: Evidence, reading: Reading
) -> tuple[Column, tuple[str, ...], tuple[Question, ...]]:
    if not evidence.filled:
        return replace(column, type=ColumnType.LEFT_OUT), ("Every cell is empty.",), ()
    words = "The column has no heading. Give it a field, or leave it out."
    return column, reading.found, (*reading.questions, Question("heading", words, (_LEAVE_OUT,)))


def _twice(name: str, count: int) -> Question:
    which = {2: "second", 3: "third"}.get(count, f"{count}th")
    words = f"A {which} column is called {name}. Give it another field, or leave it out."
    return Question("heading", words, (_LEAVE_OUT,))


def _dots(name: str) -> Question:
    dotted = re.sub(r"\[([0-9]+)\]", r".\1", name)
    nested = parse_path(dotted.replace("\\", "\\\\"))
    *above, last = map(str, nested)
    whole = ".".join(above)
    is_index = isinstance(nested[-1], int)
    inside = f"element {last} of {whole}" if is_index else f"{last} inside {whole}"
    choices = (Choice(inside, {"path": nested}), Choice(f"one field “{name}”", {"path": (name,)}))
    return Question("dots", f"{name} reads as a path. It is …", choices)
