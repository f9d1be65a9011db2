"""Organizations for programs."""

from typing import Any

from flask_login import current_user

from portal import settings
from portal.api import organization_schemas, replay
from portal.api.guard import (
    OF_ACCESS,
    ApiBlueprint,
    access_by_name,
    canonical,
    is_provisioning,
    logged_in,
)
from portal.api.replay import OF_CHANGES, Answer, takes_key
from portal.audit.errors import UnderHold
from portal.database.errors import ClusterClosed, ClusterUnavailable
from portal.display_names import InvalidName
from portal.documents.organizations import OperationKind, Organization, OrganizationState
from portal.email_addresses import InvalidEmail
from portal.errors import NotFound, PortalError
from portal.identity.accounts.errors import EmailTaken, SignUpClosed
from portal.identity.api_keys.errors import ProvisioningRequired
from portal.identity.authentication.errors import WeakPassword
from portal.identity.sessions.errors import AccountRequired
from portal.organizations import adopting, directory, external, planning, signing_up
from portal.organizations.access.errors import (
    NotInTrash,
    OrganizationLocked,
    OrganizationPurged,
    OrganizationReadOnly,
    OrganizationRenamed,
    SecondFactorRequired,
)
from portal.organizations.access.lookup import Access, access_to_trashed
from portal.organizations.lifecycle import creating, renaming, trashing
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    CredentialsNotCarried,
    ExternalIdTaken,
    InvalidExternalId,
    InvalidMetadata,
    InvalidSlug,
    NameUnchanged,
    NotReplaced,
    OperationInProgress,
    OperationUndone,
    RestrictionChanged,
    SlugTaken,
    TenantCollectionMissing,
)
from portal.organizations.storage import Stored, stored_by
from portal.placement.errors import (
    ClustersUnavailable,
    CopyOutsideRegion,
    InvalidPlan,
    InvalidRegion,
    OutsideRegion,
    RegionUnavailable,
    UnknownRegion,
)
from portal.web.errors import InvalidInput, MalformedJson, Overloaded, TooManyAttempts
from portal.web.requests import request_context

org = ApiBlueprint("org", __name__, url_prefix="/org", description="Organizations")

# Parameters given to doc() are all that an operation has.
_takes_key_and_purge = org.doc(
    parameters=[replay.PARAMETER, {"in": "query", "schema": organization_schemas.DeleteQuery}]
)
_OF_NAMING = (InvalidName, InvalidSlug, SlugTaken, TooManyAttempts)
_OF_OPERATIONS = (
    *replay.REFUSALS,
    OperationInProgress,
    OrganizationPurged,
    RestrictionChanged,
)
_OF_RENAMING = (
    *_OF_NAMING,
    *OF_ACCESS,
    *_OF_OPERATIONS,
    NameUnchanged,
    OrganizationRenamed,
    TenantCollectionMissing,
    CredentialsNotCarried,
    OperationUndone,
)
_OF_DELETING = (
    *OF_ACCESS,
    *_OF_OPERATIONS,
    OrganizationRenamed,
    UnderHold,
    NotInTrash,  # sent again once it was restored
    TenantCollectionMissing,
    CollectionNameConflict,
    CredentialsNotCarried,
    OperationUndone,
)
_OF_TRASHED = (
    NotFound,
    AccountRequired,
    SecondFactorRequired,
    OrganizationLocked,
    OrganizationReadOnly,
    NotInTrash,
    *_OF_OPERATIONS,
)
_MAX_TRASHED = 10_000
_MISSING = "Missing data for required field."
_NOT_WITH_TOKEN = "Leave it out: the organization will belong to the account of the token."  # noqa: S105
_BY_PROVISIONING = (
    "Leave it out: whoever runs the portal sets it, by a provisioning key or command."
)


