"""Moving organizations to the trash."""

from datetime import datetime, timedelta

import structlog

from portal import clock, settings
from portal.audit.trail import record
from portal.database.connection import server_time
from portal.database.leases import is_past
from portal.database.transactions import transactional
from portal.documents.organizations import (
    Failure,
    Operation,
    OperationKind,
    Organization,
    OrganizationState,
)
from portal.organizations.access.owners import email_owners
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import (
    Plan,
    RollBack,
    commit_intent,
    log_context,
    run_now,
    update_if_held,
)
from portal.organizations.lifecycle.mails import ORGANIZATION_TRASHED, PURGE_NEAR
from portal.organizations.lifecycle.names import check_confirmed
from portal.organizations.lifecycle.steps import rename_collection, rename_collection_back
from portal.web.context import RequestContext

log = structlog.get_logger()

WARNED_BEFORE = timedelta(days=3)


def trash_organization(
    organization: Organization, confirm_name: str | None, context: RequestContext
) -> Organization:
    """Move the organization to the trash: rename its collection, free its slugs.

    Memberships are suspended until it is restored. ``confirm_name`` is what a person typed;
    programs send none.

    Raises NameNotConfirmed, OperationInProgress, OrganizationRenamed, NotFound,
    CollectionNameConflict; then nothing was changed.
    """
    check_confirmed(confirm_name, organization.name)
    operation = Operation(
        kind=OperationKind.TRASH,
        started_at=clock.now(),
        origin=context.origin,
        collection=f"trash_{organization.id}",
    )
    return run_now(commit_intent(organization, operation, context))


@transactional
def warn_of_due_purge() -> Organization | None:
    """Mail the owners of one organization that it will soon be purged, if one is due by the
    server's clock; that organization."""
    due = is_past("warn_at")
    found = Organization.objects(
        __raw__={**due, "state": OrganizationState.TRASHED, "operation": None}
    )
    warned = found.modify(new=True, unset__warn_at=True)
    # With a shorter time in the trash, the mail about the deletion named the day.
    if warned and warned.purge_at - warned.trashed_at > WARNED_BEFORE:
        email_owners(PURGE_NEAR, warned)
    return warned


def _move_to_trash(organization: Organization) -> Organization:
    try:
        return rename_collection(organization)
    except RollBack as rollback:
        if rollback.failure != Failure.COLLECTION_MISSING:
            raise
        # A dropped collection needs no new name.
        log.error("collection.missing", **log_context(organization))
        return organization


def _finish_trash(organization: Organization) -> Organization:
    return _write_trashed(organization, server_time())


@transactional
def _write_trashed(organization: Organization, now: datetime) -> Organization:
    operation = organization.operation
    purge_at = now + timedelta(days=settings.current().trash_days)
    trashed = update_if_held(
        organization,
        set__state=OrganizationState.TRASHED,
        set__placement__collection=operation.collection,
        set__trashed_at=now,
        set__trashed_by=operation.origin.account,
        set__purge_at=purge_at,
        set__warn_at=purge_at - WARNED_BEFORE,
        unset__operation=True,
    )
    slugs.release_all(organization.id)
    email_owners(ORGANIZATION_TRASHED, trashed)
    record(trashed, "organization.trashed", operation.origin, name=trashed.name, slug=trashed.slug)
    return trashed


@transactional
def _undo_trash(organization: Organization) -> Organization:
    operation = organization.operation
    kept = update_if_held(organization, unset__operation=True)
    record(kept, "organization.trash_failed", operation.origin, reason=operation.failure)
    return kept


PLAN = Plan(
    kind=OperationKind.TRASH,
    title="Moving to the trash",
    doing="being deleted",
    forward=(_move_to_trash, _finish_trash),
    back=(rename_collection_back, _undo_trash),
)
