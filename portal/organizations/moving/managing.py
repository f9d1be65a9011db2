"""Moves are started, paused, resumed, throttled, aborted and switched, and gone back on, by
whichever process; the mover that works on one notices within seconds.

Each of these is one transaction that also writes the audit event. None does anything to documents.
A move is named by its id, or by the slug of its organization, whose open move it then is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from portal.documents.moves import Move
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access
from portal.organizations.moving.planning import Planned
from portal.web.context import RequestContext


class Switch(StrEnum):
    """The time of a move's switch: as soon as it is verified, when somebody says so, within the
    hours of the placement policy, or at a date."""

    VERIFIED = "verified"
    ON_COMMAND = "on command"
    IN_HOURS = "in hours"
    AT = "at"


@dataclass(frozen=True, slots=True)
class Throttle:
    """A limit to the speed of a move; without any it is as fast as it goes."""

    documents_per_second: int | None = None
    neighbours_p99_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The way in which a move is carried out. ``at`` belongs to ``Switch.AT``. ``drain`` is the run
    that it is part of."""

    switch: Switch = Switch.VERIFIED
    at: datetime | None = None
    throttle: Throttle = Throttle()
    without_way_back: bool = False
    way_back_days: int | None = None
    drain: str | None = None


def start_move(
    organization: Organization, planned: Planned, options: Options, context: RequestContext
) -> Move:
    """Start a move as ``planned``; movers carry it out.

    Raises PlanChanged with the differences, MoveImpossible, InvalidMoveOption, MoveOpen,
    NotMovable, UnknownCluster, ClusterUnavailable, DuplicateRequest.
    """
    raise NotImplementedError


def request_move(access: Access, region: str, day: datetime, context: RequestContext) -> Move:
    """Have an owner ask for a move to a ``region`` on a ``day``; an operator decides. Owners are
    told of the decision by mail.

    Raises Forbidden, MovesNotOffered, InvalidMoveOption (a day in the past, or more than a year
    away), MoveOpen, NotMovable, UnknownRegion, DuplicateRequest.
    """
    raise NotImplementedError


def approve_move(move: str, planned: Planned, options: Options, context: RequestContext) -> Move:
    """Start a requested move as ``planned``, which switches on the requested day unless ``options``
    say otherwise. Raises MoveNotFound, WrongMoveState, and what ``start_move`` raises."""
    raise NotImplementedError


def decline_move(move: str, reason: str, context: RequestContext) -> Move:
    """End a requested move; owners read the ``reason``. Raises MoveNotFound, WrongMoveState."""
    raise NotImplementedError


def withdraw_request(access: Access, context: RequestContext) -> Move:
    """Have an owner withdraw the request of a move. Raises Forbidden, MoveNotFound,
    WrongMoveState."""
    raise NotImplementedError


def pause_move(move: str, context: RequestContext) -> Move:
    """Have a move stop behind the batch in hand; what was copied stays. Raises MoveNotFound,
    WrongMoveState behind ``ready``."""
    raise NotImplementedError


def resume_move(move: str, context: RequestContext) -> Move:
    """Have a paused or stopped move go on, whatever it failed of before. Raises MoveNotFound,
    WrongMoveState."""
    raise NotImplementedError


def throttle_move(move: str, throttle: Throttle, context: RequestContext) -> Move:
    """Change the speed of a move. Raises MoveNotFound, WrongMoveState, InvalidMoveOption."""
    raise NotImplementedError


def abort_move(move: str, reason: str | None, context: RequestContext) -> Move:
    """Have a move end before its switch: the source is as before, and the target goes. While it is
    fenced it is asked for, and done unless the switch comes first. May be called again.

    Raises MoveNotFound, WrongMoveState from ``switched`` on: then there may be a way back.
    """
    raise NotImplementedError


def switch_move(
    move: str,
    context: RequestContext,
    *,
    switch: Switch = Switch.VERIFIED,
    at: datetime | None = None,
    without_way_back: bool | None = None,
) -> Move:
    """Change when a move switches: with ``Switch.VERIFIED`` now, if it is ready. Raises
    MoveNotFound, WrongMoveState, InvalidMoveOption."""
    raise NotImplementedError


def go_back(move: str, context: RequestContext) -> Move:
    """Have the way back be gone: the organization lives at its old place again, with all that was
    written since. ``move`` is the way back or the move that it belongs to. Raises MoveNotFound,
    WrongMoveState where it is over or lost."""
    raise NotImplementedError


def end_way_back(move: str, context: RequestContext) -> Move:
    """Have the way back end now, and the old copy go. Raises MoveNotFound, WrongMoveState."""
    raise NotImplementedError


def extend_way_back(move: str, days: int, context: RequestContext) -> Move:
    """Keep the way back for ``days`` from now, at most LONGEST_WAY_BACK_DAYS. Raises MoveNotFound,
    WrongMoveState, InvalidMoveOption."""
    raise NotImplementedError


def find_move(move: str | ObjectId) -> Move:
    """The move with this id, or the open one, else the latest, of the organization with this slug.
    Raises MoveNotFound."""
    raise NotImplementedError


def open_move_of(organization: Organization) -> Move | None:
    """The organization's open move or way back, if it has one."""
    return Move.objects(organization=organization.id, open=True).first()


def latest_move_of(organization: Organization) -> Move | None:
    """The organization's last move, or its way back, whatever its state."""
    return Move.objects(organization=organization.id).order_by("-created_at").first()


def list_moves(*, only_open: bool = True, most: int = 100) -> Iterable[Move]:
    """The moves and ways back, newest first."""
    wanted = {"open": True} if only_open else {}
    return Move.objects(**wanted).order_by("-id").limit(most)


def give_moves_up(cluster: str) -> int:
    """Have the open moves and ways back from or to a cluster that is lost end as given up; how many
    there were. ``lose_cluster`` calls it, after its own transaction; may be called again."""
    raise NotImplementedError
