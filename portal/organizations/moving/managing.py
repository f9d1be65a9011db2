"""Moves are started, paused, resumed, throttled, aborted and switched, and gone back on, by
whichever process; the mover that works on one notices within seconds.

Each of these is one transaction that also writes the audit event. None does anything to documents.
A move is named by its id, or by the slug of its organization, whose open move it then is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from portal.database.background import wake
from portal.database.clusters import ensure_kept
from portal.database.connection import server_time
from portal.database.transactions import transactional, within_transaction
from portal.documents.moves import Move, MoveProgress, MoveState, Outcome
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Placement,
)
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.access.owners import email_owners
from portal.organizations.lifecycle.moves import lives_at
from portal.organizations.lifecycle.moving import record_places
from portal.organizations.lifecycle.states import RULES
from portal.organizations.moving import ending
from portal.organizations.moving.ending import AT_ONCE
from portal.organizations.moving.errors import (
    InvalidMoveDay,
    InvalidMoveOption,
    MoveImpossible,
    MoveNotFound,
    MoveOpen,
    MovesNotOffered,
    NotMovable,
    PlanChanged,
    WrongMoveState,
)
from portal.organizations.moving.mails import MOVE_APPROVED, MOVE_DECLINED
from portal.organizations.moving.planning import Plan, Planned, plan_move, target_of
from portal.placement.clusters import placeable_clusters, regions_offered
from portal.settings.checks import LONGEST_WAY_BACK_DAYS
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

MOST_PER_SECOND = 1_000_000
LONGEST_P99_MS = 60_000
LATEST_DAYS = 366
KIND = "move"
"""The name of changes of moves for idempotency keys."""

COPY, FOLLOW, END = "moves.copy", "moves.follow", "moves.end"
"""The background loops of movers."""

_COPYING = (MoveState.COPYING, MoveState.VERIFYING)
_BEFORE_SWITCH = (*_COPYING, MoveState.READY)


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
    that it is part of. With ``ends_credentials`` it switches although credentials have no user at
    the target, which end so."""

    switch: Switch = Switch.VERIFIED
    at: datetime | None = None
    throttle: Throttle = Throttle()
    without_way_back: bool = False
    way_back_days: int | None = None
    drain: str | None = None
    ends_credentials: bool = False


def start_move(
    organization: Organization, planned: Planned, options: Options, context: RequestContext
) -> Move:
    """Start a move as ``planned``; movers carry it out.

    Raises PlanChanged with the differences, MoveImpossible, InvalidMoveOption, MoveOpen,
    NotMovable, UnknownCluster, ClusterUnavailable, DuplicateRequest.
    """
    plan = _plan_as(planned, organization, options)
    move = _new_move(organization, plan, context)
    move.state, move.due_at = MoveState.COPYING, AT_ONCE
    _set_options(move, options)
    try:
        started = _insert(move, plan.source, "organization.move_started", context)
    except DuplicateKeyError as error:
        raise _open_already(organization) from error
    wake(COPY)
    return started


def request_move(access: Access, region: str, day: datetime, context: RequestContext) -> Move:
    """Have an owner ask for a move to a ``region`` on a ``day``; an operator decides. Owners are
    told of the decision by mail.

    Raises Forbidden, MovesNotOffered, InvalidMoveDay (in the past, or more than a year away),
    MoveOpen, NotMovable, UnknownRegion, DuplicateRequest.
    """
    access.require("organization.move")
    organization = access.organization
    if region not in regions_offered(organization.placement.cluster):
        raise MovesNotOffered
    _check_day(day)
    cluster = placeable_clusters(region)[0].name
    wanted = Placement(strategy=organization.placement.strategy, cluster=cluster)
    move = _record_of(organization, wanted, context)
    move.state, move.requested_for = MoveState.REQUESTED, day
    try:
        return _insert(move, organization.placement, "organization.move_requested", context, access)
    except DuplicateKeyError as error:
        raise _open_already(organization) from error


def approve_move(move: str, planned: Planned, options: Options, context: RequestContext) -> Move:
    """Start a requested move as ``planned``, which switches on the requested day unless ``options``
    say otherwise. Raises MoveNotFound, WrongMoveState, and what ``start_move`` raises."""
    requested = find_move(move)
    _check_state(requested, (MoveState.REQUESTED,), "approved")
    organization = Organization.objects.get(id=requested.organization)
    if options == Options() and requested.requested_for:
        options = Options(switch=Switch.AT, at=requested.requested_for)
    plan = _plan_as(planned, organization, options)
    approved = _new_move(organization, plan, context)
    _set_options(approved, options)

    @transactional
    def approve() -> Move:
        claim_key(context, organization.id, KIND, requested.id)
        current = _movable(organization.id, plan.source)
        changes = {
            "target": approved.target,
            "source": approved.source,
            "progress": approved.progress,
            "fences": approved.fences,
            "state": MoveState.COPYING,
            "due_at": AT_ONCE,
            **{name: getattr(approved, name) for name in _OPTIONS},
        }
        given = {f"set__{name}": value for name, value in changes.items() if value is not None}
        started = _changed(requested, (MoveState.REQUESTED,), "approved", **given)
        record_places(current, "organization.move_started", _as_done_by(started, context))
        email_owners(MOVE_APPROVED, current, move=started.id)
        ensure_kept(started.target.cluster)
        return started

    started = approve()
    wake(COPY)
    return started


