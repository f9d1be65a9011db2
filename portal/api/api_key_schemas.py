"""The JSON about API keys that programs send and get."""

import marshmallow as ma
from marshmallow import fields

from portal.api.schemas import (
    EMAIL_EXAMPLE,
    ID,
    KEY_EXAMPLE,
    NAME,
    PERMISSIONS_EXAMPLE,
    Body,
    Choice,
    Response,
    Secret,
    Success,
    time_field,
)
from portal.organizations.api_keys import managing
from portal.permissions import FOR_API_KEYS

_KEY_NAME = {**NAME, **KEY_EXAMPLE}
_LAST_DAY = {"description": "the last day that it works, in UTC", "example": "2027-01-31"}
_FORMER_UNTIL = {"description": "until when the secret before the last rotation works, too"}
_OVERLAPS = [int(overlap.total_seconds()) for overlap in managing.OVERLAPS]


class ApiKey(Response):
    """An organization's key. It has a role or permissions; the other one is null or empty."""

    id = fields.String(required=True, metadata=ID)
    name = fields.String(required=True, metadata=KEY_EXAMPLE)
    role = Choice("GrantableRole", required=True, allow_none=True)
    permissions = fields.List(fields.String(), required=True, metadata=PERMISSIONS_EXAMPLE)
    made_by = fields.String(required=True, allow_none=True, metadata=EMAIL_EXAMPLE)
    created_at = time_field(required=True)
    used_at = time_field(required=True, allow_none=True, metadata={"description": "to the minute"})
    expires_on = fields.Date(required=True, allow_none=True, metadata=_LAST_DAY)
    former_until = time_field(required=True, allow_none=True, metadata=_FORMER_UNTIL)


class NewKeyBody(Body):
    """A role or permissions, not both."""

    name = fields.String(required=True, metadata=_KEY_NAME)
    role = Choice("GrantableRole")
    permissions = fields.List(
        Choice("ApiKeyPermission"), metadata={"maxItems": len(FOR_API_KEYS), "uniqueItems": True}
    )
    expires_on = fields.Date(metadata=_LAST_DAY)


class RotateBody(Body):
    overlap_seconds = fields.Integer(
        strict=True,
        load_default=0,
        validate=ma.validate.OneOf(_OVERLAPS),
        metadata={"description": "how long the old secret works beside the new one"},
    )


class KeysAnswer(Success):
    keys = fields.List(fields.Nested(ApiKey), required=True)


class KeyAnswer(Success):
    key = fields.Nested(ApiKey, required=True)


class NewSecretAnswer(KeyAnswer):
    """A key whose secret is new. A repeated call is answered without the secret."""

    secret = Secret(
        metadata={
            "description": "what to send as bearer token; told this once",
            "example": f"pk_{ID['example']}_…",
        }
    )
