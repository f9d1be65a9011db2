"""One examination: every check in order, with repairs on request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from portal.doctor import (
    applications,
    chains,
    clusters,
    credentials,
    databases,
    leftovers,
    listing,
    members,
    moves,
    operations,
    placements,
    pools,
    restrictions,
    slugs,
    support,
    surroundings,
)
from portal.doctor.findings import Finding, NotRepaired
from portal.errors import PortalError
from portal.tenants.collections import CollectionError

log = structlog.get_logger()

# Stuck operations first: the other checks ignore what they left half done. Owners and their offers
# after memberships, whose repair may delete an owner's.
CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    clusters.find_amiss,
    operations.find_stuck,
    moves.find_stuck,
    pools.find_unrecorded,  # before strays, which their collections aren't
    placements.find_strays,
    placements.find_misplaced,
    placements.find_unknown,
    placements.find_outside_region,
    databases.find_amiss,
    pools.find_amiss,
    moves.find_left_over,
    moves.find_tokens,
    slugs.find_idle,
    slugs.find_unheld,
    leftovers.find_dead,
    credentials.find_mismatched,
    support.find_unrecorded,
    applications.find_undropped,
    restrictions.find_lost_holds,
    restrictions.find_unlike,
    members.find_dead_offers,
    members.find_ownerless,
    chains.find_broken,
    listing.find_behind,  # before the other, which feeds it
    listing.find_untrue,
    credentials.find_wrong_hosts,
    surroundings.find_leaking_server,
    surroundings.find_waiting_mails,
    surroundings.find_wrong_clock,
    surroundings.find_full_clusters,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finding with its repair's result or refusal; with neither where no repair was tried."""

    finding: Finding
    repaired: str | None = None
    not_repaired: str | None = None

    @property
    def remains(self) -> bool:
        """True where somebody has to act on it."""
        return self.repaired is None and not self.finding.kind.harmless


def examine(check: Callable[[], Iterator[Finding]], *, repair: bool) -> Iterator[Outcome]:
    """Yield the outcome of each finding of ``check``, repairing each at once on ``repair``, unless
    its kind is explicit.

    Raises PyMongoError or MongoEngineException where MongoDB is unavailable.
    """
    for finding in check():
        wanted = repair and finding.repair and not finding.kind.explicit
        outcome = repair_finding(finding) if wanted else Outcome(finding)
        if outcome:
            yield outcome


def repair_finding(finding: Finding) -> Outcome | None:
    """Repair it; the outcome, or ``None`` where the damage was gone before."""
    log_context = {"kind": finding.kind.name, "subject": finding.subject}
    try:
        result = finding.repair() if finding.repair else None
    except (NotRepaired, PortalError, CollectionError) as error:
        log.warning("doctor.not_mended", reason=repr(error), **log_context)
        return Outcome(finding, not_repaired=str(error) or type(error).__name__)
    if result is None:
        return None
    log.warning("doctor.mended", did=result, **log_context)
    return Outcome(finding, repaired=result)