@org.post(
    "/create",
    refusals=(
        *_OF_NAMING,
        *OF_CHANGES,
        AccountRequired,
        InvalidEmail,
        WeakPassword,
        EmailTaken,
        SignUpClosed,
        Overloaded,
        InvalidPlan,
        InvalidRegion,
        InvalidExternalId,
        InvalidMetadata,
        ExternalIdTaken,
        UnknownRegion,
        RegionUnavailable,
        ClustersUnavailable,
        ClusterUnavailable,
        ClusterClosed,
    ),
)
@takes_key
@org.arguments(organization_schemas.CreateBody)
@org.response(201, organization_schemas.CreatedAnswer)
@org.alt_response(
    202,
    schema=organization_schemas.SignUpRequestAnswer,
    description="A mail was sent: the organization is created when the link in it is followed",
)
@org.doc(security=[{}, {"bearer": []}])
def create_organization(body: dict[str, Any]) -> Answer:
    """Create an organization

    For a new account, or with a bearer token for the account that it stands for; an
    organization's key is refused. A provisioning key creates new accounts, within a limit of its
    own. The answer comes once the organization is certain; its collection may follow a moment
    later.

    Where the portal has `SIGNUP_REQUIRES_VERIFICATION` on, a new account's address has to be
    proved: the answer is 202, whether or not it has an account, and `organization` is null. Not so
    by a provisioning key, which alone may say `plan`, `region`, `external_id` and `metadata`.

    Where `SIGNUP` is `invited`, new accounts come by a provisioning key only, where it is `off` by
    none: the answer is 403 `sign_up_closed`. An account that exists goes on creating organizations.
    """
    name, slug, credentials = body["organization_name"], body.get("slug"), ("email", "password")
    by_provisioning = ("plan", "region", "external_id", "metadata")
    planned = {field: body[field] for field in by_provisioning if field in body}
    if not is_provisioning():
        _refuse(dict.fromkeys(planned, _BY_PROVISIONING))
    shared = {"viewers_read_documents": body["viewers_read_documents"]}
    if current_user.is_authenticated and not is_provisioning():
        account_id = current_user.account_id
        _refuse({field: _NOT_WITH_TOKEN for field in credentials if field in body})
        organization = creating.create_organization(
            account_id, name, request_context(), slug, **shared
        )
    else:
        _refuse({field: _MISSING for field in credentials if field not in body})
        if settings.current().signup_requires_verification and not is_provisioning():
            signing_up.request_sign_up(
                name, body["email"], body["password"], request_context(), slug, **shared
            )
            return {"organization": None}, 202, {}
        signed_up = signing_up.sign_up(
            name,
            body["email"],
            body["password"],
            request_context(),
            typed_slug=slug,
            **shared,
            **planned,
        )
        organization = signed_up.organization
    return {"organization": _created(organization)}, 201, {}


@org.get("/trash", refusals=(AccountRequired,))
@logged_in
@org.response(200, organization_schemas.TrashAnswer)
def list_trash() -> dict[str, Any]:
    """List what is in the trash

    Organizations whose owner you are, those deleted last first; 10,000 at most. Not for keys: an
    organization's keys sleep while it is in the trash.
    """
    return {"trash": directory.trash_of(current_user.account_id, size=_MAX_TRASHED).rows}


@org.get("/<name:name>", refusals=(*OF_ACCESS, OperationInProgress))
@logged_in
@org.response(200, organization_schemas.OrganizationAnswer)
def get_organization(name: str) -> Answer:
    """See an organization

    By its slug, or by its name without regard to case. An old one leads there too, and the answer
    links to the current one.
    """
    access = access_by_name(name, "organization.view")
    return _details(access, access.organization, stored_by(access.organization))


@org.post("/<name:name>/adopt", refusals=(*OF_CHANGES, NotReplaced, OrganizationRenamed))
@takes_key
@logged_in
@org.arguments(organization_schemas.AdoptBody)
@org.response(200, organization_schemas.OrganizationAnswer)
def adopt_replacement(body: dict[str, str], name: str) -> Answer:
    """Take over the collection that stands in place of its own

    Where `collection_state` is `replaced`: the one with the `uuid` of `replacement`, and no other.
    By its current name or slug; an old one is refused.
    """
    access = access_by_name(name, "organization.adopt")
    if access.by_old_slug:
        raise OrganizationRenamed(access.organization.name, access.organization.slug)
    adopted = adopting.adopt_replacement(access, body["uuid"], None, request_context())
    return _changed(access, adopted)


@org.patch(
    "/<name:name>/plan",
    refusals=(
        *replay.REFUSALS,
        NotFound,
        ProvisioningRequired,
        InvalidPlan,
        InvalidRegion,
        OutsideRegion,
        CopyOutsideRegion,
    ),
)
@takes_key
@logged_in
@org.arguments(organization_schemas.PlanBody)
@org.response(200, organization_schemas.PlanAnswer)
def set_plan(body: dict[str, str | None], name: str) -> Answer:
    """Set an organization's plan or region

    By its current slug, or by `by-id/` and its id, also in the trash. With a provisioning key:
    members read both, and ask whoever runs the portal. The placement policy goes by the plan. A
    region binds the organization's documents to clusters there, and is refused while they are
    elsewhere.
    """
    if not is_provisioning():
        raise ProvisioningRequired
    organization = planning.find_organization(name.removeprefix("by-id/"))
    return _planned(planning.set_plan(organization.id, request_context(), **body))


