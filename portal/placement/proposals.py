"""Proposes which organizations should move, by figures that have held for a while.

Nothing is moved here. Runs begin the moves, and all runs of 24 hours share ``a_day``. Promotion
asks for more than demotion leaves, by half at least, and both for figures that held
``settled_days``, for which an organization also stays after a move: so nobody is proposed to and
fro.
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
from portal.documents.figures import OrganizationFigures
from portal.documents.moves import Move
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Strategy,
)
from portal.placement.policies import Policy

BY_POLICY = "policy"
"""The ``drain`` of moves that were proposed here."""

_AT_ONCE = 200
_SHOWN = dict.fromkeys(("slug", "placement"), 1)
_FIGURES = ("documents", "bytes", "operations_a_day")


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
    """The moves that may begin now: as many of a day as the policy allows, without those that were
    begun, the most pressing first, one of each organization. Costs a few reads for each reason,
    however many there are."""
    found: list[Proposal] = []
    most = policy.moves.a_day - begun_lately()
    for propose in (_out_of_region, _over, _under):
        if (room := most - len(found)) > 0:
            found += propose(policy, [one.organization for one in found], room)
    return found


def begun_lately() -> int:
    """The number of moves by the policy that were begun in the last 24 hours, whatever became of
    them."""
    since = clock.now() - timedelta(days=1)
    begun = Move.objects(drain=BY_POLICY, way_back_of=None, created_at__gt=since)
    return begun.count()


def outside_regions(wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The ``wanted`` organizations that live outside the region that they are bound to, with slug,
    region and placement."""
    # Regions are those of clusters: to ask organizations for theirs reads a part of all.
    regions = {one.region for one in known_clusters() if one.region}
    nowhere = {"region": {"$exists": True, "$nin": [*regions, None]}}
    elsewhere = [*({"region": region, **_outside(region)} for region in regions), nowhere]
    # Named, since another index finds the clusters as well, and then all organizations there.
    hint = ["region", "placement.strategy", "placement.cluster", "_id"]
    return Organization._get_collection().find(
        {"$or": elsewhere, **wanted},
        {**_SHOWN, "region": 1},
        batch_size=_AT_ONCE,
        hint=[(name, 1) for name in hint],
    )


def _out_of_region(policy: Policy, others: list[ObjectId], most: int) -> list[Proposal]:
    """Organizations on a cluster that an earlier version let leave its region, say."""
    wanted = {"state": OrganizationState.ACTIVE, "_id": {"$nin": others}}
    rows = _unmoved(outside_regions(wanted), policy, most)
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
    rows = _unmoved(_settled("over_since", shared, policy, others), policy, most)
    return [_proposal(row, Reason.OVER, Strategy.COLLECTION) for row in rows]


def _under(policy: Policy, others: list[ObjectId], most: int) -> list[Proposal]:
    if policy.demote is None:
        return []
    # Credentials can't come along into a shared collection.
    own = {
        "placement.strategy": {"$in": [Strategy.COLLECTION, Strategy.DATABASE, None]},
        "credentials": {"$in": [None, 0]},
    }
    rows = _unmoved(_settled("under_since", own, policy, others), policy, most)
    return [_proposal(row, Reason.UNDER, Strategy.SHARED) for row in rows]


def _settled(
    since: str, there: dict[str, Any], policy: Policy, others: list[ObjectId]
) -> Iterator[dict[str, Any]]:
    """Organizations whose figures have held long enough, the longest first, and that are as old at
    least."""
    before = _settled_before(policy)
    movable = {
        "state": OrganizationState.ACTIVE,
        "operation": {"$exists": False},
        "created_at": {"$lte": before},
        **there,
    }
    wanted = {since: {"$lte": before}, "_id": {"$nin": others}}
    figures = OrganizationFigures._get_collection().find(
        wanted, dict.fromkeys((*_FIGURES, since), 1), sort=[(since, 1)], batch_size=_AT_ONCE
    )
    while batch := list(islice(figures, _AT_ONCE)):
        among = {"_id": {"$in": [row["_id"] for row in batch]}, **movable}
        found = Organization._get_collection().find(among, _SHOWN, hint="_id_")
        by_id = {row["_id"]: row for row in found}
        for row in batch:
            if row["_id"] in by_id:
                yield {**row, **by_id[row["_id"]], "since": row[since]}


def _unmoved(rows: Iterator[dict[str, Any]], policy: Policy, most: int) -> list[dict[str, Any]]:
    """The first organizations that don't move, can't go back, and didn't move lately. Looked up by
    batches: to join each with its moves takes the server ten times as long."""
    lately = {"$or": [{"open": True}, {"switched_at": {"$gt": _settled_before(policy)}}]}
    found: list[dict[str, Any]] = []
    while len(found) < most and (batch := list(islice(rows, _AT_ONCE))):
        among = {"organization": {"$in": [row["_id"] for row in batch]}, **lately}
        moves = Move._get_collection().find(among, {"organization": 1})
        moved = {move["organization"] for move in moves}
        found += [row for row in batch if row["_id"] not in moved]
    return found[:most]


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
