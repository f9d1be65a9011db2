"""Support grants: asked for by operators, given, declined and ended by owners.

Whoever decides changes the grant from the state in which they saw it, in a transaction that writes
the organization's chain too: so of two that decide at once, one is told what the other did.
"""

from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from portal.documents.support import GrantState

HOURS = (1, 4, 8, 24, 72)
"""The hours that forms offer."""

MOST_HOURS = 72
MAX_IN_FORCE = 10
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class ListedGrant:
    """A support grant as shown; ``in_force`` while an operator may act by it."""

    id: ObjectId
    state: GrantState
    reason: str
    operator: ObjectId | None
    hours: int
    with_documents: bool
    asked_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    ends_at: datetime | None
    ended_at: datetime | None
    used_at: datetime | None
    pages: int
    in_force: bool
