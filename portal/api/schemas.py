"""The JSON that programs send and get."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal import display_names
from portal.documents.accounts import OperatorRole
from portal.documents.api_keys import OPERATOR_KEY_ROLES
from portal.documents.bulk_actions import BulkOutcome, BulkState
from portal.documents.credentials import Reach
from portal.documents.listing import ListedState, SizeClass, UseClass
from portal.documents.memberships import GRANTABLE_ROLES, InvitationState, Role
from portal.documents.moves import MoveState, Outcome
from portal.documents.organizations import SLUG, OrganizationState, Restriction, Strategy
from portal.documents.restrictions import Cause
from portal.documents.support import GrantState
from portal.identity.authentication.passwords import LONGEST
from portal.operators.bulk.kinds import KINDS
from portal.operators.organizations.planning import PlannedAction
from portal.operators.people.finding import Way
from portal.organizations.api_keys import managing
from portal.organizations.credentials import managing as credentials
from portal.organizations.lifecycle.external import LONGEST_ID, LONGEST_VALUE, MOST_ENTRIES
from portal.organizations.lifecycle.names import LONGEST_SLUG
from portal.organizations.storage import CollectionState
from portal.permissions import FOR_API_KEYS

_NAME = {
    "description": "2 to 80 characters: letters, digits, spaces, punctuation and symbols of every "
    "script; no emoji, nothing invisible, none of < > { } \\ ;, nor $ or = in front",
    "minLength": display_names.SHORTEST,
    "maxLength": display_names.LONGEST,
    "example": "Acme Corp",
}
_SHOWN_NAME = {"example": "Acme Corp"}
_SLUG_EXAMPLE = {"example": "acme-corp"}
_PLAN = {"description": "by which its placement is chosen", "example": "large"}
_REGION = {"description": "in which its documents stay", "example": "eu-central"}
_EXTERNAL_ID = {
    "description": "by which another system knows it; no two organizations have the same",
    "minLength": 1,
    "maxLength": LONGEST_ID,
    "example": "cus_9s6XKzkNRiz8i3",
}
_METADATA = {
    "description": f"of another system: {MOST_ENTRIES} entries at most, each named by up to 40 "
    f"letters, digits, - and _, with a value of up to {LONGEST_VALUE} characters",
    "example": {"crm": "A-4711"},
}
_SLUG = {
    "description": "the address; left out, it is made of the name. Not 24 digits and letters a to "
    "f: that is an id",
    "pattern": f"^{SLUG.pattern}$",
    "maxLength": LONGEST_SLUG,
    **_SLUG_EXAMPLE,
}
_EMAIL_EXAMPLE = {"example": "mara@acme.example"}
_EMAIL = {"format": "email", **_EMAIL_EXAMPLE}
_PASSWORD_EXAMPLE = {"format": "password", "example": "correct horse battery staple"}
_PASSWORD = {**_PASSWORD_EXAMPLE, "maxLength": LONGEST}
_ROLE = {"description": "null for a key that has permissions rather than a role"}
_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_UUID = {"example": "4c019639-7e90-4fb9-b912-814c9f056732"}
_KEY_EXAMPLE = {"example": "Nightly export"}
_KEY_NAME = {**_NAME, **_KEY_EXAMPLE}
_PERMISSIONS_EXAMPLE = {"example": ["audit.export", "organization.view"]}
_FAULT_EXAMPLE = "The slug acme-corp is taken. Send acme-corp-2, which is free, or another as slug"
_LAST_DAY = {"description": "the last day that it works, in UTC", "example": "2027-01-31"}
_FORMER_UNTIL = {"description": "until when the secret before the last rotation works, too"}
_OVERLAPS = [int(overlap.total_seconds()) for overlap in managing.OVERLAPS]
_CREDENTIAL_EXAMPLE = {"example": "Weekly report"}
_CREDENTIAL_OVERLAPS = [
    int(overlap.total_seconds()) for overlap in credentials.OVERLAPS if overlap is not None
]
_ENDS_AT = {"description": "the end of a former one, if a day was set"}
_CONNECTIONS = {
    "description": "open ones; null where MongoDB doesn’t let the portal list them",
    "example": 3,
}
_PENDING_SINCE = {"description": "revoked here since, and not yet in MongoDB"}
_MEMBERS_EXAMPLE = {"example": ["db1.example:27017"]}
CHOICES = {
    "Role": list(Role),
    "GrantableRole": list(GRANTABLE_ROLES),
    "InvitationState": list(InvitationState),
    "ApiKeyPermission": sorted(FOR_API_KEYS),
    "CredentialReach": list(Reach),
    "CollectionState": list(CollectionState),
    "OperatorRole": list(OperatorRole),
    "PeopleWay": list(Way),
    "OperatorKeyRole": list(OPERATOR_KEY_ROLES),
    "ListedState": list(ListedState),
    "SizeClass": list(SizeClass),
    "UseClass": list(UseClass),
    "Strategy": list(Strategy),
    "Restriction": list(Restriction),
    "SuspensionCause": list(Cause),
    "MoveState": list(MoveState),
    "MoveOutcome": list(Outcome),
    "OrganizationState": list(OrganizationState),
    "PlannedAction": list(PlannedAction),
    "BulkKind": list(KINDS),
    "BulkState": list(BulkState),
    "BulkOutcome": list(BulkOutcome),
    "SupportGrantState": list(GrantState),
}


def _time(metadata: dict[str, str] | None = None, **options: Any) -> fields.AwareDateTime:
    metadata = {"example": "2026-11-25T09:30:00+00:00", **(metadata or {})}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


def _given_role(**options: Any) -> "Choice":
    one_of = ma.validate.OneOf(
        GRANTABLE_ROLES, error="Choose viewer or admin: ownership is offered."
    )
    return Choice("GrantableRole", validate=one_of, **options)


class Choice(fields.String):
    """One of the values of ``name`` in CHOICES, which clients get as one type."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.choice = name


