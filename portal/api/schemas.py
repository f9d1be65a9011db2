"""The JSON that programs send and get."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal import display_names
from portal.documents.api_keys import API_KEY_ROLES as KEY_ROLES
from portal.documents.memberships import GRANTABLE_ROLES, InvitationState, Role
from portal.documents.organizations import SLUG
from portal.identity.authentication.passwords import LONGEST
from portal.organizations.api_keys import managing
from portal.organizations.lifecycle.names import LONGEST_SLUG
from portal.permissions import FOR_API_KEYS

_STATUS = {"enum": ["success"]}
_NAME = {
    "description": "2 to 80 characters: letters, digits, spaces, punctuation and symbols of every "
    "script; no emoji, nothing invisible, none of < > { } \\ ;, nor $ or = in front",
    "minLength": display_names.SHORTEST,
    "maxLength": display_names.LONGEST,
    "example": "Acme Corp",
}
_SLUG = {
    "description": "the address; left out, it is made of the name. Not 24 digits and letters a to "
    "f: that is an id",
    "pattern": f"^{SLUG.pattern}$",
    "maxLength": LONGEST_SLUG,
    "example": "acme-corp",
}
_EMAIL = {"format": "email", "example": "mara@acme.example"}
_PASSWORD = {
    "format": "password",
    "maxLength": LONGEST,
    "example": "correct horse battery staple",
}


_ROLE = {
    "enum": [*Role, None],
    "description": "null for a key that has permissions rather than a role",
}
_KEY_NAME = {**_NAME, "example": "Nightly export"}
_LAST_DAY = {"description": "the last day that it works, in UTC"}
_FORMER_UNTIL = {"description": "until when the secret before the last rotation works, too"}
_OVERLAPS = [int(overlap.total_seconds()) for overlap in managing.OVERLAPS]


def _time(**options: Any) -> fields.AwareDateTime:
    return fields.AwareDateTime(format="iso", default_timezone=UTC, **options)


def _given_role(**options: Any) -> fields.String:
    one_of = ma.validate.OneOf(
        GRANTABLE_ROLES, error="Choose viewer or admin: ownership is offered."
    )
    return fields.String(validate=one_of, **options)


class Secret(fields.String):
    """A value that is answered and never kept."""


class Body(ma.Schema):
    """A body or query with these fields and no others."""

    class Meta:
        unknown = ma.RAISE


class Success(ma.Schema):
    """The beginning of every answer but an error."""

    status = fields.Constant("success", metadata={"type": "string", **_STATUS})


class CreateBody(Body):
    """Without a bearer token name, e-mail address and password, with one no credentials."""

    organization_name = fields.String(required=True, metadata=_NAME)
    slug = fields.String(metadata=_SLUG)
    email = fields.String(metadata=_EMAIL)
    password = fields.String(load_only=True, metadata=_PASSWORD)


class LogInBody(Body):
    email = fields.String(required=True, metadata=_EMAIL)
    password = fields.String(required=True, load_only=True, metadata={"format": "password"})
    code = fields.String(
        metadata={
            "description": "of the authenticator app, or a recovery code: where there is one",
            "maxLength": 64,
        }
    )


class NewNameBody(Body):
    new_organization_name = fields.String(required=True, metadata=_NAME)
    slug = fields.String(metadata=_SLUG)


class RenameBody(NewNameBody):
    old_organization_name = fields.String(required=True)


class NameBody(Body):
    organization_name = fields.String(required=True)


class RestoreBody(Body):
    organization_name = fields.String(metadata=_NAME)
    slug = fields.String(metadata=_SLUG)


class DeleteQuery(Body):
    purge = fields.Boolean(load_default=False, metadata={"description": "drop it at once"})


class Organization(ma.Schema):
    """An organization as created."""

    id = fields.String(required=True)
    organization_name = fields.String(required=True, attribute="name")
    slug = fields.String(required=True)
    collection_name = fields.String(required=True)
    created_at = _time(required=True)


class Operation(ma.Schema):
    """A lifecycle operation that runs."""

    kind = fields.String(required=True, metadata={"example": "rename"})
    started_at = _time(required=True)


class OrganizationDetails(Organization):
    """An organization as a member sees it; figures are null while its collection can't be read."""

    role = fields.String(required=True, allow_none=True, metadata=_ROLE)
    documents = fields.Integer(required=True, allow_none=True)
    bytes = fields.Integer(required=True, allow_none=True)
    operation = fields.Nested(Operation, required=True, allow_none=True)


class Trashed(ma.Schema):
    """An organization in the trash; times are null until it is there."""

    id = fields.String(required=True)
    organization_name = fields.String(required=True, attribute="name")
    trashed_at = _time(required=True, allow_none=True)
    purge_at = _time(required=True, allow_none=True)


class RoleBody(Body):
    role = _given_role(required=True)


class InviteBody(RoleBody):
    email = fields.String(required=True, metadata=_EMAIL)


