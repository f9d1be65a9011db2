"""An organization's move to another place, and its way back, for programs."""

from datetime import UTC
from typing import Any

from marshmallow import fields

from portal.api import replay, schemas
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, canonical, logged_in
from portal.api.replay import OF_CHANGES, Answer, takes_key
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import MAIN_CLUSTER, Organization, Placement, Strategy
from portal.organizations.access.lookup import Access
from portal.organizations.moving import changes, finding, requesting
from portal.organizations.moving.errors import InvalidMoveDay, MoveOpen, MovesNotOffered, NotMovable
from portal.organizations.moving.explaining import Progress, progress_of, told_to_members
from portal.placement.errors import RegionUnavailable, UnknownRegion
from portal.web.requests import request_context

org_moves = ApiBlueprint("org_moves", __name__, url_prefix="/org", description="Moves")

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_REGION = {"description": "one of those that are offered", "example": "eu-central"}
_DAY = {"description": "not before this day, in UTC", "example": "2027-01-31"}
_RATE = {"description": "documents a second", "example": 7120.5}
_DIRTY = {"description": "documents written since, to be read again", "example": 2310}
_LEFT = {"description": "seconds, about; null where it can’t be told", "example": 240.0}
_WAITS = {"description": "who or what is waited for", "example": None}
_LAG = {
    "description": "what was written longer ago than that was read; null while nothing is followed",
    "example": 0.4,
}


def _time(**options: Any) -> fields.AwareDateTime:
    metadata = {"example": "2026-11-25T09:30:00+00:00"}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


class MovePlace(schemas.Response):
    """A place that an organization moves from or to."""

    strategy = fields.String(required=True, metadata={"example": Strategy.COLLECTION.value})
    cluster = fields.String(required=True, metadata={"example": MAIN_CLUSTER})


class WayBack(schemas.Response):
    """The way back of a move, while it is there; ``until`` is null once it is being gone, or
    removed."""

    state = schemas.Choice("MoveState", required=True)
    until = _time(required=True, allow_none=True)
    going_back = fields.Boolean(required=True, metadata={"example": False})
    dirty = fields.Integer(required=True, metadata=_DIRTY)
    lag_seconds = fields.Float(required=True, allow_none=True, metadata=_LAG)
    last_change_at = _time(required=True, allow_none=True)
    bytes = fields.Integer(required=True, metadata={"example": 5_200_000_000})


class OrganizationMove(schemas.Response):
    """A move: the one that is open, or else the last one. Totals are of its beginning."""

    id = fields.String(required=True, metadata=_ID)
    state = schemas.Choice("MoveState", required=True)
    outcome = schemas.Choice("MoveOutcome", required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True, metadata={"example": None})
    paused = fields.Boolean(required=True, metadata={"example": False})
    source = fields.Nested(MovePlace, required=True)
    target = fields.Nested(MovePlace, required=True)
    documents = fields.Integer(required=True, metadata={"example": 4_120_882})
    bytes = fields.Integer(required=True, metadata={"example": 5_100_000_000})
    copied = fields.Integer(required=True, metadata={"example": 2_513_738})
    verified = fields.Integer(required=True, allow_none=True, metadata={"example": None})
    rate = fields.Float(required=True, allow_none=True, metadata=_RATE)
    dirty = fields.Integer(required=True, metadata=_DIRTY)
    lag_seconds = fields.Float(required=True, allow_none=True, metadata=_LAG)
    last_change_at = _time(required=True, allow_none=True)
    seconds_left = fields.Float(required=True, allow_none=True, metadata=_LEFT)
    waits_for = fields.String(required=True, allow_none=True, metadata=_WAITS)
    requested_for = _time(required=True, allow_none=True)
    switch_at = _time(required=True, allow_none=True)
    pause_ms = fields.Float(required=True, allow_none=True, metadata={"example": 34.2})
    created_at = _time(required=True)
    switched_at = _time(required=True, allow_none=True)
    ended_at = _time(required=True, allow_none=True)
    way_back = fields.Nested(WayBack, required=True, allow_none=True)


