"""Leftovers of moves, and their removal.

A leftover is removed as the end of any move: with a record of its own, which is the organization's
open move meanwhile, so that none begins that would meet it; and by the UUID, or in a pool in
transactions with the record's token.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal.database.connection import server_time
from portal.documents.moves import Move, MoveProgress, MoveState, Outcome
from portal.documents.organizations import Organization, Placement
from portal.errors import NotFound
from portal.organizations.lifecycle.moves import QUEUE
from portal.organizations.moving import mover
from portal.organizations.moving.errors import MoveOpen
from portal.web.context import RequestContext

REASON = "It was left over."


def moves_of_collections(uuids: Iterable[UUID]) -> dict[UUID, list[Move]]:
    """The moves from or to these collections, of those that are any move's."""
    wanted = {"$in": list(uuids)}
    found: dict[UUID, list[Move]] = {}
    query = {"$or": [{"source.uuid": wanted}, {"target.uuid": wanted}]}
    for move in Move.objects(__raw__=query):
        for place in (move.source, move.target):
            if place.uuid in wanted["$in"]:
                found.setdefault(place.uuid, []).append(move)
    return found


def moves_in_pool(organization: ObjectId, pool: int) -> list[Move]:
    """The organization's moves from or to this pool."""
    there = {"$or": [{"source.pool": pool}, {"target.pool": pool}]}
    return list(Move.objects(__raw__={"organization": organization, **there}))


def has_open_move(organization: ObjectId, cluster: str) -> bool:
    """Tell whether the organization has an open move, or way back, from or to the cluster."""
    there = {"$or": [{"source.cluster": cluster}, {"target.cluster": cluster}]}
    return Move.objects(__raw__={"organization": organization, "open": True, **there}).count() > 0


def tokens_in_use(tokens: Iterable[ObjectId]) -> set[ObjectId]:
    """Select the tokens that belong to an open move: its own, and that of the other direction."""
    wanted = {"$in": list(tokens)}
    names = ("_id", "way_back", "way_back_of")
    query: Mapping[str, Any] = {"open": True, "$or": [{name: wanted} for name in names]}
    rows = Move._get_collection().find(query, dict.fromkeys(names, 1))
    return {row[name] for row in rows for name in names if name in row}


def remove_left_over(organization_id: ObjectId, left_over: Placement) -> bool:
    """Remove what the organization has at a place where it doesn't live; ``False`` where that has
    begun and a portal completes it. Raises NotFound, MoveOpen where it moves."""
    organization = Organization.objects(id=organization_id).first()
    if organization is None:
        raise NotFound(str(organization_id))
    now = server_time()
    move = Move(
        organization=organization.id,
        slug=organization.slug,
        open=True,
        state=MoveState.ENDING,
        outcome=Outcome.ENDED,
        reason=REASON,
        source=organization.placement,
        target=left_over,
        due_at=now,
        progress=MoveProgress(),
        origin=RequestContext().origin,
        created_at=now,
    )
    try:
        move.insert()
    except NotUniqueError as error:
        found = Move.objects(organization=organization.id, open=True).first()
        told = (str(found.id), found.state) if found else ("that just ended", MoveState.DONE)
        raise MoveOpen(organization.name, *told) from error
    acquired = QUEUE.acquire({"_id": move.id, "open": True})
    if acquired is not None:
        mover.carry_on(acquired)
    return not Move.objects(id=move.id, open=True)
