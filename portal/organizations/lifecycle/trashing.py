"""Moving organizations to the trash, and purging them, which is irreversible."""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo import ReturnDocument

from portal import settings
from portal.audit.deletions import Deletion, refuse
from portal.audit.errors import UnderHold
from portal.audit.filters import PORTAL
from portal.audit.trail import ERASED, record
from portal.database.cascade import delete_belongings
from portal.database.clusters import database_of
from portal.database.connection import server_time
from portal.database.kept_beside import delete_all
from portal.database.leases import is_past
from portal.database.transactions import transactional, within_transaction
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.memberships import Membership, Role
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import (
    KNOWN_STRATEGY,
    OperationKind,
    Organization,
    OrganizationState,
    Restriction,
    Strategy,
)
from portal.mail.links import link
from portal.mail.outbox import MailKind
from portal.organizations.access.owners import email_of, email_owners
from portal.organizations.lifecycle import engine, pools, slugs, steps
from portal.organizations.lifecycle.names import check_confirmed
from portal.organizations.lifecycle.naming import name_in_trash
from portal.organizations.lifecycle.privileges import (
    drop_users,
    give_privileges_back,
    take_privileges,
)
from portal.tenants import collections
from portal.tenants.collections import CollectionMissing
from portal.web.context import RequestContext

log = structlog.get_logger()

WARNED_BEFORE = timedelta(days=3)
_WARNED_BEFORE_MS = int(WARNED_BEFORE.total_seconds() * 1000)
# Near its purge, and put into the trash by an earlier version, which sets no ``warn_at``.
_WARNED_BY_NOBODY = {
    "warn_at": {"$exists": False},
    "purge_at": {"$exists": True},
    "$expr": {
        "$and": [
            {"$lt": [{"$subtract": ["$purge_at", _WARNED_BEFORE_MS]}, "$$NOW"]},
            {"$ne": ["$warned_of", "$purge_at"]},
        ]
    },
}


TRASHED = "organization.trashed"
"""The action of the event that an organization was moved to the trash."""

_DUE = {**is_past("purge_at"), "state": OrganizationState.TRASHED, **KNOWN_STRATEGY}


def trash_organization(
    organization: Organization,
    confirm_name: str | None,
    context: RequestContext,
    *,
    check: engine.Check | None = None,
) -> Organization:
    """Move the organization to the trash: rename its collection, or the one that it shares, so that
    no writer finds it any more; free its slugs.

    Memberships are suspended until it is restored. ``confirm_name`` is what a person typed;
    programs send none.

    Raises NameNotConfirmed, OperationInProgress, OrganizationRenamed, NotFound,
    CollectionNameConflict, and what ``check`` raises.
    """
    check_confirmed(confirm_name, organization.name)
    operation = engine.new_operation(OperationKind.TRASH, name_in_trash(organization), context)
    return engine.run_now(engine.commit_intent(organization, operation, context, check=check))


def purge_organization(
    organization: Organization,
    confirm_name: str | None,
    context: RequestContext,
    *,
    check: engine.Check | None = None,
) -> Organization:
    """Drop the collection of an active or trashed organization, or delete its documents from the
    one that it shares, and leave a tombstone and the audit chain. It can't be rolled back.
    ``confirm_name`` is what a person typed; programs send none.

    Raises NameNotConfirmed, OperationInProgress, OrganizationRenamed, NotInTrash,
    OrganizationPurged, NotFound, UnderHold, and what ``check`` raises.
    """
    check_confirmed(confirm_name, organization.name)
    states = OrganizationState.ACTIVE, OrganizationState.TRASHED
    operation = engine.new_operation(
        OperationKind.PURGE, organization.placement.collection, context
    )

    def check_all(written: Organization) -> None:
        if written.held:
            raise UnderHold(written.name)
        if check:
            check(written)

    try:
        begun = engine.commit_intent(
            organization, operation, context, states=states, check=check_all
        )
    except UnderHold:
        refuse(organization.id, Deletion.PURGE, context.origin)
        raise
    return engine.run_now(begun)


