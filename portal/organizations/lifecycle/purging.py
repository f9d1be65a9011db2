"""Purging organizations, which is irreversible."""

from datetime import datetime

from portal import clock
from portal.audit.trail import record
from portal.database.cascade import delete_belongings
from portal.database.connection import server_time
from portal.database.leases import is_past
from portal.database.transactions import transactional
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Operation, OperationKind, Organization, OrganizationState
from portal.organizations.lifecycle.engine import (
    Plan,
    commit_intent,
    run_now,
    update_if_held,
    write_intent_where,
)
from portal.organizations.lifecycle.names import check_confirmed
from portal.organizations.lifecycle.steps import drop_collection
from portal.web.context import RequestContext


def purge_organization(
    organization: Organization, confirm_name: str | None, context: RequestContext
) -> Organization:
    """Drop the collection of an active or trashed organization, and leave a tombstone and the audit
    chain. It can't be rolled back. ``confirm_name`` is what a person typed; programs send none.

    Raises NameNotConfirmed, OperationInProgress, OrganizationRenamed, NotInTrash,
    OrganizationPurged, NotFound; then nothing was changed.
    """
    check_confirmed(confirm_name, organization.name)
    states = OrganizationState.ACTIVE, OrganizationState.TRASHED
    operation = _new_operation(organization, context)
    return run_now(commit_intent(organization, operation, context, states=states))


def write_due_purge() -> Organization | None:
    """Write the intent to purge into one organization whose time in the trash is over by the
    server's clock, if there is one; the caller runs it."""
    due = is_past("purge_at")
    found = Organization.objects(
        __raw__={**due, "state": OrganizationState.TRASHED, "operation": None}
    ).first()
    if found is None:
        return None
    # Still due: it may have been restored, and trashed again, since it was read.
    return write_intent_where(
        {"_id": found.id, "state": OrganizationState.TRASHED, **due},
        _new_operation(found, RequestContext()),
    )


def _new_operation(organization: Organization, context: RequestContext) -> Operation:
    return Operation(
        kind=OperationKind.PURGE,
        started_at=clock.now(),
        origin=context.origin,
        collection=organization.placement.collection,
    )


def _finish_purge(organization: Organization) -> Organization:
    return _write_tombstone(organization, server_time())


@transactional
def _write_tombstone(organization: Organization, now: datetime) -> Organization:
    operation = organization.operation
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


PLAN = Plan(
    kind=OperationKind.PURGE,
    title="Purging",
    doing="being purged",
    forward=(drop_collection, _finish_purge),
)
