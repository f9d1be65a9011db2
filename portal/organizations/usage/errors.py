"""Errors of limits, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from portal.errors import Conflict, Invalid, LimitReached, TooManyRequests


@dataclass
class OperationsLimited(TooManyRequests):
    """The organization is at its limit of operations per second."""

    organization: str
    allowed: int
    retry_after_seconds: float

    code = "operations_limit"
    title = "More operations than its limit allows"
    message = (
        "{organization} may do {allowed} operations a second, by all its members, keys and "
        "software together, and did more just now. This one didn’t start. Try again in "
        "{wait_seconds} s, or ask whoever runs this portal for another limit."
    )

    @property
    def wait_seconds(self) -> int:
        """The time to wait, in whole seconds."""
        return max(ceil(self.retry_after_seconds), 1)

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.wait_seconds)}


@dataclass
class StorageLimited(LimitReached):
    """The organization keeps as much as it may."""

    organization: str
    kind: str
    allowed: int
    used: int

    code = "storage_limit"
    title = "No room within its limit"
    message = (
        "{organization} may keep {allowed:,} {kind}, and keeps {used:,}. Nothing was added. "
        "Reading, exporting and deleting go on; deleting makes room at once. Whoever runs this "
        "portal can give it another limit."
    )


@dataclass
class InvalidLimit(Invalid):
    """A limit is no whole number from 1 up."""

    kind: str

    code = "invalid_limit"
    message = "Enter a whole number from 1 up, or leave it empty for no limit of its own"

    @property
    def field(self) -> str:  # type: ignore[override]
        """The field of the limit."""
        return self.kind


@dataclass
class LimitsChanged(Conflict):
    """Somebody changed the limits meanwhile; ``differences`` are in words."""

    differences: Sequence[str]

    code = "limits_changed"
    title = "The limits were changed meanwhile"
    message = "Somebody else changed them meanwhile: {listed}. Nothing was changed: look again."

    @property
    def listed(self) -> str:
        """The differences in a phrase."""
        return "; ".join(self.differences)
