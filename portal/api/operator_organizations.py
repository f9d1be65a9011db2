"""One organization, for operators' programs."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from bson import ObjectId

from portal.api import organization_schemas, replay, schemas
from portal.api.guard import ApiBlueprint, View
from portal.api.operator_organization_schemas import (
    ApplyBody,
    ApplyNameBody,
    ApplyNewNameBody,
    DryRunQuery,
    MembersQuery,
    NoteAnswer,
    NoteBody,
    NotesAnswer,
    NotesQuery,
    OperatorOrganizationAnswer,
    OperatorsMembersAnswer,
    OrganizationActionAnswer,
    OwnerBody,
)
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    install_replays,
    operator_by_request,
    success,
)
from portal.api.refusals import Refusal
from portal.api.replay import Answer, takes_key
from portal.audit.errors import UnderHold
from portal.display_names import InvalidName
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.organizations import Organization
from portal.email_addresses import InvalidEmail
from portal.operators.access import Operator
from portal.operators.organization_pages import find_organization
from portal.operators.organizations import notes
from portal.operators.organizations.acting import apply_action
from portal.operators.organizations.errors import (
    InvalidNote,
    NoteNotFound,
    OwnerAlready,
    OwnerIsOperator,
    PlanOutdated,
    UnknownAddress,
    UnreadableActionPlan,
    UnverifiedAddress,
)
from portal.operators.organizations.owners import set_owner
from portal.operators.organizations.planning import PlannedAction, plan_action
from portal.operators.organizations.reading import as_told
from portal.organizations import external, planning
from portal.organizations.access.errors import (
    NotInTrash,
    OrganizationPurged,
    OrganizationRenamed,
    OrganizationTrashed,
)
from portal.organizations.access.lookup import parse_object_id
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    CredentialsNotCarried,
    ExternalIdTaken,
    InvalidExternalId,
    InvalidMetadata,
    InvalidSlug,
    NameUnchanged,
    OperationInProgress,
    RestrictionChanged,
    SlugTaken,
    TenantCollectionMissing,
)
from portal.organizations.members import listing
from portal.organizations.members.errors import BlockedOwner
from portal.placement.errors import CopyOutsideRegion, InvalidPlan, InvalidRegion, OutsideRegion
from portal.web.errors import InvalidInput, TooManyAttempts

admin_organizations = ApiBlueprint(
    "admin_organizations", __name__, url_prefix="/admin", description="Organizations, for operators"
)

_PATH = "/organizations/<organization_id>"
_OF_PLANS: tuple[Refusal, ...] = (
    *OF_OPERATOR_CHANGES,
    UnreadableActionPlan,
    PlanOutdated,
    OperationInProgress,
    OrganizationPurged,
    OrganizationRenamed,
    RestrictionChanged,
    TenantCollectionMissing,
    CollectionNameConflict,
    CredentialsNotCarried,
)
_OF_NAMES: tuple[Refusal, ...] = (InvalidName, InvalidSlug, SlugTaken, TooManyAttempts)
_NO_KEY = "No such entry."
# Parameters given to doc() are all that an operation has.
_takes_key_and_dry_run = admin_organizations.doc(
    parameters=[replay.PARAMETER, {"in": "query", "schema": DryRunQuery}]
)


def about_organization(permission: str) -> Callable[[View], View]:
    """Pass the view the operator, and the organization in place of its id, before anything of the
    request is parsed: so everybody else is answered as if there were nothing."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, organization_id: str, **ids: Any) -> Any:
            operator = operator_by_request(permission)
            return view(operator, find_organization(organization_id), *arguments, **ids)

        return guarded  # type: ignore[return-value]

    return decorate


@admin_organizations.get(_PATH, refusals=OF_OPERATORS)
@about_organization("console.view")
@admin_organizations.response(200, OperatorOrganizationAnswer)
def get_organization_as_operator(
    operator: Operator,
    organization: Organization,
) -> dict[str, Any]:
    """See all that is known of an organization

    Whatever its state, and but for its documents.
    """
    return {"organization": as_told(organization)}


@admin_organizations.get(f"{_PATH}/members", refusals=OF_OPERATORS)
@about_organization("console.view")
@admin_organizations.arguments(MembersQuery, location="query")
@admin_organizations.response(200, OperatorsMembersAnswer)
def list_members_as_operator(
    operator: Operator, organization: Organization, query: dict[str, str]
) -> dict[str, Any]:
    """List an organization's members

    25 at a time, by address.
    """
    after = query.get("after")
    if after is not None and not listing.MEMBER_KEY.fullmatch(after):
        raise InvalidInput({"after": _NO_KEY})
    page = listing.members_of(organization.id, after=after)
    return {"members": page.rows, "after": page.after}


