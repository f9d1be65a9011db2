"""Renaming organizations together with their tenant collections."""

from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.organizations import OperationKind, Organization, OrganizationState
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import Plan, refusal, run_now
from portal.organizations.lifecycle.errors import NameUnchanged
from portal.organizations.lifecycle.names import OrganizationName, parse_name
from portal.organizations.lifecycle.naming import commit_naming_intent, finish_naming, undo_naming
from portal.organizations.lifecycle.steps import rename_collection, rename_collection_back
from portal.web import rate_limits
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key


def rename_organization(
    organization: Organization, typed_name: str, context: RequestContext
) -> Organization:
    """Rename the organization and its collection.

    A name with the same slug changes the display name alone. An old slug of another organization is
    taken while it is held, but for that organization's owners.

    Raises TooManyAttempts, InvalidName, NameUnchanged, SlugTaken, OperationInProgress,
    OrganizationRenamed, NotFound, TenantCollectionMissing; then nothing was changed.
    """
    rate_limits.count_attempt(rate_limits.RENAMES, str(organization.id))
    name = parse_name(typed_name)
    if name.shown == organization.name:
        raise NameUnchanged(name.shown)
    if name.slug == organization.slug:
        return _change_display_name(organization, name, context)
    return run_now(
        commit_naming_intent(
            organization, OperationKind.RENAME, name, context, state=OrganizationState.ACTIVE
        )
    )


@transactional
def _change_display_name(
    organization: Organization, name: OrganizationName, context: RequestContext
) -> Organization:
    claim_key(context, organization.id, OperationKind.RENAME)
    renamed = Organization.objects(
        id=organization.id, state=OrganizationState.ACTIVE, slug=organization.slug, operation=None
    ).modify(new=True, set__name=name.shown)
    if renamed is None:
        raise refusal(organization)
    record(
        renamed,
        "organization.renamed",
        context.origin,
        name_before=organization.name,
        name=name.shown,
    )
    return renamed


@transactional
def _finish_rename(organization: Organization) -> Organization:
    renamed = finish_naming(organization, "organization.renamed")
    slugs.promote_target(organization.id, organization.slug, renamed.slug)
    return renamed


def _undo_rename(organization: Organization) -> Organization:
    return undo_naming(organization, "organization.rename_failed")


PLAN = Plan(
    kind=OperationKind.RENAME,
    title="Renaming to {name}",
    doing="being renamed",
    forward=(rename_collection, _finish_rename),
    back=(rename_collection_back, _undo_rename),
)