def decline_move(move: str, reason: str, context: RequestContext) -> Move:
    """End a requested move; owners read the ``reason``. Raises MoveNotFound, WrongMoveState."""
    requested = find_move(move)
    return _end_request(requested, "declined", context, reason=reason)


def withdraw_request(access: Access, context: RequestContext) -> Move:
    """Have an owner withdraw the request of a move. Raises Forbidden, MoveNotFound,
    WrongMoveState."""
    access.require("organization.move")
    requested = open_move_of(access.organization)
    if requested is None:
        raise MoveNotFound(access.organization.slug)
    return _end_request(requested, "withdrawn", context, access=access)


def pause_move(move: str, context: RequestContext) -> Move:
    """Have a move stop behind the batch in hand; what was copied stays. Raises MoveNotFound,
    WrongMoveState behind ``ready``."""
    return _change(move, _BEFORE_SWITCH, "paused", context, set__paused=True)


def resume_move(move: str, context: RequestContext) -> Move:
    """Have a paused or stopped move go on, whatever it failed of before. Raises MoveNotFound,
    WrongMoveState."""
    resumed = _change(move, _BEFORE_SWITCH, "resumed", context, unset__paused=True, **_AS_IF_NEW)
    wake(COPY)
    return resumed


def throttle_move(move: str, throttle: Throttle, context: RequestContext) -> Move:
    """Change the speed of a move. Raises MoveNotFound, WrongMoveState, InvalidMoveOption."""
    _check_throttle(throttle)
    values = {
        "documents_per_second": throttle.documents_per_second,
        "neighbours_p99_ms": throttle.neighbours_p99_ms,
    }
    states = (*_BEFORE_SWITCH, MoveState.SHADOW)
    return _change(move, states, "throttled", context, **_setting(values))


def abort_move(move: str, reason: str | None, context: RequestContext) -> Move:
    """Have a move end before its switch: the source is as before, and the target goes. While it is
    fenced it is asked for, and done unless the switch comes first. May be called again.

    Raises MoveNotFound, WrongMoveState from ``switched`` on: then there may be a way back.
    """
    found = find_move(move)
    if found.outcome == Outcome.ABORTED:
        return found
    if found.state == MoveState.REQUESTED:
        return _end_request(found, "aborted", context, reason=reason)
    if found.way_back_of and found.state == MoveState.SHADOW:
        raise WrongMoveState(str(found.id), "a way back", "aborted: end it, or go back")
    if not RULES[MoveState(found.state)].may_abort:
        raise WrongMoveState(str(found.id), found.state, "aborted")

    @transactional
    def abort() -> Move:
        claim_key(context, found.organization, KIND, found.id)
        ending_now = {
            "set__state": MoveState.ENDING,
            "set__outcome": Outcome.ABORTED,
            "set__due_at": AT_ONCE,
            "unset__paused": True,
            **({"set__reason": reason} if reason else {}),
        }
        before = Move.objects(id=found.id, state__in=_BEFORE_SWITCH, open=True)
        aborted = before.modify(new=True, **ending_now) or _changed(
            found, (MoveState.FENCED,), "aborted", set__abort_wanted=True
        )
        _record(aborted, "organization.move_aborted", context, reason=reason)
        return aborted

    aborted = abort()
    wake(END)
    return aborted


def switch_move(
    move: str,
    context: RequestContext,
    *,
    switch: Switch = Switch.VERIFIED,
    at: datetime | None = None,
    without_way_back: bool | None = None,
    ends_credentials: bool | None = None,
) -> Move:
    """Change when a move switches: with ``Switch.VERIFIED`` now, if it is ready. Raises
    MoveNotFound, WrongMoveState, InvalidMoveOption."""
    values = _switching(switch, at)
    if without_way_back is not None:
        values["without_way_back"] = without_way_back or None
    if ends_credentials is not None:
        values["ends_credentials"] = ends_credentials or None
    switched = _change(
        move,
        _BEFORE_SWITCH,
        "switched",
        context,
        **_setting(values),
        **_AS_IF_NEW,
        unset__next_fence_at=True,
        unset__fences_failed=True,
    )
    wake(FOLLOW)
    return switched