class ResendBody(Body):
    role = _given_role()


class Member(ma.Schema):
    """A member; ``id`` is that of the account."""

    id = fields.String(required=True, attribute="account_id")
    email = fields.String(required=True)
    role = fields.String(required=True, metadata={"enum": list(Role)})
    joined_at = _time(required=True, attribute="since")


class Invitation(ma.Schema):
    """An invitation; ``invited_by`` is the address of who sent it last, if they have an account
    still."""

    id = fields.String(required=True)
    email = fields.String(required=True)
    role = fields.String(required=True, metadata={"enum": list(GRANTABLE_ROLES)})
    state = fields.String(required=True, metadata={"enum": list(InvitationState)})
    invited_by = fields.String(required=True, allow_none=True, attribute="inviter")
    sent_at = _time(required=True)
    expires_at = _time(required=True)


class Account(ma.Schema):
    id = fields.String(required=True)
    email = fields.String(required=True)


class LockedOutOrganization(ma.Schema):
    """An organization that requires a second factor, to a member who has none."""

    organization_name = fields.String(required=True, attribute="name")
    slug = fields.String(required=True)


class Membership(LockedOutOrganization):
    """An organization, and the role in it."""

    role = fields.String(required=True, allow_none=True, metadata=_ROLE)


class ApiKeyInfo(ma.Schema):
    """A key as it says of itself."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    permissions = fields.List(fields.String(), required=True)


class ApiKey(ma.Schema):
    """An organization's key. It has a role or permissions; the other one is null or empty."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True, allow_none=True, metadata={"enum": [*KEY_ROLES, None]})
    permissions = fields.List(fields.String(), required=True)
    made_by = fields.String(required=True, allow_none=True)
    created_at = _time(required=True)
    used_at = _time(required=True, allow_none=True, metadata={"description": "to the minute"})
    expires_on = fields.Date(required=True, allow_none=True, metadata=_LAST_DAY)
    former_until = _time(required=True, allow_none=True, metadata=_FORMER_UNTIL)


class NewKeyBody(Body):
    """A role or permissions, not both."""

    name = fields.String(required=True, metadata=_KEY_NAME)
    role = fields.String(metadata={"enum": list(KEY_ROLES)})
    permissions = fields.List(
        fields.String(metadata={"enum": sorted(FOR_API_KEYS)}),
        metadata={"maxItems": len(FOR_API_KEYS), "uniqueItems": True},
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

    secret = Secret(metadata={"description": "what to send as bearer token; told this once"})


class CreatedAnswer(Success):
    organization = fields.Nested(Organization, required=True)


class AskedAnswer(Success):
    organization = fields.Nested(
        Organization,
        required=True,
        allow_none=True,
        metadata={"description": "null: there is none yet"},
    )


class OrganizationAnswer(Success):
    organization = fields.Nested(OrganizationDetails, required=True)


class DeletedAnswer(Success):
    trash = fields.Nested(
        Trashed, required=True, allow_none=True, metadata={"description": "null: it is purged"}
    )


class TrashAnswer(Success):
    trash = fields.List(fields.Nested(Trashed), required=True)


class MembersAnswer(Success):
    members = fields.List(fields.Nested(Member), required=True)


class MemberAnswer(Success):
    member = fields.Nested(Member, required=True)


class InvitationsAnswer(Success):
    invitations = fields.List(fields.Nested(Invitation), required=True)


class InvitationAnswer(Success):
    invitation = fields.Nested(Invitation, required=True)


class TokenAnswer(Success):
    token = Secret(required=True)
    token_type = fields.Constant("bearer", metadata={"type": "string", "enum": ["bearer"]})
    expires_in = fields.Integer(required=True, metadata={"description": "seconds"})


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
    expires_at = _time(required=True, allow_none=True)


class Fault(ma.Schema):
    code = fields.String(required=True)
    message = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, data_key="fields"
    )


class ErrorAnswer(ma.Schema):
    """An error; ``fields`` says what is wrong with which field."""

    status = fields.Constant("error", metadata={"type": "string", "enum": ["error"]})
    error = fields.Nested(Fault, required=True)


def show_password_rule(shortest: int) -> None:
    """Have the document say how long a password of this portal is."""
    password = CreateBody._declared_fields["password"]
    password.metadata = {**password.metadata, "minLength": shortest}


def without_secrets(answer: Any) -> Any:
    """The answer as it may be stored: without any field that is secret in a schema here."""
    if isinstance(answer, list):
        return [without_secrets(item) for item in answer]
    if isinstance(answer, dict):
        return {k: without_secrets(value) for k, value in answer.items() if k not in _SECRETS}
    return answer


_SECRETS = frozenset(
    name
    for schema in list(globals().values())
    if isinstance(schema, type) and issubclass(schema, ma.Schema)
    for name, field in schema._declared_fields.items()
    if isinstance(field, Secret) or field.load_only
)
