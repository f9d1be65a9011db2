"""Moves are started, or asked for by owners, and approved or declined.

Each of these is one transaction that also writes the audit event. None does anything to documents.
"""

from dataclasses import replace
from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from portal.database.background import wake
from portal.database.clusters import ensure_kept, stays_in_region
from portal.database.connection import server_time
from portal.database.transactions import transactional, within_transaction
from portal.display_names import visible_part
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
from portal.organizations.moving.changes import (
    COPY,
    KIND,
    as_done_by,
    check_state,
    modify_open,
    record_change,
)
from portal.organizations.moving.ending import AT_ONCE
from portal.organizations.moving.errors import (
    BoundElsewhere,
    DeclineReasonNeeded,
    LivesElsewhere,
    MoveImpossible,
    MoveOpen,
    MovesNotOffered,
    PlanChanged,
    PurgedNotMovable,
)
from portal.organizations.moving.finding import find_move, latest_move_of, open_move_of
from portal.organizations.moving.mails import MOVE_APPROVED, MOVE_DECLINED
from portal.organizations.moving.options import (
    OPTIONS,
    Options,
    Switch,
    check_day,
    check_options,
    set_options,
)
from portal.organizations.moving.planning import Plan, Planned, plan_move, target_of
from portal.placement.clusters import placeable_clusters, regions_offered
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

LONGEST_REASON = 500


def start_move(
    organization: Organization, planned: Planned, options: Options, context: RequestContext
) -> Move:
    """Start a move as ``planned``; movers carry it out.

    Raises PlanChanged with the differences, MoveImpossible, InvalidMoveOption, MoveOpen,
    NotMovable, InvalidMoveCluster, ClusterUnavailable, PoolUnavailable, DuplicateRequest.
    """
    plan = _plan_as(planned, organization, options)
    move = _new_move(organization, plan, context)
    move.state, move.due_at = MoveState.COPYING, AT_ONCE
    set_options(move, options)
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
    check_day(day)
    cluster = placeable_clusters(region)[0].name
    wanted = Placement(strategy=organization.placement.strategy, cluster=cluster)
    move = _record_of(organization, wanted, context)
    move.state, move.requested_for = MoveState.REQUESTED, day
    try:
        return _insert(move, organization.placement, "organization.move_requested", context, access)
    except DuplicateKeyError as error:
        raise _open_already(organization) from error


def on_requested_day(requested: Move, options: Options) -> Options:
    """The options with the switch on the day that owners asked for, if they named one."""
    day = requested.requested_for
    return replace(options, switch=Switch.AT, at=day) if day else options


def approve_move(move: str, planned: Planned, options: Options, context: RequestContext) -> Move:
    """Start a requested move as ``planned``. Owners are told by mail. Raises MoveNotFound,
    WrongMoveState, and what ``start_move`` raises."""
    requested = find_move(move)
    check_state(requested, (MoveState.REQUESTED,), "approved")
    organization = Organization.objects.get(id=requested.organization)
    plan = _plan_as(planned, organization, options)
    approved = _new_move(organization, plan, context)
    set_options(approved, options)

    @transactional
    def approve() -> Move:
        claim_key(context, organization.id, KIND, requested.id)
        current = _movable(organization.id, plan.source, approved.target.cluster)
        changes = {
            "target": approved.target,
            "source": approved.source,
            "progress": approved.progress,
            "fences": approved.fences,
            "state": MoveState.COPYING,
            "due_at": AT_ONCE,
            **{name: getattr(approved, name) for name in OPTIONS},
        }
        given = {f"set__{name}": value for name, value in changes.items() if value is not None}
        started = modify_open(requested, (MoveState.REQUESTED,), "approved", **given)
        record_places(current, "organization.move_started", as_done_by(started, context))
        email_owners(MOVE_APPROVED, current, move=started.id)
        ensure_kept(started.target.cluster)
        return started

    started = approve()
    wake(COPY)
    return started


def decline_move(move: str, reason: str, context: RequestContext) -> Move:
    """End a requested move; owners read the ``reason`` in a mail. Raises DeclineReasonNeeded,
    MoveNotFound, WrongMoveState."""
    words = " ".join(visible_part(reason, " ").split())
    if not words or len(words) > LONGEST_REASON:
        raise DeclineReasonNeeded
    requested = find_move(move)
    return _end_request(requested, "declined", context, reason=words)


def withdraw_request(access: Access, requested: Move, context: RequestContext) -> Move:
    """Have an owner withdraw the request of a move. Raises Forbidden, WrongMoveState."""
    access.require("organization.move")
    return _end_request(requested, "withdrawn", context, access=access)


def _end_request(
    move: Move,
    done: str,
    context: RequestContext,
    *,
    reason: str | None = None,
    access: Access | None = None,
) -> Move:
    """End a request that isn't approved. Raises WrongMoveState."""
    now = server_time()

    @transactional
    def end() -> Move:
        if access is None:
            claim_key(context, move.organization, KIND, move.id)
        else:
            begin_change(access, context, KIND, move.id, permission="organization.move")
        ended = modify_open(
            move,
            (MoveState.REQUESTED,),
            done,
            set__state=MoveState.DONE,
            set__outcome=Outcome.DECLINED if done == "declined" else Outcome.ABORTED,
            set__reason=reason,
            set__ended_at=now,
            unset__open=True,
        )
        record_change(ended, f"organization.move_{done}", context, reason=reason)
        if done == "declined":
            email_owners(MOVE_DECLINED, Organization(id=move.organization), move=ended.id)
        return ended

    return end()


def _plan_as(planned: Planned, organization: Organization, options: Options) -> Plan:
    """The plan as it is now, if it is as it was ``planned``. Raises PlanChanged, MoveImpossible."""
    check_options(options)
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
    current = _movable(move.organization, source, move.target.cluster)
    move.id = Move._get_collection().insert_one(move.to_mongo().to_dict()).inserted_id
    record_places(current, action, move)
    ensure_kept(move.target.cluster)
    return move


@within_transaction
def _movable(organization: ObjectId, source: Placement, cluster: str) -> Organization:
    """The organization as it is now, if it still lives there, and no region keeps it from the
    ``cluster``. Raises NotMovable, PlanChanged."""
    current = Organization.objects(__raw__={"_id": organization, **lives_at(source)}).first()
    if current is None:
        raise LivesElsewhere
    if current.state == OrganizationState.PURGED:
        raise PurgedNotMovable(current.name)
    if current.region and not stays_in_region(cluster, current.region):
        raise BoundElsewhere(current.name, current.region, cluster)
    return current


def _open_already(organization: Organization) -> MoveOpen:
    found = open_move_of(organization)
    told = (str(found.id), found.state) if found else ("that just ended", MoveState.DONE)
    return MoveOpen(organization.name, *told)
