"""The JSON of log-in and of who is logged in."""

from marshmallow import fields

from portal.api.schemas import (
    EMAIL,
    EMAIL_EXAMPLE,
    ID,
    KEY_EXAMPLE,
    PASSWORD_EXAMPLE,
    PERMISSIONS_EXAMPLE,
    ROLE,
    SHOWN_NAME,
    SLUG_EXAMPLE,
    Body,
    Choice,
    Response,
    Secret,
    Success,
    time_field,
)


class LogInBody(Body):
    email = fields.String(required=True, metadata=EMAIL)
    password = fields.String(required=True, load_only=True, metadata=PASSWORD_EXAMPLE)
    code = fields.String(
        metadata={
            "description": "of the authenticator app, or a recovery code: where there is one",
            "maxLength": 64,
            "example": "492039",
        }
    )


class Account(Response):
    id = fields.String(required=True, metadata=ID)
    email = fields.String(required=True, metadata=EMAIL_EXAMPLE)


class LockedOutOrganization(Response):
    """An organization that requires a second factor, to a member who has none."""

    organization_name = fields.String(required=True, attribute="name", metadata=SHOWN_NAME)
    slug = fields.String(required=True, metadata=SLUG_EXAMPLE)


class Membership(LockedOutOrganization):
    """An organization, and the role in it."""

    role = Choice("Role", required=True, allow_none=True, metadata=ROLE)


class ApiKeyInfo(Response):
    """A key as it says of itself."""

    id = fields.String(required=True, metadata=ID)
    name = fields.String(required=True, metadata=KEY_EXAMPLE)
    permissions = fields.List(fields.String(), required=True, metadata=PERMISSIONS_EXAMPLE)


class TokenAnswer(Success):
    token = Secret(required=True, metadata={"example": "eyJhbGciOiJIUzI1NiJ9.…"})
    token_type = fields.Constant("bearer", required=True)
    expires_in = fields.Integer(required=True, metadata={"description": "seconds", "example": 3600})


class CheckAnswer(Success):
    account = fields.Nested(
        Account, required=True, allow_none=True, metadata={"description": "null for a key"}
    )
    organizations = fields.List(fields.Nested(Membership), required=True)
    second_factor_required = fields.List(
        fields.Nested(LockedOutOrganization),
        metadata={"description": "where there are any: they let nobody in"},
    )
    key = fields.Nested(ApiKeyInfo, metadata={"description": "where it is one"})
    expires_at = time_field(required=True, allow_none=True)