@admin_organizations.put(
    f"{_PATH}/name", refusals=(*_OF_PLANS, *_OF_NAMES, NameUnchanged, OrganizationTrashed)
)
@about_organization("console.act")
@_takes_key_and_dry_run
@admin_organizations.arguments(DryRunQuery, location="query")
@admin_organizations.arguments(ApplyNewNameBody)
@admin_organizations.response(200, OrganizationActionAnswer)
@admin_organizations.alt_response(
    202, schema=OrganizationActionAnswer, description="Not finished yet"
)
def rename_organization_as_operator(
    operator: Operator, organization: Organization, query: dict[str, bool], body: dict[str, str]
) -> Answer:
    """Rename an organization as its operator

    Its collection is renamed with it, and links to the old slug lead to the new one.
    """
    return _act(PlannedAction.RENAME, operator, organization, query, body)


@admin_organizations.post(f"{_PATH}/trash", refusals=(*_OF_PLANS, OrganizationTrashed))
@about_organization("console.act")
@_takes_key_and_dry_run
@admin_organizations.arguments(DryRunQuery, location="query")
@admin_organizations.arguments(ApplyBody)
@admin_organizations.response(200, OrganizationActionAnswer)
@admin_organizations.alt_response(
    202, schema=OrganizationActionAnswer, description="Not finished yet"
)
def trash_organization_as_operator(
    operator: Operator, organization: Organization, query: dict[str, bool], body: dict[str, str]
) -> Answer:
    """Move an organization to the trash as its operator

    Its owners are told by mail, and can restore it until it is purged.
    """
    return _act(PlannedAction.TRASH, operator, organization, query, body)


@admin_organizations.post(f"{_PATH}/restore", refusals=(*_OF_PLANS, *_OF_NAMES, NotInTrash))
@about_organization("console.act")
@_takes_key_and_dry_run
@admin_organizations.arguments(DryRunQuery, location="query")
@admin_organizations.arguments(ApplyNameBody)
@admin_organizations.response(200, OrganizationActionAnswer)
@admin_organizations.alt_response(
    202, schema=OrganizationActionAnswer, description="Not finished yet"
)
def restore_organization_as_operator(
    operator: Operator, organization: Organization, query: dict[str, bool], body: dict[str, str]
) -> Answer:
    """Bring an organization back from the trash as its operator

    Under another name if the body has one: its own may be taken by now.
    """
    return _act(PlannedAction.RESTORE, operator, organization, query, body)


@admin_organizations.post(f"{_PATH}/purge", refusals=(*_OF_PLANS, NotInTrash, UnderHold))
@about_organization("console.act")
@_takes_key_and_dry_run
@admin_organizations.arguments(DryRunQuery, location="query")
@admin_organizations.arguments(ApplyBody)
@admin_organizations.response(200, OrganizationActionAnswer)
@admin_organizations.alt_response(
    202, schema=OrganizationActionAnswer, description="Not finished yet"
)
def purge_organization_as_operator(
    operator: Operator, organization: Organization, query: dict[str, bool], body: dict[str, str]
) -> Answer:
    """Purge an organization as its operator

    Active or in the trash. Its documents are gone then, and nothing brings them back.
    """
    return _act(PlannedAction.PURGE, operator, organization, query, body)


@admin_organizations.patch(
    f"{_PATH}/plan",
    refusals=(
        *OF_OPERATOR_CHANGES,
        InvalidPlan,
        InvalidRegion,
        OutsideRegion,
        CopyOutsideRegion,
    ),
)
@about_organization("console.act")
@takes_key
@admin_organizations.arguments(organization_schemas.PlanBody)
@admin_organizations.response(200, OperatorOrganizationAnswer)
def set_plan_as_operator(
    operator: Operator, organization: Organization, body: dict[str, str | None]
) -> dict[str, Any]:
    """Set an organization's plan or region as its operator

    Null takes one away, and one that is left out stays.
    """
    changed = planning.set_plan(organization.id, operator.context, **body)
    return {"organization": as_told(changed)}


@admin_organizations.patch(
    f"{_PATH}/external",
    refusals=(*OF_OPERATOR_CHANGES, InvalidExternalId, InvalidMetadata, ExternalIdTaken),
)
@about_organization("console.act")
@takes_key
@admin_organizations.arguments(organization_schemas.ExternalBody)
@admin_organizations.response(200, OperatorOrganizationAnswer)
def set_external_as_operator(
    operator: Operator, organization: Organization, body: dict[str, Any]
) -> dict[str, Any]:
    """Set what other systems know an organization by, as its operator

    Null takes the id away, or an entry. One that isn't named stays.
    """
    changed = external.set_external(organization.id, operator.context, **body)
    return {"organization": as_told(changed)}