class Secret(fields.String):
    """A value that is answered and never kept."""


class ToldOnce(fields.Nested):
    """A nested answer beside a secret, not kept either."""


class Body(ma.Schema):
    """A body or query with these fields and no others."""

    class Meta:
        unknown = ma.RAISE


class Response(ma.Schema):
    """An object in an answer. A newer portal may add fields, so the document doesn't have clients
    refuse those that they don't know."""

    class Meta:
        unknown = ma.EXCLUDE


class Success(Response):
    """The beginning of every answer but an error."""

    status = fields.Constant("success", required=True)


class CreateBody(Body):
    """Without a bearer token name, e-mail address and password, with one no credentials."""

    organization_name = fields.String(required=True, metadata=_NAME)
    slug = fields.String(metadata=_SLUG)
    email = fields.String(metadata=_EMAIL)
    password = fields.String(load_only=True, metadata=_PASSWORD)
    viewers_read_documents = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "whether viewers may read its documents; an owner can change it"},
    )
    plan = fields.String(metadata=_PLAN)
    region = fields.String(metadata=_REGION)
    external_id = fields.String(metadata=_EXTERNAL_ID)
    metadata = fields.Dict(fields.String(), fields.String(), metadata=_METADATA)


class ExternalBody(Body):
    """An external id, metadata, or both. One that is left out stays, as does each entry that isn't
    named; null takes an entry away, or the id."""

    external_id = fields.String(allow_none=True, metadata=_EXTERNAL_ID)
    metadata = fields.Dict(fields.String(), fields.String(allow_none=True), metadata=_METADATA)


class PlanBody(Body):
    """A plan, a region, or both: null takes one away, and one left out stays."""

    plan = fields.String(allow_none=True, metadata=_PLAN)
    region = fields.String(allow_none=True, metadata=_REGION)


class LogInBody(Body):
    email = fields.String(required=True, metadata=_EMAIL)
    password = fields.String(required=True, load_only=True, metadata=_PASSWORD_EXAMPLE)
    code = fields.String(
        metadata={
            "description": "of the authenticator app, or a recovery code: where there is one",
            "maxLength": 64,
            "example": "492039",
        }
    )


class NewNameBody(Body):
    new_organization_name = fields.String(
        required=True, metadata={**_NAME, "example": "Acme & Daughters"}
    )
    slug = fields.String(metadata={**_SLUG, "example": "acme-daughters"})


class RenameBody(NewNameBody):
    old_organization_name = fields.String(required=True, metadata=_SHOWN_NAME)


class NameBody(Body):
    organization_name = fields.String(required=True, metadata=_SHOWN_NAME)


class RestoreBody(Body):
    organization_name = fields.String(metadata=_NAME)
    slug = fields.String(metadata=_SLUG)


class DeleteQuery(Body):
    purge = fields.Boolean(load_default=False, metadata={"description": "drop it at once"})


class Organization(Response):
    """An organization as created."""

    id = fields.String(required=True, metadata=_ID)
    organization_name = fields.String(required=True, attribute="name", metadata=_SHOWN_NAME)
    slug = fields.String(required=True, metadata=_SLUG_EXAMPLE)
    # Null where it has no collection of its own.
    collection_name = fields.String(
        required=True, allow_none=True, metadata={"example": "org_acme_corp"}
    )
    created_at = _time(required=True)


