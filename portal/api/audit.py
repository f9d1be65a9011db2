"""The audit trail as a feed for programs."""

import re
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api import schemas
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, canonical, logged_in
from portal.api.replay import Answer
from portal.audit.export import SCHEMA, as_json
from portal.audit.trail import HIGHEST_SEQ, events_after

audit = ApiBlueprint("audit", __name__, url_prefix="/org", description="The audit trail")

MAX_EVENTS = 1000
_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_SEQ = {"minimum": 1, "example": 42}
_HASH = {"example": "9f2c1b7a04de83561c6f0e9ab7d24385f1c09e6b5ad7428310cbf6e94d8a2735"}


class _Whole(fields.Integer):
    """Digits alone: not all that Python reads as a number."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not re.fullmatch(r"[0-9]{1,16}", str(value)):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class FeedQuery(schemas.Body):
    after = _Whole(
        load_default=0,
        validate=ma.validate.Range(0, HIGHEST_SEQ),
        metadata={"description": "the number of the last event that you have; 0: from the first"},
    )
    limit = _Whole(
        load_default=100,
        validate=ma.validate.Range(1, MAX_EVENTS),
        metadata={"description": "how many events at most"},
    )


class PersonalValue(schemas.Response):
    """A personal value. Without ``value`` and ``salt`` it was erased."""

    value = fields.String(metadata={"example": "192.0.2.7"})
    salt = fields.String(metadata={"example": "kq3Vb0Jm2xw"})
    digest = fields.String(required=True, metadata=_HASH)


class Event(schemas.Response):
    """An event, with all that its hash is made of."""

    schema = fields.Integer(required=True, metadata={"enum": [SCHEMA]})
    kind = fields.String(required=True, metadata={"enum": ["event"]})
    chain = fields.String(required=True, metadata={"description": "the organization's id", **_ID})
    seq = fields.Integer(required=True, metadata=_SEQ)
    at = fields.String(
        required=True, metadata={"format": "date-time", "example": "2026-11-25T09:30:00.125Z"}
    )
    action = fields.String(required=True, metadata={"example": "organization.renamed"})
    actor = fields.String(required=True, allow_none=True, metadata=_ID)
    actor_kind = fields.String(required=True, allow_none=True, metadata={"example": "key"})
    actor_name = fields.String(
        required=True, allow_none=True, metadata={"example": "Nightly export"}
    )
    target = fields.String(required=True, allow_none=True, metadata=_ID)
    session = fields.String(required=True, allow_none=True, metadata=_ID)
    request_id = fields.String(
        required=True, allow_none=True, metadata={"example": "0b5c7e1f9a3d2468"}
    )
    details = fields.Dict(
        keys=fields.String(), required=True, metadata={"example": {"slug": "acme-daughters"}}
    )
    personal = fields.Dict(keys=fields.String(), values=fields.Nested(PersonalValue), required=True)
    hash = fields.String(required=True, metadata=_HASH)


class EventHead(schemas.Response):
    """The newest event there is."""

    seq = fields.Integer(required=True, metadata={"example": 42})
    hash = fields.String(required=True, metadata=_HASH)


class FeedAnswer(schemas.Success):
    events = fields.List(fields.Nested(Event), required=True)
    next = fields.Integer(
        required=True, metadata={"description": "what to send as `after`", "example": 42}
    )
    head = fields.Nested(EventHead, required=True)


@audit.get("/<name:name>/audit", refusals=OF_ACCESS)
@logged_in
@audit.arguments(FeedQuery, location="query")
@audit.response(200, FeedAnswer)
def list_audit_events(query: dict[str, int], name: str) -> Answer:
    """Read what happened in an organization

    Its audit events, oldest first. Send the `next` of one answer as `after` of the next call; when
    it is the `seq` of `head`, you have all. Needs the permission `audit.export`: an admin or owner.
    """
    access = access_by_name(name, "audit.export")
    organization = access.organization
    # Up to the head in the answer, although there may already be a newer one.
    last = organization.audit_head.seq
    events = events_after(organization.id, query["after"], query["limit"], last=last)
    answer = {
        "events": [as_json(event) for event in events],
        "next": events[-1]["seq"] if events else query["after"],
        "head": organization.audit_head,
    }
    return answer, 200, canonical(access, organization, "/audit")
