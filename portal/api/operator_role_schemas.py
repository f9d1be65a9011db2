"""The JSON about operators and their keys that programs send and get."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal import display_names
from portal.api.schemas import Body, Choice, Response, Secret, Success
from portal.documents.accounts import OperatorRole
from portal.documents.api_keys import OPERATOR_KEY_ROLES

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_EMAIL = {"format": "email", "example": "ops.venn@portal.example"}
_NAME = {
    "minLength": display_names.SHORTEST,
    "maxLength": display_names.LONGEST,
    "example": "Billing",
}
_LAST_DAY = {"description": "the last day that it works, in UTC", "example": "2027-01-31"}


def _time(description: str, **options: Any) -> fields.AwareDateTime:
    metadata = {"description": description, "example": "2026-11-25T09:30:00+00:00"}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


def _role() -> Choice:
    return Choice("OperatorRole", required=True, validate=ma.validate.OneOf(list(OperatorRole)))


class OperatorRoleBody(Body):
    role = _role()


class NewOperatorBody(OperatorRoleBody):
    email = fields.String(required=True, metadata=_EMAIL)


class NewOperatorKeyBody(Body):
    name = fields.String(required=True, metadata=_NAME)
    role = Choice("OperatorKeyRole", required=True, validate=ma.validate.OneOf(OPERATOR_KEY_ROLES))
    expires_on = fields.Date(required=True, metadata=_LAST_DAY)


class OperatorInfo(Response):
    """A person with a role in the operators' console."""

    account_id = fields.String(required=True, metadata=_ID)
    email = fields.String(required=True, metadata=_EMAIL)
    name = fields.String(required=True, metadata={"example": "Venn"})
    role = Choice("OperatorRole", required=True)
    has_second_factor = fields.Boolean(required=True, metadata={"example": True})
    blocked = fields.Boolean(required=True, metadata={"example": False})
    seen_at = _time("when a session was last used", required=True, allow_none=True)


class OperatorsAnswer(Success):
    operators = fields.List(fields.Nested(OperatorInfo), required=True)


class OperatorAnswer(Success):
    operator = fields.Nested(OperatorInfo, required=True)


class OperatorKeyInfo(Response):
    """An operators' key, without its secret."""

    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata={"example": "Billing"})
    role = Choice("OperatorKeyRole", required=True)
    made_by = fields.String(
        required=True,
        metadata={"description": "empty for a command", "example": "ops.venn@portal.example"},
    )
    created_at = _time("when it was made", required=True)
    used_at = _time("when it was last used, to the minute", required=True, allow_none=True)
    expires_on = fields.Date(required=True, metadata=_LAST_DAY)
    expired = fields.Boolean(required=True, metadata={"example": False})


class OperatorKeysAnswer(Success):
    keys = fields.List(fields.Nested(OperatorKeyInfo), required=True)


class NewOperatorKeyAnswer(Success):
    """A key just made. A repeated call is answered without the secret."""

    key = fields.Nested(OperatorKeyInfo, required=True)
    secret = Secret(
        metadata={
            "description": "what programs send as bearer token",
            "example": "po_692588d0a7c4f2b91e03d65a_" + "A" * 43,
        }
    )
