"""Moves are found by id, or by the organization that they are of."""

from collections.abc import Iterable

from bson import ObjectId

from portal.database.together import Part, Read, Stages
from portal.documents.moves import Move
from portal.documents.organizations import Organization
from portal.organizations.moving.errors import MoveNotFound, OtherMove
from portal.organizations.moving.explaining import describe, title_of


def find_move(move: str | ObjectId) -> Move:
    """The move with this id, or the open one, else the latest, of the organization with this slug.
    Raises MoveNotFound."""
    found = Move.objects(id=move).first() if ObjectId.is_valid(move) else None
    if found is None:
        organization = Organization.objects(slug=str(move)).order_by("-created_at").first()
        of_it = Move.objects(organization=organization.id) if organization else None
        found = of_it and (of_it.filter(open=True).first() or of_it.order_by("-created_at").first())
    if found is None:
        raise MoveNotFound(str(move))
    return found


def open_move_of(organization: Organization) -> Move | None:
    """The organization's open move or way back, if it has one."""
    return Move.objects(organization=organization.id, open=True).first()


def open_move(organization: Organization, seen: str | None = None) -> Move:
    """The organization's open move, way back or request; with the id of the one that was ``seen``
    that one and no other. Raises MoveNotFound where none was named and there is none, OtherMove."""
    move = open_move_of(organization)
    if seen is not None and (move is None or str(move.id) != seen):
        raise OtherMove(organization.name, _seen(organization, seen), _now(move))
    if move is None:
        raise MoveNotFound(organization.slug)
    return move


def reading_open_move(organization: Organization) -> Part[Move | None]:
    """Reads the same."""
    return _reading_first([{"$match": {"organization": organization.id, "open": True}}])


def latest_move_of(organization: Organization) -> Move | None:
    """The organization's last move, or its way back, whatever its state."""
    return Move.objects(organization=organization.id).order_by("-created_at").first()


def reading_latest_move(organization: Organization) -> Part[Move | None]:
    """Reads the same."""
    latest = [{"$match": {"organization": organization.id}}, {"$sort": {"created_at": -1}}]
    return _reading_first(latest)


def list_moves(*, only_open: bool = True, most: int = 100) -> Iterable[Move]:
    """The moves and ways back, newest first."""
    wanted = {"open": True} if only_open else {}
    return Move.objects(**wanted).order_by("-id").limit(most)


def _seen(organization: Organization, seen: str) -> str:
    known = Move.objects(id=seen, organization=organization.id) if ObjectId.is_valid(seen) else None
    move = known and known.first()
    if not move:
        return "it has no such move."
    return f"{title_of(move)} ({move.id}) is {move.state if move.open else move.outcome}."


def _now(move: Move | None) -> str:
    if move is None:
        return "No other move is open."
    return f"{title_of(move)} ({move.id}) is open: {describe(move)}."


def _reading_first(stages: Stages) -> Part[Move | None]:
    [rows] = yield [Read(Move, [*stages, {"$limit": 1}])]
    return Move._from_son(rows[0]) if rows else None