def go_back(move: str, context: RequestContext) -> Move:
    """Have the way back be gone: the organization lives at its old place again, with all that was
    written since. ``move`` is the way back or the move that it belongs to. Raises MoveNotFound,
    WrongMoveState where it is over or lost."""
    way_back = _way_back(move)
    going = _change(
        str(way_back.id),
        (MoveState.SHADOW,),
        "gone back on",
        context,
        action="organization.going_back",
        set__switch_wanted=True,
        unset__verification=True,
        unset__next_fence_at=True,
        unset__fences_failed=True,
        **_AS_IF_NEW,
    )
    wake(COPY)
    return going


def end_way_back(move: str, context: RequestContext) -> Move:
    """Have the way back end now, and the old copy go. Raises MoveNotFound, WrongMoveState."""
    ended = _change(
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
    _check_days(days)
    until = server_time() + timedelta(days=days)
    return _change(
        str(_way_back(move).id),
        (MoveState.SHADOW,),
        "extended",
        context,
        action="organization.way_back_extended",
        details={"until": f"{until:%Y-%m-%d}"},
        set__until=until,
    )


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
    there = {"$or": [{"source.cluster": cluster}, {"target.cluster": cluster}]}
    found = list(Move.objects(__raw__={"open": True, **there}))
    for move in found:
        ending.give_up(move, f"the cluster {cluster} was given up as lost")
    wake(END)
    return len(found)


_AS_IF_NEW: dict[str, Any] = {
    "unset__tries": True,
    "unset__cause": True,
    "unset__last_error": True,
    "unset__waits_for": True,
    "set__due_at": AT_ONCE,
}
_OPTIONS = (
    "switch_wanted",
    "switch_at",
    "switch_in_hours",
    "without_way_back",
    "way_back_days",
    "documents_per_second",
    "neighbours_p99_ms",
    "drain",
    "ends_credentials",
)


def _plan_as(planned: Planned, organization: Organization, options: Options) -> Plan:
    """The plan as it is now, if it is as it was ``planned``. Raises PlanChanged, MoveImpossible."""
    _check_options(options)
    plan = plan_move(organization, planned.wish)
    if differences := plan.differences_from(planned):
        raise PlanChanged(organization.name, differences)
    if plan.obstacles:
        raise MoveImpossible(organization.name, plan.obstacles)
    return plan


def _new_move(organization: Organization, plan: Plan, context: RequestContext) -> Move:
    move = _record_of(organization, target_of(organization, plan.wish), context)
    move.source = plan.source
    move.progress = MoveProgress(documents=plan.documents, bytes=plan.bytes)
    return move


def _record_of(organization: Organization, target: Placement, context: RequestContext) -> Move:
    latest = latest_move_of(organization)
    return Move(
        organization=organization.id,
        slug=organization.slug,
        open=True,
        source=organization.placement,
        target=target,
        progress=MoveProgress(),
        fences=latest.fences if latest else 0,
        origin=context.origin,
        created_at=server_time(),
    )


@transactional
def _insert(
    move: Move,
    source: Placement,
    action: str,
    context: RequestContext,
    access: Access | None = None,
) -> Move:
    if access is None:
        claim_key(context, move.organization, KIND, move.id)
    else:
        target = access.organization.id
        begin_change(access, context, KIND, target, permission="organization.move")
    current = _movable(move.organization, source)
    move.id = Move._get_collection().insert_one(move.to_mongo().to_dict()).inserted_id
    record_places(current, action, move)
    ensure_kept(move.target.cluster)
    return move


def _movable(organization: ObjectId, source: Placement) -> Organization:
    """The organization as it is now, if it still lives there. Raises NotMovable, PlanChanged."""
    current = Organization.objects(__raw__={"_id": organization, **lives_at(source)}).first()
    if current is None:
        raise PlanChanged("the organization", ["it lives elsewhere now"])
    if current.state == OrganizationState.PURGED:
        raise NotMovable(current.name, "it is deleted for good")
    return current


def _open_already(organization: Organization) -> MoveOpen:
    found = open_move_of(organization)
    told = (str(found.id), found.state) if found else ("that just ended", MoveState.DONE)
    return MoveOpen(organization.name, *told)


def _change(
    move: str,
    states: tuple[MoveState, ...],
    done: str,
    context: RequestContext,
    *,
    action: str | None = None,
    details: dict[str, str] | None = None,
    **changes: Any,
) -> Move:
    """Change an open move that is in one of the ``states``, with its event."""
    found = find_move(move)

    @transactional
    def change() -> Move:
        claim_key(context, found.organization, KIND, found.id)
        changed = _changed(found, states, done, **changes)
        _record(changed, action or f"organization.move_{done}", context, **(details or {}))
        return changed

    return change()


@within_transaction
def _changed(move: Move, states: tuple[MoveState, ...], done: str, **changes: Any) -> Move:
    changed = Move.objects(id=move.id, state__in=states, open=True).modify(new=True, **changes)
    if changed is None:
        _check_state(Move.objects.get(id=move.id), states, done)
        raise WrongMoveState(str(move.id), "over", done)
    return changed


@within_transaction
def _record(move: Move, action: str, context: RequestContext, **details: str | None) -> None:
    organization = Organization.objects.get(id=move.organization)
    record_places(organization, action, _as_done_by(move, context), **details)


def _as_done_by(move: Move, context: RequestContext) -> Move:
    """The move, for an event of which it isn't the origin."""
    shown = Move._from_son(move.to_mongo())
    shown.origin = context.origin
    return shown


def _end_request(
    move: Move,
    done: str,
    context: RequestContext,
    *,
    reason: str | None = None,
    access: Access | None = None,
) -> Move:
    now = server_time()

    @transactional
    def end() -> Move:
        if access is None:
            claim_key(context, move.organization, KIND, move.id)
        else:
            begin_change(access, context, KIND, move.id, permission="organization.move")
        ended = _changed(
            move,
            (MoveState.REQUESTED,),
            done,
            set__state=MoveState.DONE,
            set__outcome=Outcome.DECLINED if done == "declined" else Outcome.ABORTED,
            set__reason=reason,
            set__ended_at=now,
            unset__open=True,
        )
        _record(ended, f"organization.move_{done}", context, reason=reason)
        if done == "declined":
            email_owners(MOVE_DECLINED, Organization(id=move.organization), move=ended.id)
        return ended

    return end()


def _way_back(move: str) -> Move:
    """The way back that is meant. Raises MoveNotFound, WrongMoveState."""
    found = find_move(move)
    if found.way_back_of:
        return found
    way_back = Move.objects(way_back_of=found.id).first()
    if way_back is None:
        raise WrongMoveState(str(found.id), f"{found.state}, without a way back", "gone back on")
    return way_back


def _check_state(move: Move, states: tuple[MoveState, ...], done: str) -> None:
    if move.state not in states or not move.open:
        raise WrongMoveState(str(move.id), move.state, done)


def _set_options(move: Move, options: Options) -> None:
    values = {
        **_switching(options.switch, options.at),
        "without_way_back": options.without_way_back or None,
        "way_back_days": options.way_back_days,
        "documents_per_second": options.throttle.documents_per_second,
        "neighbours_p99_ms": options.throttle.neighbours_p99_ms,
        "drain": options.drain,
        "ends_credentials": options.ends_credentials or None,
    }
    for name, value in values.items():
        setattr(move, name, value)


def _switching(switch: Switch, at: datetime | None) -> dict[str, Any]:
    if (switch == Switch.AT) != (at is not None):
        raise InvalidMoveOption("A date belongs to the switch at a date, and only to that.")
    return {
        "switch_wanted": True if switch == Switch.VERIFIED else None,
        "switch_at": at,
        "switch_in_hours": True if switch == Switch.IN_HOURS else None,
    }


def _setting(values: dict[str, Any]) -> dict[str, Any]:
    """The update that sets these values, and unsets those that are ``None``."""
    return {
        f"unset__{name}" if value is None else f"set__{name}": True if value is None else value
        for name, value in values.items()
    }


def _check_options(options: Options) -> None:
    _switching(options.switch, options.at)
    _check_throttle(options.throttle)
    if options.at:
        _check_at(options.at)
    if options.way_back_days is not None:
        _check_days(options.way_back_days)


def _check_at(at: datetime) -> None:
    if at > server_time() + timedelta(days=LATEST_DAYS):
        raise InvalidMoveOption("The date is more than a year away.")


def _check_day(day: datetime) -> None:
    if day < server_time() - timedelta(days=1):
        raise InvalidMoveDay("Choose a day that isn’t over")
    if day > server_time() + timedelta(days=LATEST_DAYS):
        raise InvalidMoveDay("Choose a day within a year")


def _check_days(days: int) -> None:
    if not 1 <= days <= LONGEST_WAY_BACK_DAYS:
        raise InvalidMoveOption(f"A way back is open for 1 to {LONGEST_WAY_BACK_DAYS} days.")


def _check_throttle(throttle: Throttle) -> None:
    rate, p99 = throttle.documents_per_second, throttle.neighbours_p99_ms
    if rate is not None and not 1 <= rate <= MOST_PER_SECOND:
        raise InvalidMoveOption(f"A throttle is 1 to {MOST_PER_SECOND:,} documents a second.")
    if p99 is not None and not 1 <= p99 <= LONGEST_P99_MS:
        raise InvalidMoveOption(f"A limit of the p99 is 1 to {LONGEST_P99_MS:,} ms.")
