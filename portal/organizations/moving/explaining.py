"""Moves in words: how far they are, who is waited for, what will happen."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.documents.moves import Move

STANDSTILL = timedelta(seconds=30)
"""Without a movement for as long, a move says why."""

STATES = ("requested", "copying", "verifying", "ready", "fenced", "switched", "done")
"""The stations of a move on its page, in order."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The figures of a move; ``None`` is not known. Times are ages at ``at``, by the database's
    clock. ``percent`` is of the station that the move is at."""

    at: datetime
    state: str
    documents: int
    copied: int
    percent: int | None
    rate: float | None
    dirty: int
    seconds_left: float | None
    last_event: timedelta | None
    last_written: timedelta | None
    lag: timedelta | None
    bytes: int
    pause_ms: float | None
    standstill: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer of ``flask moves explain``: what ``state`` the move is in, who or what is
    ``waited_for``, what ``happens_next``, and what one can do."""

    state: str
    waited_for: str | None
    happens_next: str
    possible: tuple[str, ...]


def progress_of(move: Move) -> Progress:
    """The figures of a move, from its record: one read of the server's clock."""
    raise NotImplementedError


def explain(move: Move) -> Explanation:
    """A move in words."""
    raise NotImplementedError


def title_of(move: Move) -> str:
    """The move in a phrase: ``Move of acme-corp from a shared collection on main to a collection of
    its own on fra-2``."""
    raise NotImplementedError


def describe(move: Move) -> str:
    """The move's progress on a line."""
    raise NotImplementedError
