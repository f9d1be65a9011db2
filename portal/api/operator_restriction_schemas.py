"""The JSON about suspensions and legal holds that operators' programs send and get."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api.schemas import Body, Choice, Response, Success
from portal.documents.organizations import Restriction
from portal.documents.restrictions import Cause

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_BY = {"description": "an operator’s address; null of a command", "example": "ops@portal.example"}
_CONTACT = {"description": "whom members write to", "example": "billing@portal.example"}
_MESSAGE = {"description": "what members are told", "example": "An invoice is open."}
_NOTE = {"description": "for operators alone", "example": "Called twice."}
_HOLD_REASON = {"example": "Case 4711"}


def _time(**options: Any) -> fields.AwareDateTime:
    return fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        metadata={"example": "2026-11-25T09:30:00+00:00"},
        required=True,
        **options,
    )


class SuspendBody(Body):
    kind = Choice("Restriction", required=True, validate=ma.validate.OneOf(list(Restriction)))
    cause = Choice("SuspensionCause", required=True, validate=ma.validate.OneOf(list(Cause)))
    contact = fields.String(required=True, metadata=_CONTACT)
    message = fields.String(metadata=_MESSAGE)
    note = fields.String(metadata=_NOTE)


class HoldBody(Body):
    """With ``read_only_contact`` it becomes read-only as well."""

    reason = fields.String(required=True, metadata=_HOLD_REASON)
    until = fields.Date(metadata={"description": "when to look again", "example": "2027-06-30"})
    read_only_contact = fields.String(metadata=_CONTACT)


class SuspensionInfo(Response):
    """A suspension; one with a ``failure`` never began."""

    id = fields.String(required=True, metadata=_ID)
    kind = Choice("Restriction", required=True)
    cause = Choice("SuspensionCause", required=True)
    contact = fields.String(required=True, metadata=_CONTACT)
    message = fields.String(required=True, allow_none=True, metadata=_MESSAGE)
    note = fields.String(required=True, allow_none=True, metadata=_NOTE)
    at = _time()
    by = fields.String(required=True, allow_none=True, metadata=_BY)
    open = fields.Boolean(required=True, metadata={"example": True})
    lifted_at = _time(allow_none=True)
    lifted_by = fields.String(required=True, allow_none=True, metadata=_BY)
    failure = fields.String(
        required=True, allow_none=True, metadata={"example": "collection missing"}
    )


class HoldInfo(Response):
    """A legal hold, and the deletions that it held up."""

    id = fields.String(required=True, metadata=_ID)
    reason = fields.String(required=True, metadata=_HOLD_REASON)
    until = _time(allow_none=True)
    at = _time()
    by = fields.String(required=True, allow_none=True, metadata=_BY)
    open = fields.Boolean(required=True, metadata={"example": True})
    released_at = _time(allow_none=True)
    released_by = fields.String(required=True, allow_none=True, metadata=_BY)
    refused = fields.List(fields.String(metadata={"example": "purge"}), required=True)


class RestrictionsInfo(Response):
    """The restriction of an organization, the strictest of its open suspensions; and what holds
    it. Deletions that began before a hold may take until ``deletions_until``."""

    restricted = Choice("Restriction", required=True, allow_none=True)
    held = fields.Boolean(required=True, metadata={"example": True})
    deletions_until = _time(allow_none=True)
    suspensions = fields.List(fields.Nested(SuspensionInfo), required=True)
    holds = fields.List(fields.Nested(HoldInfo), required=True)


class RestrictionsAnswer(Success):
    restrictions = fields.Nested(RestrictionsInfo, required=True)
