"""Operations per second, shared by all processes.

An organization's budget is one number in the tenant database: how many milliseconds its operations
are ahead of the speed that it is allowed (the generic cell rate algorithm), at a time of the
server's clock. No process's clock counts, and one of the server that goes back, as with another
primary, neither fills the budget nor empties it. That may be BURST_SECONDS ahead; beyond,
operations wait. A process takes operations in blocks, so that
it asks a few times a second and not for each. What isn't used within a second is lost.
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
    passed = {"$max": [0, {"$subtract": ["$$NOW", {"$ifNull": ["$at", "$$NOW"]}]}]}
    left = {"$max": [0, {"$subtract": [{"$ifNull": ["$ahead", 0]}, passed]}]}
    taken = {"$add": ["$ahead", operations * 1000 / rate]}
    return [
        {"$set": {"ahead": left, "at": "$$NOW"}},
        {"$set": {"wait": {"$max": [0, {"$subtract": ["$ahead", BURST_SECONDS * 1000]}]}}},
        {"$set": {"granted": {"$lte": ["$wait", most_wait_seconds * 1000]}}},
        {"$set": {"ahead": {"$cond": ["$granted", taken, "$ahead"]}}},
    ]


class Block:
    """The operations that this process may do at once, of one organization.

    Blocks double while they are used up at once, and halve while processes have to wait for them:
    so few questions are asked, and none takes much before the others.
    """

    __slots__ = ("_size", "_used", "_waited_seconds", "_wanted", "begins", "left")

    def __init__(self) -> None:
        self.left = 0
        self.begins = time.monotonic()
        self._size = 1
        self._used = self._wanted = 0
        self._waited_seconds = 0.0

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
        """The number to take: what is waited for and owed at least; else of what is allowed in a
        quarter of a second at most."""
        used_seconds = time.monotonic() - self.begins
        if self._waited_seconds > BLOCK_SECONDS:
            size = self._size // 2
        elif used_seconds < BLOCK_SECONDS:
            size = 2 * self._size
        else:
            size = round(self._used / used_seconds * BLOCK_SECONDS)
        self._size = max(1, min(size, round(rate * BLOCK_SECONDS)))
        needed = max(self._wanted, 1) - min(self.left, 0)
        self._wanted = self._used = 0
        return max(needed, self._size)

    def granted(self, operations: int, wait_seconds: float) -> None:
        """Have these from ``wait_seconds`` on, in place of what was left of those before."""
        self.left = operations + min(self.left, 0)
        self.begins = time.monotonic() + wait_seconds
        self._waited_seconds = wait_seconds
