"""Waves: a script is applied to one organization first, then to few, then to more, then to all."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Wave:
    """A part of the organizations. The next one begins when all of it are through."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Gate:
    """The conditions on which the next wave begins: how many percent of a wave may fail, and the
    milliseconds that the portal's own reads may take, in master data and where the wave wrote."""

    failures_percent: float = 5
    latency_ms: float = 250

    def failures_allowed(self, size: int) -> int:
        """The number of organizations of ``size`` that may fail: of a single one, none."""
        return int(size * self.failures_percent / 100)


def waves_of(total: int, canaries: int = 1) -> Iterator[Wave]:
    """The waves of ``total`` organizations, of which ``canaries`` come first."""
    left = total
    for name, size in (
        (CANARY, max(canaries, 1)),
        ("1 %", ceil(total / 100)),
        ("10 %", ceil(total / 10)),
        ("rest", total),
    ):
        if left:
            yield Wave(name, min(size, left))
            left -= min(size, left)
