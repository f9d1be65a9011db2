"""Traffic: how many requests this process answered lately, and how long they took."""

import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

BOUNDS_MS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1200, 2000, 4000, 8000)
"""The upper bounds of the durations that are counted together; above the last is one more."""

_lock = threading.Lock()
_durations = [0] * (len(BOUNDS_MS) + 1)
_since = time.monotonic()


def count(milliseconds: float) -> None:
    """Count a request that took so long."""
    with _lock:
        _durations[bisect_left(BOUNDS_MS, milliseconds)] += 1


def take() -> dict[str, Any]:
    """The requests since the last call, which are counted no more."""
    global _since, _durations
    now = time.monotonic()
    with _lock:
        durations, _durations = _durations, [0] * (len(BOUNDS_MS) + 1)
        seconds, _since = now - _since, now
    return {"seconds": seconds, "requests": sum(durations), "durations": durations}


def percentile_ms(durations: Sequence[int], percent: int) -> float | None:
    """The duration that ``percent`` of the requests did not exceed, straight between two bounds;
    the highest bound above that. ``None`` without requests."""
    wanted = sum(durations) * percent / 100
    below = 0.0
    for number, bound in zip(durations, BOUNDS_MS, strict=False):
        if number and number >= wanted:
            return below + (bound - below) * wanted / number
        wanted -= number
        below = bound
    return BOUNDS_MS[-1] if sum(durations) else None
