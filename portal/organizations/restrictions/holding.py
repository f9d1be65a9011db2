"""Legal holds: while one is open nothing of the organization is deleted for good by the portal.

What goes on are the deletions of others: members and applications delete documents and files of
their own, and the server those that expire by an index. Who wants to keep them from it makes the
organization read-only as well; documents that expire go on doing so.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from portal import clock
from portal.audit.deletions import deletions_end_at
from portal.audit.trail import record
from portal.database.connection import server_time
from portal.database.transactions import transactional
from portal.documents.mails import Mail
from portal.documents.organizations import (
    OperationKind,
    Organization,
    OrganizationState,
    Restriction,
)
from portal.documents.restrictions import Hold
from portal.errors import PortalError
from portal.mail.outbox import MailKind
from portal.organizations.access.owners import email_owners
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.restricting import Reason, begin_suspension
from portal.organizations.lifecycle.trashing import WARNED_BEFORE
from portal.organizations.restrictions.copies import delete_copy, keep_copy
from portal.organizations.restrictions.errors import HeldOnly, HoldNotFound, HoldTooLate
from portal.organizations.restrictions.reasons import parse_hold_reason
from portal.tenants.fence import polls
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

HOLD, RELEASE = "set_hold", "release_hold"

KEPT_AFTER = timedelta(days=7)
"""The shortest time from a release to the purge of an organization in the trash."""

WAITED_SECONDS = 2
"""The longest wait for deletions that had begun before the hold."""

_ALIVE = OrganizationState.ACTIVE, OrganizationState.TRASHED


@dataclass(frozen=True, slots=True)
class SetHold:
    """A hold that was set. Deletions that had begun before may take until ``from_at``; ``None``
    where none is left, so that it is in force."""

    hold: Hold
    from_at: datetime | None


def set_hold(
    organization: Organization,
    reason: str,
    until: datetime | None,
    context: RequestContext,
    read_only: Reason | None = None,
) -> SetHold:
    """Forbid to delete anything of an active or trashed organization for good, for a reason that
    operators alone read. On ``until`` somebody shall look whether that is still needed. With a
    reason to be ``read_only`` it is suspended in the same transaction.

    Waits for deletions that have begun before. Raises InvalidHoldReason; HoldTooLate;
    OperationInProgress while it is being created, or to be suspended and any operation runs, and
    what else ``suspend_organization`` raises at its beginning; HeldOnly where the suspension was
    rolled back later.
    """
    hold, begun = _write_hold(organization, parse_hold_reason(reason), until, context, read_only)
    if begun:
        try:
            engine.run_now(begun)
        except PortalError as error:
            raise HeldOnly(organization.name, error.title) from error
    deadline = time.monotonic() + WAITED_SECONDS
    for pause_seconds in polls():
        from_at = deletions_end_at(organization.id)
        if from_at is None or time.monotonic() > deadline:
            return SetHold(hold, from_at)
        time.sleep(pause_seconds)
    raise AssertionError("there are always more pauses")


def release_hold(organization: Organization, hold_id: ObjectId, context: RequestContext) -> Hold:
    """Release one hold by its id; others stay. With the last one an organization in the trash is
    kept for KEPT_AFTER at least, and its owners are told. A no-op where it is released already.

    Raises HoldNotFound where it isn't this organization's.
    """
    return _write_release(organization, hold_id, context, server_time())


@transactional
def _write_release(
    organization: Organization, hold_id: ObjectId, context: RequestContext, now: datetime
) -> Hold:
    claim_key(context, organization.id, RELEASE, hold_id)
    hold = Hold.objects(id=hold_id, organization=organization.id).first()
    if hold is None:
        raise HoldNotFound
    if not hold.open:
        return hold
    hold.modify(
        unset__open=True,
        set__released_at=clock.now(),
        set__released_by=context.actor.id or context.account,
    )
    delete_copy(hold)
    current = Organization.objects.get(id=organization.id)
    if not Hold.objects(organization=organization.id, open=True).first():
        current = _let_go(current, now + KEPT_AFTER)
        email_owners(HOLD_RELEASED, current, hold=hold.id)
    record(
        current,
        "organization.hold_released",
        context.origin,
        hold=str(hold.id),
        purge_at=f"{current.purge_at:%Y-%m-%d}" if current.purge_at else None,
    )
    return hold


@transactional
def _write_hold(
    organization: Organization,
    reason: str,
    until: datetime | None,
    context: RequestContext,
    read_only: Reason | None,
) -> tuple[Hold, Organization | None]:
    """The hold; and the organization as its suspension begins, if there is one."""
    key = context.idempotency_key
    # Of a request whose suspension was rolled back, which is sent again.
    first = (
        key and Hold.objects(organization=organization.id, open=True, request_key=key.id).first()
    )
    hold = (
        first
        or Hold(
            organization=organization.id,
            reason=reason,
            until=until,
            open=True,
            at=clock.now(),
            by=context.actor.id or context.account,
            request_key=key and key.id,
        ).insert()
    )
    claim_key(context, organization.id, HOLD, hold.id)
    kept = Organization.objects(
        id=organization.id,
        state__in=_ALIVE,
        operation__kind__nin=(OperationKind.PURGE, OperationKind.CREATE),
    ).modify(new=True, set__held=True)
    if kept is None:
        current = Organization.objects(id=organization.id).first()
        if current and current.operation and current.operation.kind == OperationKind.CREATE:
            raise engine.in_progress(current)
        raise HoldTooLate(organization.name)
    if first is None:
        keep_copy(hold)
        record(
            kept,
            "organization.hold_set",
            context.origin,
            hold=str(hold.id),
            until=f"{until:%Y-%m-%d}" if until else None,
        )
    if read_only is None:
        return hold, None
    _, begun = begin_suspension(organization, Restriction.READ_ONLY, read_only, context)
    return hold, begun


def _let_go(organization: Organization, earliest: datetime) -> Organization:
    """Have it be under no hold, and purged at the earliest then."""
    change: dict[str, Any] = {"unset__held": True}
    if organization.purge_at and organization.purge_at < earliest:
        change |= {
            "set__purge_at": earliest,
            "set__warn_at": earliest - WARNED_BEFORE,
            "unset__warned_of": True,
        }
    return Organization.objects(id=organization.id).modify(new=True, **change)


def _about_released(mail: Mail) -> dict[str, Any] | None:
    """The mail's values unless the organization is gone."""
    organization = Organization.objects(id=mail.ids["organization"], state__in=_ALIVE).first()
    if organization is None:
        return None
    return {"name": organization.name, "purge_at": organization.purge_at}


HOLD_RELEASED = MailKind("hold_released", "The legal hold on {name} was released", _about_released)

KINDS = (HOLD_RELEASED,)
