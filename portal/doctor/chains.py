"""Broken audit chains."""

from collections.abc import Iterator

from portal.audit import chains
from portal.doctor.findings import Finding, Kind

BROKEN = Kind(
    "broken_chain",
    "Audit chains that were changed",
    "Nothing mends them. Compare with a backup, and find out who writes to the master database.",
)


def find_broken() -> Iterator[Finding]:
    """Chains with a changed, removed or inserted event, or with a wrong head."""
    for broken in chains.find_broken():
        words = f"{broken.subject}: {broken.words}"
        yield Finding(BROKEN, str(broken.chain), words, broken.organization)
