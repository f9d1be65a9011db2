"""Examining a whole CSV file: what each column may become, with the proof."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from portal.data.formats.detection import Candidate
from portal.data.formats.options import Column, ReadOptions


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer to a question: its words, and the column that it makes."""

    label: str
    column: Column


@dataclass(frozen=True, slots=True)
class Question:
    """What can't be decided by the cells: ``kind`` is ``day_order``, ``century``, ``number``,
    ``word``, ``dots``, ``list`` or ``heading``."""

    kind: str
    words: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A column, the field that it is proposed to become, and what was found in all rows.

    ``first`` is its first value, ``empty`` the number of empty cells, ``quoted`` of empty cells in
    quotes. ``found`` are sentences, such as ``As a number line 2 would change: 01067 to 1067.``
    A column with questions isn't complete before each is answered.
    """

    column: Column
    first: str
    empty: int
    quoted: int
    found: tuple[str, ...]
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found in all rows of a file."""

    records: int
    lines: int
    blank: int
    separators_only: int
    too_few: int
    too_many: int
    proposals: tuple[Proposal, ...]
    candidates: tuple[Candidate, ...] = ()
    """Encodings to ask for, where a line far below the head is no UTF-8."""
    fault: str | None = None
    """The reason for which the file can't be read to its end."""


class Examiner:
    """Examines a CSV file of these options, whose ``columns`` may be empty. Memory is bounded."""

    def __init__(self, options: ReadOptions, zone: str = "UTC") -> None:
        """``zone`` is the time zone proposed for dates without one."""
        raise NotImplementedError

    def run(self, parts: Iterable[bytes]) -> Iterator[int]:
        """Examine the whole file; yields the number of bytes done, so that the caller may report
        and stop."""
        raise NotImplementedError

    def result(self) -> Examined:
        """What was found so far."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class MappingFault:
    """A column of a mapping that can't stay as it is: its place, and the reason in words."""

    index: int
    reason: str


def check_mapping(columns: tuple[Column, ...]) -> list[MappingFault]:
    """What is wrong with a mapping before row 1: a field twice, ``a`` beside ``a.b``, a list with
    a gap, an empty name, a layout without an order. Empty if nothing is."""
    raise NotImplementedError
