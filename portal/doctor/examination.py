"""One examination: every check in its order, and the repairs if they are wanted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from portal.doctor import chains, leftovers, members, operations, placements, slugs
from portal.doctor.findings import Finding, NotMended
from portal.errors import PortalError
from portal.tenants.collections import CollectionError

log = structlog.get_logger()

# What an operation that is stuck leaves half done is no damage to the other checks, so it comes
# first; owners and their offers come after memberships, whose repair may take one away.
CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    operations.find_stuck,
    placements.find_strays,
    placements.find_misplaced,
    slugs.find_idle,
    slugs.find_unheld,
    leftovers.find_dead,
    members.find_dead_offers,
    members.find_ownerless,
    chains.find_broken,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finding, and what its repair did, or why it did nothing; neither where none was tried."""

    finding: Finding
    mended: str | None = None
    not_mended: str | None = None

    @property
    def remains(self) -> bool:
        """Whether somebody should do something about it."""
        return self.mended is None and not self.finding.kind.harmless


def examine(check: Callable[[], Iterator[Finding]], *, repair: bool) -> Iterator[Outcome]:
    """What ``check`` finds, one after the other, each mended at once if ``repair`` says so.

    Raises PyMongoError or MongoEngineException where MongoDB can't be used.
    """
    for finding in check():
        outcome = _mend(finding) if repair and finding.repair else Outcome(finding)
        if outcome:
            yield outcome


def _mend(finding: Finding) -> Outcome | None:
    labels = {"kind": finding.kind.name, "subject": finding.subject}
    try:
        did = finding.repair() if finding.repair else None
    except (NotMended, PortalError, CollectionError) as error:
        log.warning("doctor.not_mended", reason=repr(error), **labels)
        return Outcome(finding, not_mended=str(error) or type(error).__name__)
    if did is None:  # it was well again before the repair
        return None
    log.warning("doctor.mended", did=did, **labels)
    return Outcome(finding, mended=did)