@org.patch(
    "/<name:name>/external",
    refusals=(
        *replay.REFUSALS,
        NotFound,
        ProvisioningRequired,
        InvalidExternalId,
        InvalidMetadata,
        ExternalIdTaken,
    ),
)
@takes_key
@logged_in
@org.arguments(organization_schemas.ExternalBody)
@org.response(200, organization_schemas.ExternalAnswer)
def set_external(body: dict[str, Any], name: str) -> Answer:
    """Set what other systems know an organization by

    By its current slug, or by `by-id/` and its id, also in the trash. With a provisioning key:
    members don't see it.
    """
    if not is_provisioning():
        raise ProvisioningRequired
    organization = planning.find_organization(name.removeprefix("by-id/"))
    return _external(external.set_external(organization.id, request_context(), **body))


@org.put("/update/<name:name>", refusals=_OF_RENAMING)
@takes_key
@logged_in
@org.arguments(organization_schemas.NewNameBody)
@org.response(200, organization_schemas.OrganizationAnswer)
@org.alt_response(
    202, schema=organization_schemas.OrganizationAnswer, description="Not finished yet"
)
def rename_organization(body: dict[str, str], name: str) -> Answer:
    """Rename an organization

    Its collection is renamed with it.
    """
    return _rename(name, body)


@org.put("/update", refusals=_OF_RENAMING)
@takes_key
@logged_in
@org.arguments(organization_schemas.RenameBody)
@org.response(200, organization_schemas.OrganizationAnswer)
@org.alt_response(
    202, schema=organization_schemas.OrganizationAnswer, description="Not finished yet"
)
def rename_organization_by_body(body: dict[str, str]) -> Answer:
    """Rename the organization that the body names

    By its name or slug, also by an old one. Its collection is renamed with it.
    """
    return _rename(body["old_organization_name"], body)


@org.delete("/delete/<name:name>", refusals=_OF_DELETING)
@_takes_key_and_purge
@logged_in
@org.arguments(organization_schemas.DeleteQuery, location="query")
@org.response(200, organization_schemas.DeletedAnswer)
@org.alt_response(202, schema=organization_schemas.DeletedAnswer, description="Not finished yet")
def delete_organization(query: dict[str, bool], name: str) -> Answer:
    """Move an organization to the trash, or purge it at once

    By its current name or slug; an old one is refused. Nothing brings back what was purged.
    """
    return _delete(name, query["purge"])


@org.delete("/delete", refusals=(MalformedJson, *_OF_DELETING))
@_takes_key_and_purge
@logged_in
@org.arguments(organization_schemas.DeleteQuery, location="query")
@org.arguments(organization_schemas.NameBody)
@org.response(200, organization_schemas.DeletedAnswer)
@org.alt_response(202, schema=organization_schemas.DeletedAnswer, description="Not finished yet")
def delete_organization_by_body(query: dict[str, bool], body: dict[str, str]) -> Answer:
    """Move the organization that the body names to the trash, or purge it at once

    By its current name or slug; an old one is refused. Nothing brings back what was purged. Where
    a client sends no body with DELETE, name the organization in the URL.
    """
    return _delete(body["organization_name"], query["purge"])


@org.post(
    "/trash/<organization_id>/restore",
    refusals=(*_OF_NAMING, *_OF_TRASHED, TenantCollectionMissing, OperationUndone),
)
@takes_key
@logged_in
@org.arguments(organization_schemas.RestoreBody, required=False)
@org.response(200, organization_schemas.OrganizationAnswer)
@org.alt_response(
    202, schema=organization_schemas.OrganizationAnswer, description="Not finished yet"
)
def restore_organization(body: dict[str, str], organization_id: str) -> Answer:
    """Bring an organization back from the trash

    Under another name if the body has one: its own may be taken by now. Not for keys.
    """
    access = access_to_trashed(organization_id, current_user.account_id)
    access.require("organization.restore")
    restored = renaming.restore_organization(
        access.organization, body.get("organization_name"), request_context(), body.get("slug")
    )
    return _changed(access, restored)[0], 202 if restored.operation else 200, {}


