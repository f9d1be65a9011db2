"""The speed of a copy: as fast as it goes, by a number, or by what the neighbours feel."""

import time
from collections.abc import Mapping
from typing import Any, Protocol

from pymongo.errors import PyMongoError

from portal.database.clusters import client_of
from portal.documents.moves import Move
from portal.errors import Unavailable

LOOK_SECONDS = 2
_SLOWEST, _FASTEST = 50, 50_000
_RATE_SECONDS = 10
_SLOWER, _FASTER = 0.6, 1.15


class Paced(Protocol):
    """An attempt at a move; its record is as it was last read."""

    move: Move


class Pace:
    """The pace of one copy. A limit by the neighbours' p99 is looked at every LOOK_SECONDS: over it
    the copy is slower by two fifths, under it faster by a seventh."""

    def __init__(self, run: Paced) -> None:
        self._move = run.move
        self._rate: float = _FASTEST
        self._looked_at = 0.0
        self._read_at = time.monotonic()
        self._before: dict[str, dict[int, int]] = {}
        self._done: list[tuple[float, int]] = [(time.monotonic(), 0)]

    def documents_per_second(self) -> int | None:
        """The documents per second that may be copied; ``None`` for as fast as it goes."""
        move = self._throttle()
        if move.neighbours_p99_ms is None:
            return move.documents_per_second
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            slowest = max(
                (self._p99_of(name) for name in {move.source.cluster, move.target.cluster}),
                default=0.0,
            )
            factor = _SLOWER if slowest > move.neighbours_p99_ms else _FASTER
            self._rate = min(max(self._rate * factor, _SLOWEST), _FASTEST)
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

    def _p99_of(self, cluster: str) -> float:
        """The p99 of all reads and writes of a cluster's primary since the last look, in
        milliseconds; 0 where it doesn't tell."""
        command = {"serverStatus": 1, **_SLIM, "opLatencies": {"histograms": True}}
        try:
            latencies = client_of(cluster).admin.command(command)["opLatencies"]
        except (PyMongoError, Unavailable, KeyError):
            return 0.0
        counts = _counts(latencies)
        before, self._before[cluster] = self._before.get(cluster, counts), counts
        return p99_ms({at: counts[at] - before.get(at, 0) for at in counts})


_SLIM = dict.fromkeys(
    ("repl", "metrics", "locks", "wiredTiger", "tcmalloc", "transactions", "sharding"), 0
)


def p99_ms(counts: Mapping[int, int]) -> float:
    """The 99th percentile of latencies, counted by the microseconds that they begin at."""
    left = sum(counts.values()) * 0.01
    for at in sorted(counts, reverse=True):
        left -= counts[at]
        if left < 0:
            return at / 1000
    return 0.0


def _counts(latencies: Mapping[str, Any]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for kind in ("reads", "writes"):
        for bucket in latencies[kind].get("histogram", ()):
            counts[bucket["micros"]] = counts.get(bucket["micros"], 0) + bucket["count"]
    return counts
