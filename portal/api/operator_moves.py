"""The move of one organization, for operators' programs."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api import replay, schemas
from portal.api.guard import ApiBlueprint
from portal.api.moves import MoveAnswer, OrganizationMove, latest_move_as_told
from portal.api.operator_organization_schemas import DryRunQuery
from portal.api.operator_organizations import about_organization
from portal.api.operators import OF_OPERATOR_CHANGES, OF_OPERATORS, install_replays
from portal.api.replay import Answer, takes_key
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization, Strategy
from portal.operators.access import Operator
from portal.operators.organization_pages import find_organization
from portal.organizations.lifecycle.errors import PoolUnavailable, TenantCollectionMissing
from portal.organizations.moving import managing, starting, ways_back
from portal.organizations.moving.changes import check_state
from portal.organizations.moving.errors import (
    DeclineReasonNeeded,
    InvalidMoveCluster,
    InvalidMoveOption,
    InvalidMoveP99,
    InvalidMoveRate,
    InvalidWayBackDays,
    MoveImpossible,
    MoveNotFound,
    MoveOpen,
    NotMovable,
    OtherMove,
    PlanChanged,
    UnreadablePlan,
    WrongMoveState,
)
from portal.organizations.moving.finding import open_move
from portal.organizations.moving.options import (
    LONGEST_P99_MS,
    MOST_PER_SECOND,
    Options,
    Switch,
    Throttle,
)
from portal.organizations.moving.planning import Plan, Planned, plan_move, wish_of
from portal.organizations.moving.starting import LONGEST_REASON
from portal.organizations.moving.wishes import Wish
from portal.settings.checks import LONGEST_WAY_BACK_DAYS
from portal.web.context import RequestContext
from portal.web.errors import DuplicateRequest
from portal.web.idempotency import find_record

admin_moves = ApiBlueprint(
    "admin_moves", __name__, url_prefix="/admin", description="Moves, for operators"
)

_PATH = "/organizations/<organization_id>/move"
_NUMBER = {"example": 1200}
_SEEN = {
    "description": "the move that is meant, by its id: refused where another one is open",
    "example": "692588d0a7c4f2b91e03d65a",
}
_SWITCH = {
    "description": "when it switches: as soon as it is verified, unless said otherwise",
}
_AT = {"description": "for `at` alone: switched then, or as soon after as it can be"}
_DAYS = {
    "description": "from now",
    "minimum": 1,
    "maximum": LONGEST_WAY_BACK_DAYS,
    "example": 14,
}
_RATE = {"minimum": 1, "maximum": MOST_PER_SECOND, "example": 500}
_P99 = {"minimum": 1, "maximum": LONGEST_P99_MS, "example": 20}
_REASON = {
    "description": "for the owners, who get it by mail",
    "minLength": 1,
    "maxLength": LONGEST_REASON,
    "example": "That region takes nobody before May",
}
_PLAN = {"description": "that a dry run told; refused where something has changed", "example": "W"}


class SwitchBody(schemas.Body):
    """The time of the switch."""

    switch = schemas.Choice(
        "MoveSwitch", validate=ma.validate.OneOf(list(Switch)), metadata=_SWITCH
    )
    at = schemas.time_field(_AT)


class StartMoveBody(SwitchBody):
    """The target of a move, and when it switches."""

    strategy = schemas.Choice("Strategy", required=True, validate=ma.validate.OneOf(list(Strategy)))
    cluster = fields.String(required=True, metadata={"example": "fra-2"})
    plan = fields.String(metadata=_PLAN)


class ExpectedMoveBody(schemas.Body):
    move = fields.String(metadata=_SEEN)


class SwitchMoveBody(ExpectedMoveBody, SwitchBody):
    """The move, and when it switches."""


class ExtendWayBackBody(ExpectedMoveBody):
    days = fields.Integer(required=True, strict=True, metadata=_DAYS)


class ThrottleMoveBody(ExpectedMoveBody):
    """The limits; without any it is as fast as it goes."""

    documents_per_second = fields.Integer(strict=True, allow_none=True, metadata=_RATE)
    neighbours_p99_ms = fields.Integer(strict=True, allow_none=True, metadata=_P99)


class ApproveMoveBody(SwitchMoveBody):
    """The target of a move, and when it switches: as owners have asked where it isn't said."""

    strategy = schemas.Choice("Strategy", validate=ma.validate.OneOf(list(Strategy)))
    cluster = fields.String(metadata={"example": "fra-2"})
    plan = fields.String(metadata=_PLAN)