def write_due_purge() -> Organization | None:
    """Write the intent to purge into one organization whose time in the trash is over by the
    server's clock, and that is under no hold, if there is one; the caller runs it."""
    due = {**_DUE, "held": None}
    found = Organization.objects(__raw__={**due, "operation": None}).first()
    if found is None:
        return None
    collection = found.placement.collection
    operation = engine.new_operation(OperationKind.PURGE, collection, RequestContext())
    # Still due: it may have been restored, and trashed again, since it was read.
    return engine.write_intent_where({"_id": found.id, **due}, operation)


def tell_held_purges() -> None:
    """Record of each organization whose time in the trash is over that a hold keeps it."""
    for organization in Organization.objects(__raw__={**_DUE, "held": True}).only("id"):
        refuse(organization.id, Deletion.DUE_PURGE)


@transactional
def warn_of_due_purge() -> Organization | None:
    """Mail the owners of one organization that it will soon be purged, if one is due by the
    server's clock; that organization."""
    due = {"$or": [is_past("warn_at"), _WARNED_BY_NOBODY]}
    settled = {
        "state": OrganizationState.TRASHED,
        "operation": None,
        "held": None,
        **KNOWN_STRATEGY,
    }
    found = Organization._get_collection().find_one_and_update(
        {**due, **settled},
        [{"$set": {"warned_of": "$purge_at"}}, {"$unset": "warn_at"}],
        return_document=ReturnDocument.AFTER,
    )
    warned = Organization._from_son(found) if found else None
    # With a shorter time in the trash, the mail about the deletion named the day.
    if warned and warned.purge_at - warned.trashed_at > WARNED_BEFORE:
        email_owners(PURGE_NEAR, warned)
    return warned


def _fence(organization: Organization) -> Organization:
    """Have writers find out that the organization is in the trash, or being purged."""
    if organization.state == OrganizationState.ACTIVE:
        try:
            pools.fence(organization.placement.pool)
        except CollectionMissing:  # somebody dropped it: there is nothing to write into
            log.error("pool.missing", **engine.log_context(organization))
    return organization


def _delete_documents(organization: Organization) -> Generator[None, None, Organization]:
    yield from pools.delete_documents(organization.placement.pool, organization.id)
    return organization


def _finish_trash(organization: Organization) -> Organization:
    return _write_trashed(organization, server_time())


@transactional
def _write_trashed(organization: Organization, now: datetime) -> Organization:
    operation = organization.operation
    purge_at = now + timedelta(days=settings.current().trash_days)
    trashed = engine.update_and_record(
        organization,
        TRASHED,
        {"name": organization.name, "slug": organization.slug},
        set__state=OrganizationState.TRASHED,
        set__trashed_at=now,
        set__trashed_by=operation.origin.account,
        set__purge_at=purge_at,
        set__warn_at=purge_at - WARNED_BEFORE,
        unset__operation=True,
        **engine.new_place(operation),
    )
    slugs.release_all(organization.id)
    email_owners(ORGANIZATION_TRASHED, trashed)
    return trashed


def deleter_of(organization: Organization) -> str:
    """In words, who moved an organization to the trash: an account by its address, or by the
    organization's trail an operator, a program or the portal."""
    if organization.trashed_by:
        return email_of(organization.trashed_by) or ERASED
    own = AuditEvent.objects(chain=organization.id, action=TRASHED)
    event = own.order_by("-seq").only("actor_name").first()
    return (event and event.actor_name) or PORTAL


@transactional
def _undo_trash(organization: Organization) -> Organization:
    failed = {"reason": organization.operation.failure}
    return engine.update_and_record(
        organization, "organization.trash_failed", failed, unset__operation=True
    )


def _delete_beside(organization: Organization) -> Generator[None, None, Organization]:
    """Delete edits with their before-images, files, and records of idempotency keys."""
    for _ in delete_all(organization.placement.cluster, organization.id):
        yield
    return organization


def _tell_leftovers(organization: Organization) -> Organization:
    """Tell what else is in the organization's database: it isn't the portal's to drop."""
    database = database_of(organization.placement)
    if names := [found.name for found in collections.list_collections(database)]:
        told = {"database": database.name, "collections": sorted(names)}
        log.warning("database.not_empty", **told, **engine.log_context(organization))
    return organization


