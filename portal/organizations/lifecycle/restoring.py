"""Restoring organizations from the trash: a rename that also changes the state."""

from portal.database.transactions import transactional
from portal.documents.organizations import OperationKind, Organization, OrganizationState
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import Plan, run_now
from portal.organizations.lifecycle.names import OrganizationName, parse_name
from portal.organizations.lifecycle.naming import commit_naming_intent, finish_naming, undo_naming
from portal.organizations.lifecycle.steps import rename_collection, rename_collection_back
from portal.web import rate_limits
from portal.web.context import RequestContext


def restore_organization(
    organization: Organization, typed_name: str | None, context: RequestContext
) -> Organization:
    """Restore a trashed organization with its documents and members, under another name if one is
    typed.

    Raises TooManyAttempts, InvalidName, SlugTaken, OperationInProgress, NotInTrash,
    OrganizationPurged, TenantCollectionMissing; then it is in the trash as before.
    """
    rate_limits.count_attempt(rate_limits.RENAMES, str(organization.id))
    name = OrganizationName(organization.name, organization.slug)
    if typed_name is not None:
        typed = parse_name(typed_name)
        name = name if typed.shown == name.shown else typed
    return run_now(
        commit_naming_intent(
            organization, OperationKind.RESTORE, name, context, state=OrganizationState.TRASHED
        )
    )


@transactional
def _finish_restore(organization: Organization) -> Organization:
    restored = finish_naming(
        organization,
        "organization.restored",
        set__state=OrganizationState.ACTIVE,
        unset__trashed_at=True,
        unset__trashed_by=True,
        unset__purge_at=True,
        unset__warn_at=True,
    )
    slugs.mark_current(organization.id, restored.slug)
    return restored


def _undo_restore(organization: Organization) -> Organization:
    return undo_naming(organization, "organization.restore_failed")


PLAN = Plan(
    kind=OperationKind.RESTORE,
    title="Restoring from the trash",
    doing="being restored",
    forward=(rename_collection, _finish_restore),
    back=(rename_collection_back, _undo_restore),
)
