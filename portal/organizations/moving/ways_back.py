"""Ways back are gone, ended and extended."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId

from portal.database.background import wake
from portal.database.clusters import stays_in_region
from portal.database.connection import server_time
from portal.database.transactions import within_transaction
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization
from portal.organizations.moving.changes import AS_IF_NEW, COPY, END, change_move, check_state
from portal.organizations.moving.ending import AT_ONCE
from portal.organizations.moving.errors import NoWayBack, WayBackOutsideRegion
from portal.organizations.moving.explaining import place_in_words
from portal.organizations.moving.finding import find_move
from portal.organizations.moving.options import check_days
from portal.web.context import RequestContext


def go_back(move: str, context: RequestContext) -> Move:
    """Have the way back be gone: the organization lives at its old place again, with all that was
    written since. ``move`` is the way back or the move that it belongs to. Raises MoveNotFound,
    WrongMoveState where it is over or lost, NotMovable where it leads out of the region that the
    organization is bound to."""
    way_back = _way_back(move)
    going = change_move(
        str(way_back.id),
        (MoveState.SHADOW,),
        "gone back on",
        context,
        action="organization.going_back",
        check=_check_region,
        set__switch_wanted=True,
        unset__verification=True,
        unset__next_fence_at=True,
        unset__fences_failed=True,
        **AS_IF_NEW,
    )
    wake(COPY)
    return going


@within_transaction
def _check_region(way_back: Move) -> None:
    organization = Organization.objects.get(id=way_back.organization)
    region, cluster = organization.region, way_back.target.cluster
    if region and not stays_in_region(cluster, region):
        raise WayBackOutsideRegion(organization.name, region, cluster)


@dataclass(frozen=True, slots=True)
class WayBackEnd:
    """The loss by the end of the way back ``move``: the old copy, in words as a ``place``, with so
    many documents and bytes as were moved from there. ``until`` is when it ends by itself; while
    the organization is ``held`` the copy stays until the hold is released."""

    move: ObjectId
    place: str
    documents: int
    bytes: int
    until: datetime | None
    held: bool


def plan_end(move: str) -> WayBackEnd:
    """The plan of the end of a way back; it is applied to that way back by its id. Raises
    MoveNotFound, WrongMoveState."""
    way_back = _way_back(move)
    check_state(way_back, (MoveState.SHADOW,), "ended")
    return WayBackEnd(
        move=way_back.id,
        place=place_in_words(way_back.target),
        documents=way_back.progress.documents,
        bytes=way_back.progress.bytes,
        until=way_back.until,
        held=bool(Organization.objects.get(id=way_back.organization).held),
    )


def end_way_back(move: str, context: RequestContext) -> Move:
    """Have the way back end now, and the old copy go. Raises MoveNotFound, WrongMoveState."""
    ended = change_move(
        str(_way_back(move).id),
        (MoveState.SHADOW,),
        "ended",
        context,
        action="organization.way_back_ended",
        set__state=MoveState.ENDING,
        set__outcome=Outcome.ENDED,
        set__due_at=AT_ONCE,
    )
    wake(END)
    return ended


def extend_way_back(move: str, days: int, context: RequestContext) -> Move:
    """Keep the way back for ``days`` from now, at most LONGEST_WAY_BACK_DAYS. Raises MoveNotFound,
    WrongMoveState, InvalidMoveOption."""
    check_days(days)
    until = server_time() + timedelta(days=days)
    return change_move(
        str(_way_back(move).id),
        (MoveState.SHADOW,),
        "extended",
        context,
        action="organization.way_back_extended",
        details={"until": f"{until:%Y-%m-%d}"},
        set__until=until,
    )


def _way_back(move: str) -> Move:
    """The way back that is meant. Raises MoveNotFound, WrongMoveState."""
    found = find_move(move)
    if found.way_back_of:
        return found
    way_back = Move.objects(way_back_of=found.id).first()
    if way_back is None:
        raise NoWayBack(str(found.id), found.state)
    return way_back