class DeclineMoveBody(ExpectedMoveBody):
    reason = fields.String(required=True, metadata=_REASON)


class MovePlan(schemas.Response):
    """A move as it would be. With ``obstacles`` it can't start."""

    documents = fields.Integer(required=True, metadata=_NUMBER)
    bytes = fields.Integer(required=True, metadata=_NUMBER)
    seconds = fields.Float(required=True, metadata={"example": 4.5})
    pause_ms = fields.Float(required=True, metadata={"example": 30.0})
    obstacles = fields.List(
        fields.String(), required=True, metadata={"example": ["It already has that"]}
    )
    left_behind = fields.List(
        fields.String(), required=True, metadata={"example": ["Cursors that are open"]}
    )
    plan = fields.String(required=True, metadata=_PLAN)


class StartedMoveAnswer(schemas.Success):
    """The move, or with `dry_run` its plan: the other one is null."""

    move = fields.Nested(OrganizationMove, required=True, allow_none=True)
    plan = fields.Nested(MovePlan, required=True, allow_none=True)


class WayBackEndPlan(schemas.Response):
    """The old copy that goes with a way back; while the organization is under a legal hold (`held`)
    it stays until that is released. ``until`` is when it ends by itself."""

    move = fields.String(required=True, metadata=_SEEN)
    place = fields.String(required=True, metadata={"example": "a collection of its own on fra-2"})
    documents = fields.Integer(required=True, metadata=_NUMBER)
    bytes = fields.Integer(required=True, metadata=_NUMBER)
    until = schemas.time_field(required=True, allow_none=True)
    held = fields.Boolean(required=True, metadata={"example": False})


class EndedWayBackAnswer(schemas.Success):
    """The move, or with `dry_run` the plan of the end: the other one is null."""

    move = fields.Nested(OrganizationMove, required=True, allow_none=True)
    plan = fields.Nested(WayBackEndPlan, required=True, allow_none=True)


_OF_STARTS = (
    InvalidMoveOption,
    InvalidMoveCluster,
    MoveOpen,
    MoveImpossible,
    NotMovable,
    PlanChanged,
    PoolUnavailable,
    TenantCollectionMissing,
    UnreadablePlan,
)
_OF_CHANGES = (*OF_OPERATOR_CHANGES, MoveNotFound, OtherMove, WrongMoveState)
# Parameters given to doc() are all that an operation has.
_takes_key_and_dry_run = admin_moves.doc(
    parameters=[replay.PARAMETER, {"in": "query", "schema": DryRunQuery}]
)


@admin_moves.get(_PATH, refusals=OF_OPERATORS)
@about_organization("console.view")
@admin_moves.response(200, MoveAnswer)
def get_move_as_operator(operator: Operator, organization: Organization) -> dict[str, Any]:
    """See how far an organization's move is, as its operator

    The one that is open, or the last one.
    """
    return {"move": latest_move_as_told(organization)}


@admin_moves.post(_PATH, refusals=(*OF_OPERATOR_CHANGES, *_OF_STARTS))
@about_organization("console.act")
@_takes_key_and_dry_run
@admin_moves.arguments(DryRunQuery, location="query")
@admin_moves.arguments(StartMoveBody)
@admin_moves.response(200, StartedMoveAnswer)
def start_move_as_operator(
    operator: Operator, organization: Organization, query: dict[str, bool], body: dict[str, str]
) -> Answer:
    """Move an organization to another place

    The portals carry it out; unless `switch` says otherwise it switches as soon as the copy is
    equal.
    """
    wish = Wish(Strategy(body["strategy"]), body["cluster"])
    if query["dry_run"]:
        return _planned(organization, wish)
    planned = _plan(organization, wish, body)
    starting.start_move(organization, planned, Options(*_when(body)), operator.context)
    return {"move": latest_move_as_told(organization), "plan": None}, 200, {}


