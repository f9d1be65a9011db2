"""The speed of a copy, and of a comparison: as fast as it goes, by a number, or by what the
neighbours feel."""

import time
from typing import Protocol

from portal.documents.moves import Move
from portal.organizations.moving.neighbours import Neighbours

LOOK_SECONDS = 1
FIRST = 1000
"""The documents a second, limited by the neighbours, until those were looked at."""

_SLOWEST, _FASTEST = 50, 50_000
_RATE_SECONDS = 10
_SLOWER, _FASTER = 0.6, 1.15
# Where what they feel grows with the pace, the last step up leaves it below the limit.
_NEAR = 0.8


class Paced(Protocol):
    """An attempt at a move; its record is as it was last read."""

    move: Move


class Pace:
    """The pace of one copy, or of one comparison. By a limit of the neighbours' p99 it begins
    slowly, and they are looked at every LOOK_SECONDS: over the limit it is slower by two fifths,
    under four fifths of it faster by a seventh, and in between as it was."""

    def __init__(self, run: Paced) -> None:
        self._move = run.move
        self._rate: float = FIRST
        self._neighbours: list[Neighbours] | None = None
        self._looked_at = time.monotonic()
        self._read_at = time.monotonic()
        self._done: list[tuple[float, int]] = [(time.monotonic(), 0)]

    def documents_per_second(self) -> int | None:
        """The documents per second that it may take; ``None`` for as fast as it goes."""
        move = self._throttle()
        if move.neighbours_p99_ms is None:
            return move.documents_per_second
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            factor = _factor(self._p99_ms() / move.neighbours_p99_ms)
            self._rate = min(max(self._rate * factor, _SLOWEST), _FASTEST)
            self._looked_at = time.monotonic()
        limits = [self._rate, move.documents_per_second or _FASTEST]
        return int(min(limits))

    def rate_of(self, documents: int) -> float:
        """The documents copied a second lately, after these more."""
        now = time.monotonic()
        self._done.append((now, documents))
        while len(self._done) > 2 and self._done[1][0] < now - _RATE_SECONDS:
            self._done.pop(0)
        seconds = now - self._done[0][0]
        return sum(count for _, count in self._done[1:]) / seconds if seconds else 0.0

    def _throttle(self) -> Move:
        """The move's record, read anew now and then: a person may change the throttle."""
        if time.monotonic() - self._read_at > LOOK_SECONDS:
            self._read_at = time.monotonic()
            self._move = Move.objects(id=self._move.id).first() or self._move
        return self._move

    def _p99_ms(self) -> float:
        """The longest p99 of reads at this pace, of both clusters; 0 without neighbours."""
        if self._neighbours is None:
            clusters = {self._move.source.cluster, self._move.target.cluster}
            self._neighbours = [Neighbours(name) for name in clusters]
        seen = [each.look() or 0.0 for each in self._neighbours]
        for each in self._neighbours:
            each.forget()
        return max(seen)


def _factor(share: float) -> float:
    """The change of pace by the ``share`` of the limit that the neighbours feel."""
    if share > 1:
        return _SLOWER
    return _FASTER if share <= _NEAR else 1