@admin_organizations.post(
    f"{_PATH}/owners",
    refusals=(
        *OF_OPERATOR_CHANGES,
        InvalidEmail,
        UnknownAddress,
        UnverifiedAddress,
        OwnerAlready,
        OwnerIsOperator,
        BlockedOwner,
    ),
)
@about_organization("console.act")
@takes_key
@admin_organizations.arguments(OwnerBody)
@admin_organizations.response(200, OperatorOrganizationAnswer)
def set_owner_as_operator(
    operator: Operator, organization: Organization, body: dict[str, str]
) -> dict[str, Any]:
    """Make an account an owner

    A member or not, but no operator's; its address is verified, and it isn't blocked. Other owners
    stay, and all are told by mail.
    """
    changed = set_owner(organization.id, body["email"], operator.context)
    return {"organization": as_told(changed)}


@admin_organizations.get(f"{_PATH}/notes", refusals=OF_OPERATORS)
@about_organization("console.view")
@admin_organizations.arguments(NotesQuery, location="query")
@admin_organizations.response(200, NotesAnswer)
def list_notes(
    operator: Operator, organization: Organization, query: dict[str, str]
) -> dict[str, Any]:
    """List the notes about an organization

    25 at a time, newest first.
    """
    after = query.get("after")
    if after is not None and not ObjectId.is_valid(after):
        raise InvalidInput({"after": _NO_KEY})
    page = notes.notes_of(organization.id, after=ObjectId(after) if after else None)
    return {"notes": page.rows, "after": page.after}


@admin_organizations.post(f"{_PATH}/notes", refusals=(*OF_OPERATOR_CHANGES, InvalidNote))
@about_organization("console.act")
@takes_key
@admin_organizations.arguments(NoteBody)
@admin_organizations.response(201, NoteAnswer)
def add_note(
    operator: Operator, organization: Organization, body: dict[str, str]
) -> dict[str, Any]:
    """Keep a note about an organization

    For operators alone; the organization's trail says that there is one.
    """
    note = notes.add_note(organization.id, body["text"], operator.context)
    return {"note": notes.find_note(organization.id, note.id)}


@admin_organizations.delete(
    f"{_PATH}/notes/<note_id>", refusals=(*OF_OPERATOR_CHANGES, NoteNotFound)
)
@about_organization("console.act")
@takes_key
@admin_organizations.response(200, schemas.Success)
def remove_note(operator: Operator, organization: Organization, note_id: str) -> dict[str, Any]:
    """Remove a note about an organization

    The organization's trail says that there was one.
    """
    notes.remove_note(organization.id, parse_object_id(note_id), operator.context)
    return {}


def _act(
    action: PlannedAction,
    operator: Operator,
    organization: Organization,
    query: dict[str, bool],
    body: dict[str, str],
) -> Answer:
    named = {"typed_name": body.get("organization_name"), "typed_slug": body.get("slug")}
    if query["dry_run"]:
        plan = plan_action(organization, action, **named)
        return {"organization": None, "plan": plan.as_told()}, 200, {}
    done = apply_action(organization, action, operator.context, plan=body.get("plan"), **named)
    return {"organization": as_told(done), "plan": None}, 202 if done.operation else 200, {}


def _replay_acted(record: IdempotencyRecord) -> Answer:
    return {"organization": as_told(_current(record)), "plan": None}, 200, {}


def _replay_changed(record: IdempotencyRecord) -> Answer:
    return {"organization": as_told(_current(record))}, 200, {}


def _replay_note(record: IdempotencyRecord) -> Answer:
    return {"note": notes.find_note(record.organization, record.operation)}, 201, {}


def _current(record: IdempotencyRecord) -> Organization:
    return find_organization(str(record.organization))


install_replays(
    admin_organizations,
    {
        "rename_organization_as_operator": (OrganizationActionAnswer, _replay_acted),
        "trash_organization_as_operator": (OrganizationActionAnswer, _replay_acted),
        "restore_organization_as_operator": (OrganizationActionAnswer, _replay_acted),
        "purge_organization_as_operator": (OrganizationActionAnswer, _replay_acted),
        "set_plan_as_operator": (OperatorOrganizationAnswer, _replay_changed),
        "set_external_as_operator": (OperatorOrganizationAnswer, _replay_changed),
        "set_owner_as_operator": (OperatorOrganizationAnswer, _replay_changed),
        "add_note": (NoteAnswer, _replay_note),
        "remove_note": (schemas.Success, success),
    },
)
