"""Leftovers of moves on any cluster: copies and tokens; documents in pools are told with those. And
moves that don't get on."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from uuid import UUID

from bson import ObjectId
from pymongo.database import Database

from portal import settings
from portal.database.clusters import client_of, is_lost
from portal.database.connection import server_time
from portal.database.paging import BATCH_SIZE
from portal.doctor.databases import MOVES_COLLECTIONS
from portal.doctor.findings import Finding, Kind, NotRepaired
from portal.doctor.placements import reached_clusters
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.organizations.lifecycle.moves import internal_of
from portal.organizations.moving.ending import is_last_copy
from portal.organizations.moving.explaining import describe, progress_of
from portal.organizations.moving.leftovers import (
    has_open_move,
    moves_of_collections,
    remove_left_over,
    tokens_in_use,
)
from portal.organizations.moving.managing import give_moves_up
from portal.tenants import collections
from portal.tenants.moving.writing import TOKENS, close_token

STUCK = Kind(
    "stuck_move",
    "Moves that don't get on",
    "flask moves explain says who or what is waited for. A portal that runs goes on by itself with "
    "those that nobody stopped. --repair gives up those of a cluster that is lost.",
)
LEFT_OVER = Kind(
    "move_leftover",
    "Copies that a move left over",
    "The organization lives elsewhere, and no open move needs them. --repair removes them, as the "
    "end of the move would have; but never the last copy of one whose cluster is lost.",
)
TOKEN = Kind(
    "move_token",
    "Tokens of moves that are over",
    "They would let a process write that slept over the end of its move. --repair closes them.",
)

LAST = "The last there is: its organization lives in a cluster that is lost"

_OF_MOVES = re.compile(r"(?:move|moving)_([0-9a-f]{24})(?:_\d+)?")
_OWN_DATABASE = re.compile(r"t_([0-9a-f]{24})")


def find_stuck() -> Iterator[Finding]:
    """Open moves that have stopped, that nobody works on, or whose cluster was given up."""
    for move in Move.objects(open=True).order_by("id"):
        lost = next(filter(is_lost, (move.source.cluster, move.target.cluster)), None)
        words = f"{move.slug}: {describe(move)}"
        if lost:
            yield Finding(STUCK, str(move.id), words, move.organization, partial(_give_up, lost))
        elif _is_stuck(move):
            yield Finding(STUCK, str(move.id), words, move.organization)


def find_left_over() -> Iterator[Finding]:
    """Copies of moves that are over, in tenant databases and in organizations' own."""
    for cluster in reached_clusters():
        client = client_of(cluster)
        yield from _left_over_in(client[settings.current().tenant_db], cluster)
        for name in client.list_database_names():
            if _OWN_DATABASE.fullmatch(name):
                yield from _left_over_in(client[name], cluster)


def find_tokens() -> Iterator[Finding]:
    """Tokens of moves that are over, and that nobody closed."""
    for cluster in reached_clusters():
        tokens = internal_of(cluster)[TOKENS].find({"ended_at": None}, {"_id": 1})
        while page := [row["_id"] for row in islice(tokens, BATCH_SIZE)]:
            for token in sorted(set(page) - tokens_in_use(page)):
                repair = partial(_close, cluster, token)
                yield Finding(TOKEN, str(token), f"cluster {cluster}", repair=repair)


def _is_stuck(move: Move) -> bool:
    if move.state == MoveState.REQUESTED:
        return False
    told = move.state == MoveState.ENDING and (move.waits_for or "").startswith("a person")
    stopped = bool(move.last_error and (move.paused or told))
    late = move.due_at and (server_time() - move.due_at).total_seconds() > _LATE_SECONDS
    return stopped or bool(not move.paused and late and progress_of(move).standstill)


_LATE_SECONDS = 60


def _give_up(cluster: str) -> str | None:
    return "given up" if give_moves_up(cluster) else None


def _left_over_in(database: Database, cluster: str) -> Iterator[Finding]:
    listed = {
        found.uuid: found.name
        for found in collections.list_collections(database)
        if _OF_MOVES.fullmatch(found.name) or found.name in MOVES_COLLECTIONS
    }
    for uuid, moves in moves_of_collections(listed).items() if listed else ():
        move, place = _closed_place(moves, uuid, cluster) or (None, None)
        if move is None or place is None or not _is_left_over(move, uuid, cluster):
            continue
        place.collection = listed[uuid]
        subject = f"{database.name}.{place.collection}"
        words, repair = f"of {move.slug}, cluster {cluster}", None
        if is_last_copy(move.organization, place):
            words += f". {LAST}"
        else:
            repair = partial(_remove, move.organization, place)
        yield Finding(LEFT_OVER, subject, words, move.organization, repair)


def _closed_place(moves: list[Move], uuid: UUID, cluster: str) -> tuple[Move, Placement] | None:
    for move in moves:
        for place in (move.source, move.target):
            if place.uuid == uuid and place.cluster == cluster:
                return move, Placement._from_son(place.to_mongo())
    return None


def _is_left_over(move: Move, uuid: UUID, cluster: str) -> bool:
    """Tell whether nobody lives in the collection, and no open move needs it."""
    living = Organization.objects(placement__uuid=uuid, state__ne=OrganizationState.PURGED)
    return not has_open_move(move.organization, cluster) and not living.first()


def _remove(organization: ObjectId, place: Placement) -> str | None:
    if not remove_left_over(organization, place):
        raise NotRepaired("its removal has begun, and a portal will complete it")
    return "removed" if place.strategy != Strategy.SHARED else "deleted"


def _close(cluster: str, token: ObjectId) -> str | None:
    if tokens_in_use([token]):
        return None
    close_token(internal_of(cluster), token)
    return "closed"
