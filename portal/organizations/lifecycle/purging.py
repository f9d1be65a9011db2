"""Purging organizations: what nothing brings back."""

from portal import clock
from portal.audit.trail import record
from portal.database.cascade import delete_belongings
from portal.database.connection import server_time
from portal.database.leases import is_past
from portal.database.transactions import transaction
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Operation, OperationKind, Organization, OrganizationState
from portal.organizations.lifecycle.engine import (
    Plan,
    run_now,
    update_if_held,
    write_intent,
    write_intent_where,
)
from portal.organizations.lifecycle.names import check_confirmed
from portal.organizations.lifecycle.steps import drop_collection
from portal.web.context import RequestContext


def purge_organization(
    organization: Organization, confirm_name: str | None, context: RequestContext
) -> Organization:
    """Drop the organization's collection and end it, in the trash or not. It goes forward only.

    A tombstone stays, and the audit chain. ``confirm_name`` is what a person typed to confirm; a
    program, which types nothing, has none.

    Raises NameNotConfirmed, OperationInProgress, OrganizationRenamed, NotInTrash,
    OrganizationPurged, NotFound; then nothing was changed.
    """
    check_confirmed(confirm_name, organization.name)
    operation = _purge(organization, context)
    return run_now(
        transaction(
            lambda: write_intent(
                organization,
                operation,
                context,
                states=(OrganizationState.ACTIVE, OrganizationState.TRASHED),
            )
        )
    )


def write_due_purge() -> Organization | None:
    """Write the intent to purge into one organization whose time in the trash is over by the
    server's clock, if there is one; it is the caller's to pursue."""
    due = is_past("purge_at")
    found = Organization.objects(
        __raw__={**due, "state": OrganizationState.TRASHED, "operation": None}
    ).first()
    if found is None:
        return None
    # Due still: it may have been restored, and trashed again, since it was read.
    return write_intent_where(
        {"_id": found.id, "state": OrganizationState.TRASHED, **due},
        _purge(found, RequestContext()),
    )


def _purge(organization: Organization, context: RequestContext) -> Operation:
    return Operation(
        kind=OperationKind.PURGE,
        started_at=clock.now(),
        origin=context.origin,
        collection=organization.placement.collection,
    )


def _finish_purge(organization: Organization) -> Organization:
    operation, now = organization.operation, server_time()

    def body() -> Organization:
        members = Membership.objects(organization=organization.id)
        purged = update_if_held(
            organization,
            set__state=OrganizationState.PURGED,
            set__purged_at=now,
            set__purged_by=operation.origin.account,
            set__owners=members.filter(role=Role.OWNER).distinct("account"),
            unset__purge_at=True,
            unset__warn_at=True,
            unset__operation=True,
        )
        delete_belongings(Organization, organization.id)
        record(purged, "organization.purged", operation.origin, name=purged.name, slug=purged.slug)
        return purged

    return transaction(body)


PLAN = Plan(
    kind=OperationKind.PURGE,
    title="Purging",
    doing="being purged",
    forward=(drop_collection, _finish_purge),
)