@admin_moves.post(f"{_PATH}/approve", refusals=(*_OF_CHANGES, *_OF_STARTS))
@about_organization("console.act")
@_takes_key_and_dry_run
@admin_moves.arguments(DryRunQuery, location="query")
@admin_moves.arguments(ApproveMoveBody)
@admin_moves.response(200, StartedMoveAnswer)
def approve_move_as_operator(
    operator: Operator, organization: Organization, query: dict[str, bool], body: dict[str, str]
) -> Answer:
    """Approve the move that an organization's owners have asked for

    It begins, and switches on the day that they named. They are told by mail.
    """
    _check_first(operator)
    requested = open_move(organization, body.get("move"))
    check_state(requested, (MoveState.REQUESTED,), "approved")
    asked = wish_of(requested)
    wish = Wish(Strategy(body.get("strategy", asked.strategy)), body.get("cluster", asked.cluster))
    if query["dry_run"]:
        return _planned(organization, wish)
    planned = _plan(organization, wish, body)
    options = Options(*_when(body))
    if "switch" not in body and "at" not in body:
        options = starting.on_requested_day(requested, options)
    starting.approve_move(str(requested.id), planned, options, operator.context)
    return {"move": latest_move_as_told(organization), "plan": None}, 200, {}


@admin_moves.post(f"{_PATH}/decline", refusals=(*_OF_CHANGES, DeclineReasonNeeded))
@about_organization("console.act")
@takes_key
@admin_moves.arguments(DeclineMoveBody)
@admin_moves.response(200, MoveAnswer)
def decline_move_as_operator(
    operator: Operator, organization: Organization, body: dict[str, str]
) -> dict[str, Any]:
    """Decline the move that an organization's owners have asked for

    They are told by mail, with the reason.
    """

    def decline(move: str, context: RequestContext) -> Move:
        return starting.decline_move(move, body["reason"], context)

    return _change(decline, operator, organization, body)


@admin_moves.post(f"{_PATH}/pause", refusals=_OF_CHANGES)
@about_organization("console.act")
@takes_key
@admin_moves.arguments(ExpectedMoveBody)
@admin_moves.response(200, MoveAnswer)
def pause_move_as_operator(
    operator: Operator, organization: Organization, body: dict[str, str]
) -> dict[str, Any]:
    """Pause an organization's move

    Behind the batch in hand; what was copied stays.
    """
    return _change(managing.pause_move, operator, organization, body)


@admin_moves.post(f"{_PATH}/resume", refusals=_OF_CHANGES)
@about_organization("console.act")
@takes_key
@admin_moves.arguments(ExpectedMoveBody)
@admin_moves.response(200, MoveAnswer)
def resume_move_as_operator(
    operator: Operator, organization: Organization, body: dict[str, str]
) -> dict[str, Any]:
    """Have an organization's move go on

    One that was paused, or that stopped.
    """
    return _change(managing.resume_move, operator, organization, body)


@admin_moves.post(f"{_PATH}/switch", refusals=(*_OF_CHANGES, InvalidMoveOption))
@about_organization("console.act")
@takes_key
@admin_moves.arguments(SwitchMoveBody)
@admin_moves.response(200, MoveAnswer)
def switch_move_as_operator(
    operator: Operator, organization: Organization, body: dict[str, Any]
) -> dict[str, Any]:
    """Say when an organization's move switches

    Whatever was said before: as soon as it is ready, unless `switch` says otherwise.
    """
    switch, at = _when(body)

    def change(move: str, context: RequestContext) -> Move:
        return managing.switch_move(move, context, switch=switch, at=at)

    return _change(change, operator, organization, body)


@admin_moves.post(f"{_PATH}/throttle", refusals=(*_OF_CHANGES, InvalidMoveRate, InvalidMoveP99))
@about_organization("console.act")
@takes_key
@admin_moves.arguments(ThrottleMoveBody)
@admin_moves.response(200, MoveAnswer)
def throttle_move_as_operator(
    operator: Operator, organization: Organization, body: dict[str, Any]
) -> dict[str, Any]:
    """Change how fast an organization's move copies and compares

    Without a limit it is as fast as it goes.
    """
    throttle = Throttle(body.get("documents_per_second"), body.get("neighbours_p99_ms"))

    def change(move: str, context: RequestContext) -> Move:
        return managing.throttle_move(move, throttle, context)

    return _change(change, operator, organization, body)


@admin_moves.post(f"{_PATH}/abort", refusals=_OF_CHANGES)
@about_organization("console.act")
@takes_key
@admin_moves.arguments(ExpectedMoveBody)
@admin_moves.response(200, MoveAnswer)
def abort_move_as_operator(
    operator: Operator, organization: Organization, body: dict[str, str]
) -> dict[str, Any]:
    """Abort an organization's move before its switch

    The documents are where they were, and the copy is removed.
    """

    def abort(move: str, context: RequestContext) -> Move:
        return managing.abort_move(move, None, context)

    return _change(abort, operator, organization, body)


