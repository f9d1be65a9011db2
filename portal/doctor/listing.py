"""The listing of organizations, compared with the truth."""

from collections.abc import Iterator
from functools import partial

from portal.doctor.findings import Finding, Kind
from portal.operators.listing import checking, feeding

UNTRUE = Kind(
    "untrue_listing",
    "Organizations that are listed otherwise than they are",
    "Operators don't find them, or see old values. --repair lists them again.",
)
BEHIND = Kind(
    "listing_behind",
    "A list of organizations that is behind",
    "Operators see what was a while ago. Portals feed it: look at their log for listing.failed.",
)
_LATE_SECONDS = 60


def find_untrue() -> Iterator[Finding]:
    """Organizations that the listing shows otherwise than they are, once it is filled."""
    if not feeding.is_filled():
        return
    for found in checking.find_differences():
        repair = partial(checking.repair, found)
        yield Finding(UNTRUE, str(found.organization), found.words, found.organization, repair)


def find_behind() -> Iterator[Finding]:
    """A listing that nobody feeds."""
    lag = feeding.lag_seconds()
    if lag > _LATE_SECONDS:
        yield Finding(BEHIND, "the list of organizations", f"it is {lag:.0f} seconds behind")
