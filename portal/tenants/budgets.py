"""Operations per second, shared by all processes.

An organization's budget is one number in the tenant database: until when, by the server's clock,
its operations would take at the speed that it is allowed (the generic cell rate algorithm). That
may be BURST_SECONDS ahead; beyond, operations wait. A process takes operations in blocks, so that
it asks a few times a second and not for each: as many as it used lately. What isn't used within a
second is lost.
"""

import time
from typing import Any

BUDGETS = "portal_budgets"
"""The collection of budgets, in the tenant database."""

BURST_SECONDS = 5
BLOCK_SECONDS = 0.25
_VALID_SECONDS = 1.0


def take(operations: int, rate: int, most_wait_seconds: float) -> list[dict[str, Any]]:
    """The update that takes operations from a budget of ``rate`` a second. Then ``wait`` tells
    after how many milliseconds they may begin, and ``granted`` whether they may: not where that is
    more than ``most_wait_seconds``."""
    wait = {"$max": [0, {"$subtract": ["$from", {"$add": ["$now", BURST_SECONDS * 1000]}]}]}
    until = {"$add": ["$from", operations * 1000 / rate]}
    return [
        {"$set": {"now": {"$toDouble": {"$toLong": "$$NOW"}}, "at": "$$NOW"}},
        {"$set": {"from": {"$max": [{"$ifNull": ["$until", 0.0]}, "$now"]}}},
        {"$set": {"wait": wait}},
        {"$set": {"granted": {"$lte": ["$wait", most_wait_seconds * 1000]}}},
        {"$set": {"until": {"$cond": ["$granted", until, "$from"]}}},
    ]


class Block:
    """The operations that this process may do at once, of one organization."""

    __slots__ = ("_begun", "_used", "_wanted", "begins", "left")

    def __init__(self) -> None:
        self.left = 0
        self.begins = 0.0
        self._begun = time.monotonic()
        self._used = self._wanted = 0

    def use(self, operations: int) -> bool:
        """Use some of what is left; False where that isn't enough, or is too old."""
        if self.left >= operations and time.monotonic() < self.begins + _VALID_SECONDS:
            self.left -= operations
            self._used += operations
            return True
        return False

    def charge(self, operations: int) -> None:
        """Use what was done already; what isn't left is taken with the next block."""
        self.left -= operations
        self._used += operations

    def want(self, operations: int) -> None:
        """Note that so many are waited for."""
        self._wanted += operations

    def size(self, rate: int) -> int:
        """How many to take: what is waited for and owed, or what was used lately in a quarter of a
        second; of what is allowed in that at most."""
        now = time.monotonic()
        elapsed = max(now - self._begun, BLOCK_SECONDS)
        lately = round(self._used / elapsed * BLOCK_SECONDS)
        self._begun, self._used = now, 0
        needed = max(self._wanted, 1) - min(self.left, 0)
        self._wanted = 0
        return max(needed, min(lately, round(rate * BLOCK_SECONDS)))

    def granted(self, operations: int, wait_seconds: float) -> None:
        """Have these from ``wait_seconds`` on, in place of what was left of those before."""
        self.left = operations + min(self.left, 0)
        self.begins = time.monotonic() + wait_seconds