@org.delete("/trash/<organization_id>", refusals=(*_OF_TRASHED, UnderHold))
@takes_key
@logged_in
@org.response(200, organization_schemas.DeletedAnswer)
@org.alt_response(202, schema=organization_schemas.DeletedAnswer, description="Not finished yet")
def purge_organization(organization_id: str) -> Answer:
    """Purge an organization that is in the trash

    Its documents are gone then, and nothing brings them back. Not for keys.
    """
    access = access_to_trashed(organization_id, current_user.account_id)
    access.require("organization.purge")
    return _purge(access)


def _refuse(faults: dict[str, str]) -> None:
    if faults:
        raise InvalidInput(faults)


def _rename(name: str, body: dict[str, str]) -> Answer:
    access = access_by_name(name, "organization.rename")
    new_name, new_slug = body["new_organization_name"], body.get("slug")
    renamed = renaming.rename_organization(
        access.organization, new_name, request_context(), new_slug
    )
    answer, _, headers = _changed(access, renamed)
    return answer, 202 if renamed.operation else 200, headers


def _delete(name: str, purge: bool) -> Answer:
    access = access_by_name(name, "organization.delete")
    if access.by_old_slug:
        raise OrganizationRenamed(access.organization.name, access.organization.slug)
    if purge:
        access.require("organization.purge")
        return _purge(access)
    trashed = trashing.trash_organization(access.organization, None, request_context())
    status = 200 if trashed.state == OrganizationState.TRASHED else 202
    return {"trash": trashed}, status, {}


def _purge(access: Access) -> Answer:
    purged = trashing.purge_organization(access.organization, None, request_context())
    if purged.state == OrganizationState.PURGED:
        return {"trash": None}, 200, {}
    return {"trash": purged}, 202, {}


def _changed(access: Access, organization: Organization) -> Answer:
    """The organization after its change; without figures where it was purged since, which undoes
    nothing of what is answered."""
    try:
        stored = stored_by(organization)
    except PortalError:
        stored = Stored()
    return _details(access, organization, stored)


def _details(access: Access, organization: Organization, stored: Stored) -> Answer:
    """The organization as it is now, with its canonical URL for a request by an old slug."""
    figures = stored.figures
    details = _created(organization) | {
        "role": access.role,
        "plan": organization.plan,
        "region": organization.region,
        "documents": figures.documents if figures else None,
        "bytes": figures.size_bytes if figures else None,
        "partial_figures": bool(figures and figures.partial),
        "collection_state": stored.state,
        "replacement": stored.replacement,
        "operation": organization.operation,
    }
    return {"organization": details}, 200, canonical(access, organization)


def _created(organization: Organization) -> dict[str, Any]:
    operation = organization.operation
    being_created = operation is not None and operation.kind == OperationKind.CREATE
    return {
        "id": organization.id,
        "name": organization.name,
        "slug": organization.slug,
        # While it is being created, the final name.
        "collection_name": operation.collection
        if being_created
        else organization.placement.collection,
        "created_at": organization.created_at,
    }


def _external(organization: Organization) -> Answer:
    told = {name: organization[name] for name in ("id", "slug", "external_id")}
    return {"organization": {**told, "metadata": dict(organization.metadata or {})}}, 200, {}


def _planned(organization: Organization) -> Answer:
    return {"organization": organization}, 200, {}


def _replay_create(organization: Organization) -> Answer:
    if current_user.is_authenticated and not is_provisioning():
        access_by_name(organization.slug, "organization.view")
    return {"organization": _created(organization)}, 201, {}


def _replay_change(organization: Organization) -> Answer:
    return _changed(access_by_name(organization.slug, "organization.view"), organization)


def _replay_trash(organization: Organization) -> Answer:
    access = access_to_trashed(str(organization.id), current_user.account_id)
    return {"trash": access.organization}, 200, {}


def _replay_purge(organization: Organization) -> Answer:
    return {"trash": None}, 200, {}


replay.install(
    org,
    {
        OperationKind.CREATE: (organization_schemas.CreatedAnswer, _replay_create),
        planning.PLAN_SET: (organization_schemas.PlanAnswer, _planned),
        external.EXTERNAL_SET: (organization_schemas.ExternalAnswer, _external),
        adopting.ADOPTED: (organization_schemas.OrganizationAnswer, _replay_change),
        OperationKind.RENAME: (organization_schemas.OrganizationAnswer, _replay_change),
        OperationKind.TRASH: (organization_schemas.DeletedAnswer, _replay_trash),
        OperationKind.RESTORE: (organization_schemas.OrganizationAnswer, _replay_change),
        OperationKind.PURGE: (organization_schemas.DeletedAnswer, _replay_purge),
    },
)
