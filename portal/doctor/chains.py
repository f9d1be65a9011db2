"""Audit chains that aren't whole any more."""

from collections.abc import Iterator

from portal.audit import chains
from portal.doctor.findings import Finding, Kind

BROKEN = Kind(
    "broken_chain",
    "Audit chains that were changed",
    "Nothing mends them. Compare with a backup, and find out who writes to the master database.",
)


def find_broken() -> Iterator[Finding]:
    """Chains with an event that was changed, removed or put in, or with another head."""
    for broken in chains.find_broken():
        words = f"{broken.subject}: {broken.words}"
        yield Finding(BROKEN, str(broken.chain), words, broken.organization)
