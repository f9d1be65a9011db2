"""Proposes which organizations should move, by figures that have held for a while.

Nothing is moved. Promotion asks for more than demotion leaves, by half at least, and both for
figures that held ``settled_days``, for which an organization also stays after a move: so nobody is
proposed to and fro.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any

from bson import ObjectId

from portal import clock
from portal.database.clusters import known_clusters
from portal.database.paging import join
from portal.documents.figures import OrganizationFigures
from portal.documents.moves import Move
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Strategy,
)
from portal.placement.policies import Policy


class Reason(StrEnum):
    """The reasons for a proposal, the most pressing one first."""

    REGION = "it is bound to another region"
    OVER = "it is over the thresholds of promote"
    UNDER = "it is under the thresholds of demote"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A move that should be made, for a ``reason`` that has held ``since``."""

    organization: ObjectId
    slug: str
    reason: Reason
    strategy: Strategy
    to: Strategy
    since: datetime | None = None
    documents: int | None = None
    bytes: int | None = None
    operations_a_day: int | None = None


def propose_moves(policy: Policy) -> list[Proposal]:
    """The moves of a day: as many as the policy allows, the most pressing first."""
    settled = (one for one in _proposals(policy) if _has_stayed(one.organization, policy))
    return list(islice(settled, policy.moves.a_day))


def _has_stayed(organization: ObjectId, policy: Policy) -> bool:
    """Tell whether the organization neither moves, nor can go back, nor moved lately."""
    before = clock.now() - timedelta(days=policy.moves.settled_days)
    lately = {"$or": [{"open": True}, {"switched_at": {"$gt": before}}]}
    return not Move.objects(__raw__={"organization": organization, **lately}).first()


def _proposals(policy: Policy) -> Iterator[Proposal]:
    yield from _out_of_region()
    if policy.promote:
        yield from _settled("over_since", policy, Reason.OVER)
    if policy.demote:
        yield from _settled("under_since", policy, Reason.UNDER)


def _out_of_region() -> Iterator[Proposal]:
    """Organizations on a cluster that was moved to another region since, say."""
    clusters = known_clusters()
    for region in Organization.objects(region__exists=True).distinct("region"):
        there: list[str | None] = [one.name for one in clusters if one.region == region]
        if MAIN_CLUSTER in there:
            there.append(None)  # the first versions wrote no cluster
        elsewhere = {"placement.cluster": {"$nin": there}}
        found = Organization.objects(
            __raw__={"region": region, "state": OrganizationState.ACTIVE, **elsewhere}
        )
        for organization in found.only("slug", "placement"):
            strategy = Strategy(organization.placement.strategy)
            yield Proposal(organization.id, organization.slug, Reason.REGION, strategy, strategy)


def _settled(since: str, policy: Policy, reason: Reason) -> Iterator[Proposal]:
    """Organizations whose figures have held long enough, and that are as old at least."""
    before = clock.now() - timedelta(days=policy.moves.settled_days)
    shared = {"placement.strategy": Strategy.SHARED}
    is_there = shared if reason == Reason.OVER else {"placement.strategy": {"$ne": Strategy.SHARED}}
    movable = {
        "state": OrganizationState.ACTIVE,
        "operation": {"$exists": False},
        "created_at": {"$lte": before},
        **is_there,
        # Credentials can't come along into a shared collection.
        **({"credentials": {"$in": [None, 0]}} if reason == Reason.UNDER else {}),
    }
    pipeline: list[dict[str, Any]] = [
        {"$match": {since: {"$lte": before}}},
        {"$sort": {since: 1}},
        join(Organization, "_id", "_id", "organization", [{"$match": movable}]),
        {"$unwind": "$organization"},
    ]
    for row in OrganizationFigures.objects.aggregate(pipeline):
        organization = row["organization"]
        strategy = Strategy(organization["placement"].get("strategy", Strategy.COLLECTION))
        yield Proposal(
            row["_id"],
            organization["slug"],
            reason,
            strategy,
            Strategy.COLLECTION if reason == Reason.OVER else Strategy.SHARED,
            row[since],
            row["documents"],
            row["bytes"],
            row.get("operations_a_day"),
        )