def _finish_purge(organization: Organization) -> Organization:
    return _write_tombstone(organization, server_time())


@transactional
def _write_tombstone(organization: Organization, now: datetime) -> Organization:
    operation = organization.operation
    members = Membership.objects(organization=organization.id)
    purged = engine.update_if_held(
        organization,
        set__state=OrganizationState.PURGED,
        set__purged_at=now,
        set__purged_by=operation.origin.account,
        set__owners=members.filter(role=Role.OWNER).distinct("account"),
        unset__purge_at=True,
        unset__warn_at=True,
        unset__credentials=True,
        unset__external_id=True,
        unset__metadata=True,
        unset__operation=True,
    )
    delete_belongings(Organization, organization.id)
    _end_moves(organization, now)
    record(purged, "organization.purged", operation.origin, name=purged.name, slug=purged.slug)
    return purged


@within_transaction
def _end_moves(organization: Organization, now: datetime) -> None:
    """Have an open move end, and the copy that it made go, or the old one; its place is gone."""
    moves = Move.objects(organization=organization.id, open=True)
    moves.filter(state=MoveState.REQUESTED).update_one(
        set__state=MoveState.DONE,
        set__outcome=Outcome.ABORTED,
        set__ended_at=now,
        unset__open=True,
    )
    moves.filter(way_back_of=None, state__ne=MoveState.ENDING).update_one(
        set__outcome=Outcome.ABORTED
    )
    moves.filter(way_back_of__ne=None, state__ne=MoveState.ENDING).update_one(
        set__outcome=Outcome.ENDED
    )
    moves.update_one(set__state=MoveState.ENDING, set__due_at=now, unset__paused=True)


def _about_trashed(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while the organization is in the trash and not hidden, else ``None``."""
    organization = Organization.objects(
        id=mail.ids["organization"],
        state=OrganizationState.TRASHED,
        restricted__ne=Restriction.HIDDEN,
    ).first()
    if organization is None:
        return None
    return {
        "name": organization.name,
        "trashed_by": _deleter_as_subject(organization),
        "purge_at": organization.purge_at,
        "held": bool(organization.held),
        "link": link("organizations.trashed", organization_id=organization.id),
    }


def _deleter_as_subject(organization: Organization) -> str:
    """The beginning of a sentence that names the deleter."""
    deleter = deleter_of(organization)
    if organization.trashed_by:
        return "A closed account" if deleter == ERASED else deleter
    return f"The {deleter.removeprefix('the ')}"


_TRASH_WAY = engine.Way(
    forward=(take_privileges, steps.rename_collection_if_there, _finish_trash),
    back=(steps.rename_collection_back, give_privileges_back, _undo_trash),
)
TRASH = engine.Plan(
    kind=OperationKind.TRASH,
    title="Moving to the trash",
    doing="being deleted",
    ways={
        Strategy.COLLECTION: _TRASH_WAY,
        Strategy.DATABASE: _TRASH_WAY,
        Strategy.SHARED: engine.Way(forward=(_fence, _finish_trash)),
    },
)
PURGE = engine.Plan(
    kind=OperationKind.PURGE,
    title="Purging",
    doing="being purged",
    ways={
        Strategy.COLLECTION: engine.Way(
            forward=(drop_users, steps.drop_collection, _delete_beside, _finish_purge)
        ),
        Strategy.DATABASE: engine.Way(
            forward=(
                drop_users,
                steps.drop_collection,
                _tell_leftovers,
                _delete_beside,
                _finish_purge,
            )
        ),
        Strategy.SHARED: engine.Way(
            forward=(_fence, _delete_documents, _delete_beside, _finish_purge)
        ),
    },
)

ORGANIZATION_TRASHED = MailKind("organization_trashed", "{name} is in the trash", _about_trashed)
PURGE_NEAR = MailKind("purge_near", "{name} will be purged on {purge_at:%-d %B %Y}", _about_trashed)

KINDS = (ORGANIZATION_TRASHED, PURGE_NEAR)
