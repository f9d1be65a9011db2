"""Purging organizations: what nothing brings back."""

from portal import clock
from portal.audit.trail import record
from portal.database.connection import server_time
from portal.database.transactions import transaction
from portal.documents.api_keys import ApiKey
from portal.documents.audit import Origin
from portal.documents.invitations import Invitation
from portal.documents.memberships import OWNER, Membership
from portal.documents.organizations import ACTIVE, PURGE, PURGED, TRASHED, Operation, Organization
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import (
    Plan,
    advance,
    declare,
    intend,
    pursue,
    write_intent,
)
from portal.organizations.lifecycle.names import check_confirmed
from portal.organizations.lifecycle.steps import drop_collection


def purge_organization(
    organization: Organization, confirm_name: str | None, origin: Origin
) -> Organization:
    """Drop the organization's collection and end it, in the trash or not. It goes forward only.

    A tombstone stays, and the audit chain. ``confirm_name`` is what a person typed to confirm; a
    program, which types nothing, has none.

    Raises NameNotConfirmed, OperationInProgress, AddressChanged, NotInTrash, OrganizationPurged,
    NotFound; then nothing was changed.
    """
    check_confirmed(confirm_name, organization.name)
    operation = _purge(organization, origin)
    return pursue(
        transaction(lambda: write_intent(organization, operation, states=(ACTIVE, TRASHED)))
    )


def intend_due_purge() -> Organization | None:
    """Write the intent to purge into one organization whose time in the trash is over by the
    server's clock, if there is one; it is the caller's to pursue."""
    due = {"purge_at": {"$exists": True}, "$expr": {"$lt": ["$purge_at", "$$NOW"]}}
    found = Organization.objects(__raw__={**due, "state": TRASHED, "operation": None}).first()
    if found is None:
        return None
    # Due still: it may have been restored, and trashed again, since it was read.
    return intend({"_id": found.id, "state": TRASHED, **due}, _purge(found, Origin()))


def _purge(organization: Organization, origin: Origin) -> Operation:
    return Operation(
        kind=PURGE,
        started_at=clock.now(),
        origin=origin,
        collection=organization.placement.collection,
    )


def _finish_purge(organization: Organization) -> Organization:
    operation, now = organization.operation, server_time()

    def body() -> Organization:
        members = Membership.objects(organization=organization.id)
        purged = advance(
            organization,
            set__state=PURGED,
            set__purged_at=now,
            set__purged_by=operation.origin.account,
            set__owners=members.filter(role=OWNER).distinct("account"),
            unset__purge_at=True,
            unset__warn_at=True,
            unset__operation=True,
        )
        members.delete()
        ApiKey.objects(organization=organization.id).delete()
        Invitation.objects(organization=organization.id).delete()
        slugs.free_all(organization.id)
        record(purged, "organization.purged", operation.origin, name=purged.name, slug=purged.slug)
        return purged

    return transaction(body)


PLAN = declare(
    Plan(
        kind=PURGE,
        title="Purging",
        doing="being purged",
        forward=(drop_collection, _finish_purge),
    )
)