@admin_moves.post(f"{_PATH}/back", refusals=(*_OF_CHANGES, NotMovable))
@about_organization("console.act")
@takes_key
@admin_moves.arguments(ExpectedMoveBody)
@admin_moves.response(200, MoveAnswer)
def go_back_as_operator(
    operator: Operator, organization: Organization, body: dict[str, str]
) -> dict[str, Any]:
    """Go back by the way back of an organization's move

    Nothing that was written since is lost.
    """
    return _change(ways_back.go_back, operator, organization, body)


@admin_moves.post(f"{_PATH}/extend", refusals=(*_OF_CHANGES, InvalidWayBackDays))
@about_organization("console.act")
@takes_key
@admin_moves.arguments(ExtendWayBackBody)
@admin_moves.response(200, MoveAnswer)
def extend_way_back_as_operator(
    operator: Operator, organization: Organization, body: dict[str, Any]
) -> dict[str, Any]:
    """Keep the way back of an organization's move longer

    For so many days from now.
    """

    def change(move: str, context: RequestContext) -> Move:
        return ways_back.extend_way_back(move, body["days"], context)

    return _change(change, operator, organization, body)


@admin_moves.post(f"{_PATH}/end", refusals=_OF_CHANGES)
@about_organization("console.act")
@_takes_key_and_dry_run
@admin_moves.arguments(DryRunQuery, location="query")
@admin_moves.arguments(ExpectedMoveBody)
@admin_moves.response(200, EndedWayBackAnswer)
def end_way_back_as_operator(
    operator: Operator, organization: Organization, query: dict[str, bool], body: dict[str, str]
) -> dict[str, Any]:
    """End the way back of an organization's move now

    The old copy is removed. With the `move` of a plan only as that told it.
    """
    if query["dry_run"]:
        way_back = open_move(organization, body.get("move"))
        return {"move": None, "plan": ways_back.plan_end(str(way_back.id))}
    return {**_change(ways_back.end_way_back, operator, organization, body), "plan": None}


def _change(
    change: Callable[[str, RequestContext], Move],
    operator: Operator,
    organization: Organization,
    body: dict[str, str],
) -> dict[str, Any]:
    _check_first(operator)
    change(str(open_move(organization, body.get("move")).id), operator.context)
    return {"move": latest_move_as_told(organization)}


def _when(body: dict[str, Any]) -> tuple[Switch, datetime | None]:
    """The time of the switch that was sent: as soon as it is verified without any."""
    at = body.get("at")
    return Switch(body.get("switch") or (Switch.AT if at else Switch.VERIFIED)), at


def _check_first(operator: Operator) -> None:
    """Raise DuplicateRequest for a call that was done: most of them could be done again."""
    if find_record(operator.context.idempotency_key):
        raise DuplicateRequest


def _planned(organization: Organization, wish: Wish) -> Answer:
    return {"move": None, "plan": _told(plan_move(organization, wish))}, 200, {}


def _plan(organization: Organization, wish: Wish, body: dict[str, str]) -> Planned:
    """The plan that was sent, or else the one as of now."""
    if "plan" in body:
        return Planned.loads(body["plan"])
    return plan_move(organization, wish).planned


def _told(plan: Plan) -> dict[str, Any]:
    return {
        "documents": plan.documents,
        "bytes": plan.bytes,
        "seconds": plan.seconds,
        "pause_ms": plan.pause_ms,
        "obstacles": plan.obstacles,
        "left_behind": [left.what for left in plan.left_behind],
        "plan": plan.planned.dumps(),
    }


def _replay_started(record: IdempotencyRecord) -> Answer:
    return {**_replay_changed(record)[0], "plan": None}, 200, {}


def _replay_changed(record: IdempotencyRecord) -> Answer:
    return {"move": latest_move_as_told(find_organization(str(record.organization)))}, 200, {}


install_replays(
    admin_moves,
    {
        "start_move_as_operator": (StartedMoveAnswer, _replay_started),
        "approve_move_as_operator": (StartedMoveAnswer, _replay_started),
        "end_way_back_as_operator": (EndedWayBackAnswer, _replay_started),
        **{
            f"{name}_as_operator": (MoveAnswer, _replay_changed)
            for name in (
                "decline_move",
                "throttle_move",
                "extend_way_back",
                "pause_move",
                "resume_move",
                "switch_move",
                "abort_move",
                "go_back",
            )
        },
    },
)
