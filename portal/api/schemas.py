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
from portal.documents.organizations import OrganizationState, Restriction, Strategy
from portal.documents.restrictions import Cause
from portal.documents.support import GrantState
from portal.operators.bulk.kinds import KINDS
from portal.operators.organizations.planning import PlannedAction
from portal.operators.people.finding import Way
from portal.organizations.moving.options import Switch
from portal.organizations.storage import CollectionState
from portal.permissions import FOR_API_KEYS

NAME = {
    "description": "2 to 80 characters: letters, digits, spaces, punctuation and symbols of every "
    "script; no emoji, nothing invisible, none of < > { } \\ ;, nor $ or = in front",
    "minLength": display_names.SHORTEST,
    "maxLength": display_names.LONGEST,
    "example": "Acme Corp",
}
SHOWN_NAME = {"example": "Acme Corp"}
SLUG_EXAMPLE = {"example": "acme-corp"}
EMAIL_EXAMPLE = {"example": "mara@acme.example"}
EMAIL = {"format": "email", **EMAIL_EXAMPLE}
PASSWORD_EXAMPLE = {"format": "password", "example": "correct horse battery staple"}
ROLE = {"description": "null for a key that has permissions rather than a role"}
ID = {"example": "692588d0a7c4f2b91e03d65a"}
KEY_EXAMPLE = {"example": "Nightly export"}
PERMISSIONS_EXAMPLE = {"example": ["audit.export", "organization.view"]}
_FAULT_EXAMPLE = "The slug acme-corp is taken. Send acme-corp-2, which is free, or another as slug"
CHOICES = {
    "Role": list(Role),
    "GrantableRole": list(GRANTABLE_ROLES),
    "InvitationState": list(InvitationState),
    "ApiKeyPermission": sorted(FOR_API_KEYS),
    "CredentialReach": list(Reach),
    "CollectionState": list(CollectionState),
    "OperatorRole": list(OperatorRole),
    "PeopleSearchKind": list(Way),
    "OperatorKeyRole": list(OPERATOR_KEY_ROLES),
    "ListedState": list(ListedState),
    "SizeClass": list(SizeClass),
    "UseClass": list(UseClass),
    "Strategy": list(Strategy),
    "Restriction": list(Restriction),
    "SuspensionCause": list(Cause),
    "MoveState": list(MoveState),
    "MoveOutcome": list(Outcome),
    "MoveSwitch": list(Switch),
    "OrganizationState": list(OrganizationState),
    "PlannedAction": list(PlannedAction),
    "BulkKind": list(KINDS),
    "BulkState": list(BulkState),
    "BulkOutcome": list(BulkOutcome),
    "SupportGrantState": list(GrantState),
}


def time_field(metadata: dict[str, str] | None = None, **options: Any) -> fields.AwareDateTime:
    metadata = {"example": "2026-11-25T09:30:00+00:00", **(metadata or {})}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


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
            "`contact` to write to (of several, with commas between them), and a `message`",
            "example": {"kind": "locked", "contact": "support@portal.example"},
        },
    )


class ErrorAnswer(Response):
    """An error; ``fields`` says what is wrong with which field."""

    status = fields.Constant("error", required=True)
    error = fields.Nested(Fault, required=True)
