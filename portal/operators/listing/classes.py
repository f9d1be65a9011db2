"""The classes by which organizations are listed, and the filters over them in words."""

from datetime import datetime, timedelta
from typing import Any

from portal.documents.listing import ListedState, SizeClass, UseClass
from portal.documents.organizations import OrganizationState, Strategy

MOST_RUNS = 200
"""The combinations of classes that the server merges; of more it sorts in memory, for seconds."""

_MB = 1_000_000
_SIZES = ((SizeClass.TINY, _MB), (SizeClass.SMALL, 100 * _MB), (SizeClass.MEDIUM, 10_000 * _MB))
USES = (
    (UseClass.DAY, timedelta(days=1)),
    (UseClass.WEEK, timedelta(days=7)),
    (UseClass.MONTH, timedelta(days=30)),
)
"""The classes of use, and how long ago it may be in each; it is the last one where it is longer."""

VALUES: dict[str, tuple[str, ...]] = {
    "state": tuple(ListedState),
    "size": tuple(SizeClass),
    "use": tuple(UseClass),
    "strategy": tuple(Strategy),
}
"""All values of each closed class."""

EXISTING = (ListedState.ACTIVE, ListedState.RESTRICTED, ListedState.TRASHED)

WORDS: dict[str, dict[str, str]] = {
    "state": {
        ListedState.ACTIVE: "Active",
        ListedState.RESTRICTED: "Suspended",
        ListedState.TRASHED: "In the trash",
        ListedState.PURGED: "Purged",
    },
    "strategy": {
        Strategy.SHARED: "Shared collection",
        Strategy.COLLECTION: "Own collection",
        Strategy.DATABASE: "Own database",
    },
    "size": {
        SizeClass.TINY: "Up to 1 MB",
        SizeClass.SMALL: "1 to 100 MB",
        SizeClass.MEDIUM: "100 MB to 10 GB",
        SizeClass.LARGE: "Over 10 GB",
    },
    "used": {
        UseClass.DAY: "In the last 24 hours",
        UseClass.WEEK: "In the last 7 days",
        UseClass.MONTH: "In the last 30 days",
        UseClass.OLDER: "Not for 30 days",
    },
}
"""The choices of each filter over a closed class, in words."""


def state_of(organization: dict[str, Any]) -> ListedState:
    """The state by which a stored organization is listed."""
    if organization["state"] == OrganizationState.PURGED:
        return ListedState.PURGED
    if organization["state"] == OrganizationState.TRASHED:
        return ListedState.TRASHED
    return ListedState.RESTRICTED if organization.get("restricted") else ListedState.ACTIVE


def size_of(stored_bytes: int | None) -> SizeClass:
    """The class of a size; one that nobody has measured counts as nothing."""
    return next((size for size, most in _SIZES if (stored_bytes or 0) <= most), SizeClass.LARGE)


def use_of(used_at: datetime, now: datetime) -> UseClass:
    """The class of the last use, which ends by itself."""
    return next((use for use, ago in USES if now - used_at <= ago), UseClass.OLDER)


def wanted_uses(used: str) -> tuple[UseClass, ...]:
    """The classes of what was used within that time; of what wasn't used for the longest."""
    if used == UseClass.OLDER:
        return (UseClass.OLDER,)
    within = tuple(UseClass)
    return within[: within.index(UseClass(used)) + 1]
