"""Proposes which organizations should move, by figures that have held for a while.

Nothing is moved. Promotion asks for more than demotion leaves, by half at least, and both for
figures that held ``settled_days``, for which an organization also stays after a move: so nobody is
proposed to and fro.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
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
    """The moves of a day: as many as the policy allows, the most pressing first, one of each
    organization. Costs a read for each reason, however many there are."""
    found: list[Proposal] = []
    for propose in (_out_of_region, _over, _under):
        if room := policy.moves.a_day - len(found):
            found += propose(policy, [one.organization for one in found], room)
    return found


def _out_of_region(policy: Policy, others: list[ObjectId], most: int) -> list[Proposal]:
    """Organizations on a cluster that was moved to another region since, say."""
    # Regions are those of clusters: to ask organizations for theirs reads a part of all.
    regions = {one.region for one in known_clusters() if one.region}
    nowhere = {"region": {"$exists": True, "$nin": [*regions, None]}}
    elsewhere = {
        "$or": [*({"region": region, **_outside(region)} for region in regions), nowhere],
        "state": OrganizationState.ACTIVE,
        "_id": {"$nin": others},
    }
    pipeline = [{"$match": elsewhere}, *_without_moved(policy), {"$limit": most}]
    # Named, since another index finds the clusters as well, and then all organizations there.
    hint = dict.fromkeys(("region", "placement.strategy", "placement.cluster", "_id"), 1)
    rows = Organization._get_collection().aggregate(pipeline, hint=hint)
    return [_proposal(row, Reason.REGION, _strategy_of(row)) for row in rows]


def _outside(region: str) -> dict[str, Any]:
    """The filter of places outside the region, as the index has them: the first versions wrote
    neither strategy nor cluster."""
    there: list[str | None] = [one.name for one in known_clusters() if one.region == region]
    if MAIN_CLUSTER in there:
        there.append(None)
    return {
        "placement.strategy": {"$in": [*Strategy, None]},
        "placement.cluster": {"$nin": there},
    }


def _over(policy: Policy, others: list[ObjectId], most: int) -> list[Proposal]:
    if policy.promote is None:
        return []
    shared = {"placement.strategy": Strategy.SHARED}
    rows = _settled("over_since", shared, policy, others, most)
    return [_proposal(row, Reason.OVER, Strategy.COLLECTION) for row in rows]


def _under(policy: Policy, others: list[ObjectId], most: int) -> list[Proposal]:
    if policy.demote is None:
        return []
    # Credentials can't come along into a shared collection.
    own = {"placement.strategy": {"$ne": Strategy.SHARED}, "credentials": {"$in": [None, 0]}}
    rows = _settled("under_since", own, policy, others, most)
    return [_proposal(row, Reason.UNDER, Strategy.SHARED) for row in rows]


def _settled(
    since: str, there: dict[str, Any], policy: Policy, others: list[ObjectId], most: int
) -> Iterator[dict[str, Any]]:
    """Organizations whose figures have held long enough, and that are as old at least."""
    before = _settled_before(policy)
    movable = {
        "state": OrganizationState.ACTIVE,
        "operation": {"$exists": False},
        "created_at": {"$lte": before},
        **there,
    }
    shown = {"slug": 1, "placement": 1}
    figures = {name: f"${name}" for name in ("documents", "bytes", "operations_a_day")}
    pipeline: list[dict[str, Any]] = [
        {"$match": {since: {"$lte": before}, "_id": {"$nin": others}}},
        {"$sort": {since: 1}},
        join(Organization, "_id", "_id", "found", [{"$match": movable}, {"$project": shown}]),
        {"$unwind": "$found"},
        *_without_moved(policy),
        {"$limit": most},
        {"$replaceWith": {"$mergeObjects": ["$found", figures, {"since": f"${since}"}]}},
    ]
    return OrganizationFigures.objects.aggregate(pipeline)


def _without_moved(policy: Policy) -> list[dict[str, Any]]:
    """The stages that leave out who moves, can go back, or moved lately."""
    lately = {"$or": [{"open": True}, {"switched_at": {"$gt": _settled_before(policy)}}]}
    moves: list[dict[str, Any]] = [{"$match": lately}, {"$limit": 1}, {"$project": {"_id": 1}}]
    return [join(Move, "_id", "organization", "moves", moves), {"$match": {"moves": []}}]


def _settled_before(policy: Policy) -> datetime:
    return clock.now() - timedelta(days=policy.moves.settled_days)


def _strategy_of(row: dict[str, Any]) -> Strategy:
    return Strategy(row["placement"].get("strategy", Strategy.COLLECTION))


def _proposal(row: dict[str, Any], reason: Reason, to: Strategy) -> Proposal:
    return Proposal(
        row["_id"],
        row["slug"],
        reason,
        _strategy_of(row),
        to,
        row.get("since"),
        row.get("documents"),
        row.get("bytes"),
        row.get("operations_a_day"),
    )