class MoveAnswer(schemas.Success):
    move = fields.Nested(
        OrganizationMove,
        required=True,
        allow_none=True,
        metadata={"description": "null where it never moved"},
    )


class MoveBody(schemas.Body):
    region = fields.String(required=True, metadata=_REGION)
    day = fields.Date(required=True, metadata=_DAY)


@org_moves.get("/<name:name>/move", refusals=OF_ACCESS)
@logged_in
@org_moves.response(200, MoveAnswer)
def get_move(name: str) -> Answer:
    """See how far an organization's move is, and its way back

    Nothing changes for readers and writers but the place, at the moment of the switch.
    """
    access = access_by_name(name, "organization.view")
    return _answer(access, 200)


@org_moves.post(
    "/<name:name>/move",
    refusals=(
        *OF_CHANGES,
        InvalidMoveDay,
        MovesNotOffered,
        MoveOpen,
        NotMovable,
        UnknownRegion,
        RegionUnavailable,
    ),
)
@takes_key
@logged_in
@org_moves.arguments(MoveBody)
@org_moves.response(201, MoveAnswer)
def request_move(body: dict[str, Any], name: str) -> Answer:
    """Ask for a move to another region

    For owners, where the portal's operator offers regions. The operator decides, and owners are
    told by mail.
    """
    access = access_by_name(name, "organization.move")
    requesting.request_move(access, body["region"], body["day"], request_context())
    return _answer(access, 201)


def _answer(access: Access, status: int) -> Answer:
    headers = canonical(access, access.organization, "/move")
    return {"move": latest_move_as_told(access.organization)}, status, headers


def latest_move_as_told(organization: Organization) -> dict[str, Any] | None:
    """The organization's open move, or else its last one, for programs; ``None`` without any."""
    latest = finding.latest_move_of(organization)
    if latest is None:
        return None
    if latest.way_back_of is None:
        return _shown(latest, None)
    forward = Move.objects(id=latest.way_back_of).first()
    return _shown(forward or latest, latest)


def _shown(move: Move, way_back: Move | None) -> dict[str, Any]:
    progress = progress_of(move)
    return {
        **{name: getattr(move, name) for name in _OF_RECORD},
        "paused": bool(move.paused),
        "source": _place(move.source),
        "target": _place(move.target),
        "documents": progress.documents,
        "bytes": progress.bytes,
        "copied": progress.copied,
        "verified": move.progress.verified,
        "rate": progress.rate,
        **_freshness(progress),
        "seconds_left": progress.seconds_left,
        "waits_for": told_to_members(move),
        "way_back": _shown_way_back(way_back) if way_back and way_back.open else None,
    }


_OF_RECORD = (
    "id",
    "state",
    "outcome",
    "reason",
    "requested_for",
    "switch_at",
    "pause_ms",
    "created_at",
    "switched_at",
    "ended_at",
)


def _shown_way_back(move: Move) -> dict[str, Any]:
    progress = progress_of(move)
    return {
        "state": move.state,
        "until": move.until if move.state == MoveState.SHADOW else None,
        "going_back": bool(move.switch_wanted or move.outcome == Outcome.WENT_BACK),
        **_freshness(progress),
        "bytes": progress.bytes,
    }


def _freshness(progress: Progress) -> dict[str, Any]:
    return {
        "dirty": progress.dirty,
        "lag_seconds": progress.lag and progress.lag.total_seconds(),
        "last_change_at": progress.last_change,
    }


def _place(placement: Placement) -> dict[str, str]:
    return {"strategy": placement.strategy, "cluster": placement.cluster}


def _replay_request(organization: Organization) -> Answer:
    access = access_by_name(organization.slug, "organization.view")
    return _answer(access, 201)


replay.install(org_moves, {changes.KIND: (MoveAnswer, _replay_request)})
