"""The JSON of support access that programs send and get."""

from datetime import UTC
from typing import Any

from marshmallow import fields

from portal.api import schemas
from portal.organizations.support.grants import LONGEST_REASON, MOST_HOURS

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_REASON = {
    "description": "why; owners, and who reads the activity, see it",
    "maxLength": LONGEST_REASON,
    "example": "Import stops at line 1,204",
}
_HOURS = {"description": "how long", "minimum": 1, "maximum": MOST_HOURS, "example": 4}
_DOCUMENTS = {"description": "whether documents are shown too", "example": False}
_PAGES = {"description": "how many pages operators opened by it", "example": 12}
_EMAIL = {"example": "mara@acme.example"}


def _time(**options: Any) -> fields.AwareDateTime:
    metadata = {"example": "2026-11-25T09:30:00+00:00"}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


class SupportGrantInfo(schemas.Response):
    """A support grant. Until an owner decides, ``hours`` and ``with_documents`` are what the
    operator asked for; one that was given unasked was never asked for, and is any operator's."""

    id = fields.String(required=True, metadata=_ID)
    state = schemas.Choice("SupportGrantState", required=True, attribute="shown_state")
    reason = fields.String(required=True, metadata=_REASON)
    hours = fields.Integer(required=True, metadata=_HOURS)
    with_documents = fields.Boolean(required=True, metadata=_DOCUMENTS)
    asked_at = _time(required=True, allow_none=True)
    decided_at = _time(required=True, allow_none=True)
    decided_by = fields.String(required=True, allow_none=True, metadata=_EMAIL)
    ends_at = _time(required=True, allow_none=True)
    ended_at = _time(required=True, allow_none=True)
    pages = fields.Integer(required=True, metadata=_PAGES)
    seen_at = _time(required=True, allow_none=True)


class SupportGrantAnswer(schemas.Success):
    grant = fields.Nested(SupportGrantInfo, required=True)


class SupportGrantsAnswer(schemas.Success):
    grants = fields.List(fields.Nested(SupportGrantInfo), required=True)


class SupportDecisionBody(schemas.Body):
    hours = fields.Integer(required=True, strict=True, metadata=_HOURS)
    with_documents = fields.Boolean(required=True, metadata=_DOCUMENTS)


class ReasonedBody(SupportDecisionBody):
    reason = fields.String(required=True, metadata=_REASON)
