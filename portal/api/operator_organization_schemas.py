"""The JSON about organizations that operators' programs send and get."""

from datetime import UTC
from typing import Any

from marshmallow import fields

from portal.api import member_schemas, organization_schemas, schemas
from portal.operators.organizations.notes import LONGEST

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_EMAIL = {"format": "email", "example": "mara@acme.example"}
_NAME = {"example": "Acme Corp"}
_PLAN = {
    "description": "that a dry run told: the action is refused where the organization has changed",
    "example": "WyJ0cmFzaCIsIC…",
}
_NOTE = {"minLength": 1, "maxLength": LONGEST, "example": "Agreed a move, not a limit."}
_UUID = {"example": "4c019639-7e90-4fb9-b912-814c9f056732"}
_DOCUMENTS = {"description": "null where they can’t be counted now", "example": 1200}


def _time(**options: Any) -> fields.AwareDateTime:
    metadata = {"example": "2026-11-25T09:30:00+00:00"}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


class DryRunQuery(schemas.Body):
    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "tell the plan, and do nothing"}
    )


class ApplyBody(schemas.Body):
    plan = fields.String(metadata=_PLAN)


class ApplyNameBody(organization_schemas.RestoreBody):
    plan = fields.String(metadata=_PLAN)


class ApplyNewNameBody(ApplyNameBody):
    organization_name = fields.String(required=True, metadata=_NAME)


class NoteBody(schemas.Body):
    text = fields.String(required=True, metadata=_NOTE)


class OwnerBody(schemas.Body):
    email = fields.String(required=True, metadata=_EMAIL)


class OwnerInfo(schemas.Response):
    """An owner; ``id`` is that of the account."""

    id = fields.String(required=True, attribute="account_id", metadata=_ID)
    email = fields.String(required=True, metadata=_EMAIL)


class OperatorOrganization(schemas.Response):
    """All that is known of an organization but its documents. Figures are null where they can’t be
    read; ``measured_at`` is set where they are the last that were measured."""

    id = fields.String(required=True, metadata=_ID)
    organization_name = fields.String(required=True, attribute="name", metadata=_NAME)
    slug = fields.String(required=True, metadata={"example": "acme-corp"})
    state = schemas.Choice("OrganizationState", required=True)
    strategy = fields.String(required=True, metadata={"example": "collection"})
    cluster = fields.String(required=True, metadata={"example": "main"})
    uuid = fields.String(required=True, allow_none=True, metadata=_UUID)
    collection_name = fields.String(
        required=True, allow_none=True, metadata={"example": "org_acme_corp"}
    )
    plan = fields.String(required=True, allow_none=True, metadata={"example": "large"})
    region = fields.String(required=True, allow_none=True, metadata={"example": "eu-central"})
    external_id = fields.String(required=True, allow_none=True, metadata={"example": "cus_9s6X"})
    metadata = fields.Dict(
        fields.String(), fields.String(), required=True, metadata={"example": {"crm": "A-4711"}}
    )
    documents = fields.Integer(required=True, allow_none=True, metadata=_DOCUMENTS)
    bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 86016})
    measured_at = _time(required=True, allow_none=True)
    members = fields.Integer(required=True, metadata={"example": 38})
    owners = fields.List(fields.Nested(OwnerInfo), required=True)
    earlier_slugs = fields.List(
        fields.String(), required=True, metadata={"example": ["acme-corporation"]}
    )
    operation = fields.Nested(organization_schemas.Operation, required=True, allow_none=True)
    version = fields.Integer(required=True, metadata={"example": 7})
    created_at = _time(required=True)
    trashed_at = _time(required=True, allow_none=True)
    purge_at = _time(required=True, allow_none=True)
    purged_at = _time(required=True, allow_none=True)


class OperatorOrganizationAnswer(schemas.Success):
    organization = fields.Nested(OperatorOrganization, required=True)


class PlanEffect(schemas.Response):
    """A line of what will happen, in words."""

    about = fields.String(required=True, metadata={"example": "People"})
    words = fields.String(required=True, metadata={"example": "38 members without access at once"})


class ActionPlan(schemas.Response):
    """The effects of an action. ``people`` lose access, ``keys`` and ``credentials`` are refused,
    ``redirects`` no longer lead there."""

    action = schemas.Choice("PlannedAction", required=True)
    organization = fields.String(required=True, metadata=_ID)
    at = _time(required=True)
    documents = fields.Integer(required=True, allow_none=True, metadata=_DOCUMENTS)
    bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 86016})
    people = fields.Integer(required=True, metadata={"example": 38})
    keys = fields.Integer(required=True, metadata={"example": 2})
    credentials = fields.Integer(required=True, metadata={"example": 1})
    redirects = fields.Integer(required=True, metadata={"example": 1})
    mails = fields.Integer(required=True, metadata={"example": 2})
    effects = fields.List(fields.Nested(PlanEffect), required=True)
    plan = fields.String(required=True, metadata=_PLAN)


class OrganizationActionAnswer(schemas.Success):
    """The organization, or with `dry_run` the plan: the other one is null."""

    organization = fields.Nested(OperatorOrganization, required=True, allow_none=True)
    plan = fields.Nested(ActionPlan, required=True, allow_none=True)


class Note(schemas.Response):
    """A note; ``author`` is null for a command, or somebody whose account is closed."""

    id = fields.String(required=True, metadata=_ID)
    text = fields.String(required=True, metadata=_NOTE)
    author = fields.String(required=True, allow_none=True, metadata=_EMAIL)
    at = _time(required=True)


class NoteAnswer(schemas.Success):
    note = fields.Nested(Note, required=True)


class NotesQuery(schemas.Body):
    after = fields.String(metadata={"description": "the id of the last one known", **_ID})


class NotesAnswer(schemas.Success):
    notes = fields.List(fields.Nested(Note), required=True)
    after = fields.String(
        required=True, allow_none=True, metadata={"description": "for the next page", **_ID}
    )


class MembersQuery(schemas.Body):
    after = fields.String(metadata={"description": "the address of the last one known"})


class OperatorsMembersAnswer(schemas.Success):
    members = fields.List(fields.Nested(member_schemas.Member), required=True)
    after = fields.String(
        required=True, allow_none=True, metadata={"description": "for the next page", **_EMAIL}
    )
