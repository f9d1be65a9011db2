"""The JSON about operators that programs send and get."""

from datetime import UTC

from marshmallow import fields

from portal.api.schemas import Choice, Response, Success

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_EMAIL = {"format": "email", "example": "ops.venn@portal.example"}
_TIME = {"example": "2026-11-25T09:30:00+00:00"}


class OperatorInfo(Response):
    """A person with a role in the operators' console."""

    account_id = fields.String(required=True, metadata=_ID)
    email = fields.String(required=True, metadata=_EMAIL)
    name = fields.String(required=True, metadata={"example": "Venn"})
    role = Choice("OperatorRole", required=True)
    has_second_factor = fields.Boolean(required=True, metadata={"example": True})
    seen_at = fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        required=True,
        allow_none=True,
        metadata={"description": "when a session was last used", **_TIME},
    )


class OperatorsAnswer(Success):
    operators = fields.List(fields.Nested(OperatorInfo), required=True)
