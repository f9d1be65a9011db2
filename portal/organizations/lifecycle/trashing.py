"""Deleting organizations: to the trash."""

from datetime import timedelta

import structlog

from portal import clock, settings
from portal.audit.trail import record
from portal.database.connection import server_time
from portal.database.leases import is_past
from portal.database.transactions import transaction
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
    log_context,
    run_now,
    update_if_held,
    write_intent,
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
    """Move the organization to the trash: its collection out of the way, its slugs free.

    Memberships stay and sleep until it is restored. ``confirm_name`` is what a person typed to
    confirm; a program, which types nothing, has none.

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
    return run_now(transaction(lambda: write_intent(organization, operation, context)))


def warn_of_due_purge() -> Organization | None:
    """Have the owners of one organization told that it will soon be purged, if there is one that
    is due by the server's clock; which one."""

    def body() -> Organization | None:
        due = is_past("warn_at")
        found = Organization.objects(
            __raw__={**due, "state": OrganizationState.TRASHED, "operation": None}
        )
        warned = found.modify(new=True, unset__warn_at=True)
        # Who deleted it for a shorter while than that was told the day then.
        if warned and warned.purge_at - warned.trashed_at > WARNED_BEFORE:
            email_owners(PURGE_NEAR, warned)
        return warned

    return transaction(body)


def _move_to_trash(organization: Organization) -> Organization:
    try:
        return rename_collection(organization)
    except RollBack as impossible:
        if str(impossible) != Failure.COLLECTION_MISSING:
            raise
        # What somebody dropped needs no moving.
        log.error("collection.missing", **log_context(organization))
        return organization


def _finish_trash(organization: Organization) -> Organization:
    operation, now = organization.operation, server_time()
    purge_at = now + timedelta(days=settings.current().trash_days)

    def body() -> Organization:
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
        record(
            trashed, "organization.trashed", operation.origin, name=trashed.name, slug=trashed.slug
        )
        return trashed

    return transaction(body)


def _undo_trash(organization: Organization) -> Organization:
    operation = organization.operation

    def body() -> Organization:
        kept = update_if_held(organization, unset__operation=True)
        record(kept, "organization.trash_failed", operation.origin, reason=operation.failure)
        return kept

    return transaction(body)


PLAN = Plan(
    kind=OperationKind.TRASH,
    title="Moving to the trash",
    doing="being deleted",
    forward=(_move_to_trash, _finish_trash),
    back=(rename_collection_back, _undo_trash),
)