class PlannedOrganization(Response):
    """An organization's plan and region, null where it has none."""

    id = fields.String(required=True, metadata=_ID)
    slug = fields.String(required=True, metadata=_SLUG_EXAMPLE)
    plan = fields.String(required=True, allow_none=True, metadata=_PLAN)
    region = fields.String(required=True, allow_none=True, metadata=_REGION)


class ExternalOrganization(Response):
    """The names by which other systems know an organization."""

    id = fields.String(required=True, metadata=_ID)
    slug = fields.String(required=True, metadata=_SLUG_EXAMPLE)
    external_id = fields.String(required=True, allow_none=True, metadata=_EXTERNAL_ID)
    metadata = fields.Dict(fields.String(), fields.String(), required=True, metadata=_METADATA)


class Operation(Response):
    """A lifecycle operation that runs."""

    kind = fields.String(required=True, metadata={"example": "rename"})
    started_at = _time(required=True)


class Replacement(Response):
    """A collection that stands in place of an organization's own, which is gone."""

    uuid = fields.String(required=True, metadata=_UUID)
    documents = fields.Integer(required=True, metadata={"example": 1200})


class AdoptBody(Body):
    uuid = fields.String(required=True, metadata=_UUID)


class OrganizationDetails(Organization):
    """An organization as a member sees it; figures are null while its collection can't be read.

    ``collection_state`` is null while it is being created. `missing`: somebody dropped it in the
    database. `replaced`: another stands there instead, which an owner may take over. `misnamed`:
    somebody renamed it, and another has its name. `lost`: whoever runs the portal gave its cluster
    up. ``partial_figures`` where it shares a collection, and has more documents there than are
    counted.
    """

    collection_state = Choice("CollectionState", required=True, allow_none=True)
    replacement = fields.Nested(Replacement, required=True, allow_none=True)

    role = Choice("Role", required=True, allow_none=True, metadata=_ROLE)
    plan = fields.String(required=True, allow_none=True, metadata=_PLAN)
    region = fields.String(required=True, allow_none=True, metadata=_REGION)
    documents = fields.Integer(required=True, allow_none=True, metadata={"example": 1200})
    bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 86016})
    partial_figures = fields.Boolean(required=True, metadata={"example": False})
    operation = fields.Nested(Operation, required=True, allow_none=True)


class Trashed(Response):
    """An organization in the trash; times are null until it is there."""

    id = fields.String(required=True, metadata=_ID)
    organization_name = fields.String(required=True, attribute="name", metadata=_SHOWN_NAME)
    trashed_at = _time(required=True, allow_none=True)
    purge_at = _time(required=True, allow_none=True)


class RoleBody(Body):
    role = _given_role(required=True)


class InviteBody(RoleBody):
    email = fields.String(required=True, metadata=_EMAIL)


class ResendBody(Body):
    role = _given_role()


class Member(Response):
    """A member; ``id`` is that of the account."""

    id = fields.String(required=True, attribute="account_id", metadata=_ID)
    email = fields.String(required=True, metadata=_EMAIL_EXAMPLE)
    role = Choice("Role", required=True)
    joined_at = _time(required=True, attribute="since")


class Invitation(Response):
    """An invitation; ``invited_by`` is the address of who sent it last, if they have an account
    still."""

    id = fields.String(required=True, metadata=_ID)
    email = fields.String(required=True, metadata=_EMAIL_EXAMPLE)
    role = Choice("GrantableRole", required=True)
    state = Choice("InvitationState", required=True)
    invited_by = fields.String(
        required=True, allow_none=True, attribute="inviter", metadata=_EMAIL_EXAMPLE
    )
    sent_at = _time(required=True)
    expires_at = _time(required=True)


class Account(Response):
    id = fields.String(required=True, metadata=_ID)
    email = fields.String(required=True, metadata=_EMAIL_EXAMPLE)


class LockedOutOrganization(Response):
    """An organization that requires a second factor, to a member who has none."""

    organization_name = fields.String(required=True, attribute="name", metadata=_SHOWN_NAME)
    slug = fields.String(required=True, metadata=_SLUG_EXAMPLE)


class Membership(LockedOutOrganization):
    """An organization, and the role in it."""

    role = Choice("Role", required=True, allow_none=True, metadata=_ROLE)


class ApiKeyInfo(Response):
    """A key as it says of itself."""

    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata=_KEY_EXAMPLE)
    permissions = fields.List(fields.String(), required=True, metadata=_PERMISSIONS_EXAMPLE)


