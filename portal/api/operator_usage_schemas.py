"""The JSON about use and limits that programs send and get."""

from datetime import UTC

import marshmallow as ma
from marshmallow import fields, validate

from portal.api.schemas import Body, Response, Success
from portal.organizations.usage.counts import NAMES
from portal.organizations.usage.limits import HIGHEST
from portal.organizations.usage.reading import MOST_LOUD, Span

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_TIME = {"example": "2026-11-25T09:30:00+00:00"}
_WHAT = {
    "operations": "commands, of one that writes each document",
    "commands": "commands sent",
    "bytes_in": "bytes written",
    "bytes_out": "bytes read",
    "slow": "commands over 100 ms",
    "milliseconds": "time in the database",
    "waited": "milliseconds waited for a limit",
    "refused": "operations refused by a limit",
    "direct": "operations by the organization’s own MongoDB users, about",
}


def _moment(*, allow_none: bool = False) -> fields.AwareDateTime:
    return fields.AwareDateTime(
        format="iso", default_timezone=UTC, required=True, allow_none=allow_none, metadata=_TIME
    )


CountsInfo = Response.from_dict(
    {
        name: fields.Integer(required=True, metadata={"description": _WHAT[name], "example": 4120})
        for name in NAMES
    },
    name="CountsInfo",
)


class UsageQuery(Body):
    span = fields.String(
        load_default=Span.DAY,
        validate=ma.validate.OneOf(list(Span)),
        metadata={"description": "the hour by minute, the day by ten, the month by hour"},
    )


class LoudQuery(Body):
    limit = fields.Integer(load_default=20, validate=ma.validate.Range(1, MOST_LOUD))
    cluster = fields.String(metadata={"example": "main"})


class PointInfo(Response):
    """The use from a moment on, for as long as a step; null where nothing was measured."""

    since = _moment()
    counts = fields.Nested(CountsInfo, required=True, allow_none=True)


class GapInfo(Response):
    """A time in which some of the use may be missing."""

    since = _moment()
    until = _moment()


class UsageInfo(Response):
    """The use of a time."""

    since = _moment()
    until = _moment()
    known_until = _moment(allow_none=True)
    total = fields.Nested(CountsInfo, required=True)
    points = fields.List(fields.Nested(PointInfo), required=True)
    gaps = fields.List(fields.Nested(GapInfo), required=True)


class UsageAnswer(Success):
    usage = fields.Nested(UsageInfo, required=True)


class TopUsageInfo(Response):
    """An organization's use in the last hour."""

    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata={"example": "Acme Corp"})
    slug = fields.String(required=True, metadata={"example": "acme-corp"})
    cluster = fields.String(required=True, metadata={"example": "main"})
    share = fields.Float(
        required=True,
        metadata={"description": "of its cluster’s operations", "example": 0.38},
    )
    operations_per_second = fields.Float(required=True, metadata={"example": 41.2})
    counts = fields.Nested(CountsInfo, required=True)
    limit = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "of operations per second", "example": 5000},
    )


class TopUsageAnswer(Success):
    organizations = fields.List(fields.Nested(TopUsageInfo), required=True)
    known_until = _moment(allow_none=True)
    gaps = fields.List(fields.Nested(GapInfo), required=True)


class LimitInfo(Response):
    """A limit, and how much of it is used."""

    kind = fields.String(required=True, metadata={"example": "documents"})
    allowed = fields.Integer(required=True, allow_none=True, metadata={"example": 10_000})
    used = fields.Float(required=True, allow_none=True, metadata={"example": 4100})
    by_plan = fields.Boolean(required=True, metadata={"example": False})
    measured_at = fields.AwareDateTime(
        required=True,
        allow_none=True,
        metadata={
            "description": "when, if it can’t be measured now",
            "example": "2026-12-06T14:10:02+00:00",
        },
    )


class LimitsAnswer(Success):
    limits = fields.List(fields.Nested(LimitInfo), required=True)


def _limit(example: int) -> fields.Integer:
    return fields.Integer(
        strict=True,
        allow_none=True,
        validate=ma.validate.Range(1, HIGHEST),
        metadata={"description": "null for none of its own", "example": example},
    )


class LimitsBody(Body):
    documents = _limit(10_000)
    bytes = _limit(20_000_000_000)
    operations = _limit(5_000)


class PlanLimitsInfo(Response):
    """The limits of a plan."""

    plan = fields.String(required=True, metadata={"example": "team"})
    documents = fields.Integer(required=True, allow_none=True, metadata={"example": 10_000})
    bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 20_000_000_000})
    operations = fields.Integer(required=True, allow_none=True, metadata={"example": 5_000})


class PlansAnswer(Success):
    plans = fields.List(fields.Nested(PlanLimitsInfo), required=True)


class PlanLimitsBody(LimitsBody):
    seen = fields.String(
        validate=validate.Length(max=100),
        metadata={
            "description": "from a `dry_run`: refused unless the limits are still as they were",
            "example": "10000,-,500",
        },
    )


class LimitChangeInfo(Response):
    """A limit of a plan that becomes another one, for so many organizations without one of their
    own; those above it kept more when they were last measured."""

    kind = fields.String(required=True, metadata={"example": "documents"})
    before = fields.Integer(required=True, allow_none=True, metadata={"example": 20_000})
    after = fields.Integer(required=True, allow_none=True, metadata={"example": 10_000})
    organizations = fields.Integer(required=True, metadata={"example": 1203})
    above = fields.Integer(required=True, metadata={"example": 4})


class LoadInfo(Response):
    """The limits of operations per second on a cluster together, as they would be, and the most
    that it did in an hour lately."""

    cluster = fields.String(required=True, metadata={"example": "main"})
    limited = fields.Integer(required=True, metadata={"example": 60_000})
    organizations = fields.Integer(required=True, metadata={"example": 1203})
    most = fields.Float(required=True, allow_none=True, metadata={"example": 41_000.5})
    overcommitted = fields.Boolean(required=True, metadata={"example": True})


class LimitsPlanInfo(Response):
    """The effect that other limits of a plan will have. `more` than the organizations that were
    counted may have it."""

    plan = fields.String(required=True, metadata={"example": "team"})
    seen = fields.String(required=True, metadata={"example": "20000,-,500"})
    organizations = fields.Integer(required=True, metadata={"example": 1300})
    more = fields.Boolean(required=True, metadata={"example": False})
    changes = fields.List(fields.Nested(LimitChangeInfo), required=True)
    clusters = fields.List(fields.Nested(LoadInfo), required=True)


class SetPlansAnswer(Success):
    """The limits of plans, or with `dry_run` what it will do: the other one is null."""

    plans = fields.List(fields.Nested(PlanLimitsInfo), required=True, allow_none=True)
    plan = fields.Nested(LimitsPlanInfo, required=True, allow_none=True)


class StoredSize(Response):
    """The size of an organization; exact if it was counted one by one."""

    documents = fields.Integer(required=True, metadata={"example": 4100})
    bytes = fields.Integer(required=True, metadata={"example": 3100000})
    exact = fields.Boolean(required=True, metadata={"example": True})


class RecountAnswer(Success):
    before = fields.Nested(StoredSize, required=True, allow_none=True)
    now = fields.Nested(StoredSize, required=True)
