"""Timing of work."""

import statistics
import time
from collections.abc import Callable

Timed = Callable[[int], float]
"""Does what it measures for the round of this number, and returns the seconds that took."""


def seconds_of(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def timed(work: Callable[[int], object]) -> Timed:
    """The whole of ``work`` is measured."""
    return lambda n: seconds_of(lambda: work(n))


def interleaved_medians(rounds: int, *works: Timed) -> list[float]:
    """The median seconds of each, measured by turns: so what else the machine does meets all."""
    taken: list[list[float]] = [[] for _ in works]
    for n in range(rounds):
        for turn in range(len(works)):
            # By turns first, since whoever is second finds warmer caches.
            which = (n + turn) % len(works)
            taken[which].append(works[which](n))
    return [statistics.median(seconds) for seconds in taken]