class ApiKey(Response):
    """An organization's key. It has a role or permissions; the other one is null or empty."""

    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata=_KEY_EXAMPLE)
    role = Choice("GrantableRole", required=True, allow_none=True)
    permissions = fields.List(fields.String(), required=True, metadata=_PERMISSIONS_EXAMPLE)
    made_by = fields.String(required=True, allow_none=True, metadata=_EMAIL_EXAMPLE)
    created_at = _time(required=True)
    used_at = _time(required=True, allow_none=True, metadata={"description": "to the minute"})
    expires_on = fields.Date(required=True, allow_none=True, metadata=_LAST_DAY)
    former_until = _time(required=True, allow_none=True, metadata=_FORMER_UNTIL)


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
            "example": f"pk_{_ID['example']}_…",
        }
    )


class CredentialUser(Response):
    """A MongoDB user of a credential."""

    name = fields.String(required=True, metadata={"example": "credentialK3f9ZpQw7LxV"})
    created_at = _time(required=True)
    ends_at = _time(required=True, allow_none=True, metadata=_ENDS_AT)
    seen_at = _time(required=True, allow_none=True, metadata={"description": "connected"})
    seen_by = fields.List(
        fields.String(), required=True, metadata={"description": "by the applications"}
    )
    connections = fields.Integer(required=True, allow_none=True, metadata=_CONNECTIONS)


class Credential(Response):
    """A credential: a MongoDB user that reaches the organization's collection alone. While it is
    rotated the former one works, too."""

    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata=_CREDENTIAL_EXAMPLE)
    reach = Choice("CredentialReach", required=True)
    made_by = fields.String(required=True, allow_none=True, metadata=_EMAIL_EXAMPLE)
    created_at = _time(required=True)
    user = fields.Nested(CredentialUser, required=True)
    former = fields.Nested(CredentialUser, required=True, allow_none=True)
    pending_since = _time(required=True, allow_none=True, metadata=_PENDING_SINCE)


class Proof(Response):
    """The members on which the user signed in and read; those that lag behind, and those that don't
    answer."""

    proven = fields.List(fields.String(), required=True, metadata=_MEMBERS_EXAMPLE)
    lagging = fields.List(fields.String(), required=True)
    down = fields.List(fields.String(), required=True)


class NewCredentialBody(Body):
    name = fields.String(required=True, metadata={**_NAME, **_CREDENTIAL_EXAMPLE})
    reach = Choice("CredentialReach", required=True)


class RotateCredentialBody(Body):
    overlap_seconds = fields.Integer(
        strict=True,
        validate=ma.validate.OneOf(_CREDENTIAL_OVERLAPS),
        metadata={
            "description": "how long the old user works beside the new one; left out, until ended"
        },
    )


class EndOverlapBody(Body):
    although_in_use = fields.Boolean(load_default=False, truthy={True}, falsy={False})


class CredentialsAnswer(Success):
    credentials = fields.List(fields.Nested(Credential), required=True)


class CredentialAnswer(Success):
    credential = fields.Nested(Credential, required=True)


class NewConnectionStringAnswer(CredentialAnswer):
    """A credential with a new user. A repeated call is answered without the string."""

    connection_string = Secret(
        metadata={
            "description": "how programs connect; told this once",
            "example": "mongodb://credential…:…@db.example:27017/tenant_db?authSource=tenant_db",
        }
    )
    proof = ToldOnce(Proof)


class RevokedAnswer(Success):
    pending = fields.Boolean(
        required=True,
        metadata={"description": "MongoDB did not answer: it is tried again", "example": False},
    )


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


class PlanAnswer(Success):
    organization = fields.Nested(PlannedOrganization, required=True)


class ExternalAnswer(Success):
    organization = fields.Nested(ExternalOrganization, required=True)


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
    expires_at = _time(required=True, allow_none=True)


class Fault(Response):
    code = fields.String(
        required=True,
        metadata={
            "description": "for programs; each operation has its own by status, and more may come",
            "example": "name_taken",
        },
    )
    message = fields.String(
        required=True, metadata={"description": "what to do", "example": _FAULT_EXAMPLE}
    )
    fields_ = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        data_key="fields",
        metadata={
            "description": "what is wrong with which field",
            "example": {"organization_name": _FAULT_EXAMPLE},
        },
    )
    details = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "what some codes tell besides: of a suspension (423) its `kind`, the "
            "`contact` to write to, and a `message`",
            "example": {"kind": "locked", "contact": "support@portal.example"},
        },
    )


class ErrorAnswer(Response):
    """An error; ``fields`` says what is wrong with which field."""

    status = fields.Constant("error", required=True)
    error = fields.Nested(Fault, required=True)


def show_password_rule(shortest: int) -> None:
    """Have the document say how long a password of this portal is."""
    password = CreateBody._declared_fields["password"]
    password.metadata = {**password.metadata, "minLength": shortest}
