"""Suspending organizations, and lifting their suspensions.

A suspension is a record of its own, and the organization is restricted to the strictest of those
that are open: so lifting one leaves the others as they are. What takes rights away is a fence:
``restricted`` is written with the intent, from when on whoever reads it obeys, and then the
collection gets another name, or its pool another generation, so that every store which knew the
organization as it was is refused and reads it anew. When the operation is done nobody can do any
more what the suspension forbids. What gives rights back is written with the result.

A collection of its own has a name for each of the two rights: one under which it is only read, and
one under which nobody reaches it. In the trash nobody does anyway, so there only the record
changes; a restored organization is as restricted as before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.audit import Origin
from portal.documents.mails import Mail
from portal.documents.organizations import (
    Failure,
    OperationKind,
    Organization,
    OrganizationState,
    Restriction,
    Strategy,
    next_version,
)
from portal.documents.restrictions import Cause, Suspension
from portal.mail.links import link
from portal.mail.outbox import MailKind
from portal.organizations.access.owners import email_owners
from portal.organizations.lifecycle import engine, pools, steps
from portal.organizations.lifecycle.errors import SuspensionNotFound
from portal.organizations.lifecycle.naming import name_restricted
from portal.organizations.lifecycle.privileges import (
    give_privileges,
    give_privileges_back,
    take_privileges,
    take_privileges_again,
)
from portal.tenants.collections import CollectionMissing
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

log = structlog.get_logger()

_RANKS: dict[str, int] = {kind: rank for rank, kind in enumerate(Restriction, start=1)}
_STATES = OrganizationState.ACTIVE, OrganizationState.TRASHED


WORDS: Mapping[str | None, str] = {
    Restriction.READ_ONLY: "its documents can be read and exported, not changed.",
    Restriction.LOCKED: "nobody reaches its documents and pages.",
}
"""Each kind of which members are told, in words."""


@dataclass(frozen=True, slots=True)
class Reason:
    """The reason of a suspension: its cause; the ``contact`` whom members write to, and a
    ``message`` to them; a ``note`` for operators alone."""

    cause: Cause
    contact: str
    message: str | None = None
    note: str | None = None


def suspend_organization(
    organization: Organization, kind: Restriction, reason: Reason, context: RequestContext
) -> Suspension:
    """Suspend an active or trashed organization, and restrict it to ``kind`` unless it is to
    something stricter already. Owners are told by mail, unless it is hidden.

    Afterwards nobody can do any more what it forbids; but where MongoDB did not respond in time,
    the runner finishes it. Raises OperationInProgress, OrganizationRenamed, RestrictionChanged,
    NotFound, OrganizationPurged; CollectionNameConflict, CredentialsNotCarried where it was rolled
    back: then it isn't suspended.
    """
    suspension, begun = transactional(begin_suspension)(organization, kind, reason, context)
    engine.run_now(begun)
    return suspension


def lift_suspension(
    organization: Organization, suspension_id: ObjectId, context: RequestContext
) -> Suspension:
    """Lift one suspension by its id; others stay, and the organization is restricted to the
    strictest of them. Owners are told by mail. A no-op where it is lifted already.

    Raises SuspensionNotFound where it isn't this organization's; otherwise like
    ``suspend_organization``: where it was rolled back, the suspension stays.
    """
    suspension = Suspension.objects(id=suspension_id, organization=organization.id).first()
    if suspension is None:
        raise SuspensionNotFound
    if not suspension.open:
        transactional(claim_key)(context, organization.id, OperationKind.RESTRICT, suspension.id)
        return suspension
    engine.run_now(_begin_lifting(organization, suspension, context))
    return Suspension.objects.get(id=suspension_id)


def strictest(kinds: Iterable[str]) -> Restriction | None:
    """The strictest of these kinds of restriction; ``None`` of none."""
    return max(map(Restriction, kinds), key=_RANKS.__getitem__, default=None)


@within_transaction
def begin_suspension(
    organization: Organization, kind: Restriction, reason: Reason, context: RequestContext
) -> tuple[Suspension, Organization]:
    """The suspension, and the organization with the operation that brings it into force, for the
    caller to run. Raises what ``suspend_organization`` raises before anything was written."""
    suspension = Suspension(
        organization=organization.id,
        kind=kind,
        cause=reason.cause,
        note=reason.note,
        message=reason.message,
        contact=reason.contact,
        open=True,
        at=clock.now(),
        by=context.actor.id or context.account,
    ).insert()
    wanted = strictest(_open_kinds(organization.id))
    begun = _write(organization, suspension, wanted, context)
    # Nobody else begins or lifts one while this operation runs.
    begun.restricted = wanted
    Organization.objects(id=begun.id).update_one(set__restricted=wanted)
    if wanted != Restriction.HIDDEN:
        email_owners(SUSPENDED, begun, suspension=suspension.id)
    record(
        begun,
        "organization.suspended",
        context.origin,
        suspension=str(suspension.id),
        kind=kind,
        cause=reason.cause,
        contact=reason.contact,
        restricted_before=organization.restricted,
        restricted=wanted,
    )
    return suspension, begun


@transactional
def _begin_lifting(
    organization: Organization, suspension: Suspension, context: RequestContext
) -> Organization:
    wanted = strictest(_open_kinds(organization.id, other_than=suspension.id))
    begun = _write(organization, suspension, wanted, context)
    return begun if begun.operation else _write_lifted(begun, suspension.id, wanted, context.origin)


@within_transaction
def _write(
    organization: Organization,
    suspension: Suspension,
    wanted: Restriction | None,
    context: RequestContext,
) -> Organization:
    """Write the intent to restrict the organization to what is ``wanted``, if there is anything to
    do but that; else only that nothing else runs. Raises what ``write_intent`` raises."""
    operation = engine.new_operation(
        OperationKind.RESTRICT,
        name_restricted(organization, wanted),
        context,
        suspension=suspension.id,
        restricted=wanted,
        restricted_before=organization.restricted,
    )
    if _has_steps(organization, wanted):
        return engine.write_intent(organization, operation, context)
    claim_key(context, organization.id, OperationKind.RESTRICT, operation.id)
    settled = Organization.objects(
        id=organization.id,
        state=organization.state,
        restricted=organization.restricted,
        operation=None,
    )
    changed = settled.modify(new=True, **next_version()) if organization.state in _STATES else None
    if changed is None:
        raise engine.refusal(organization)
    return changed


def _has_steps(organization: Organization, wanted: Restriction | None) -> bool:
    if organization.state != OrganizationState.ACTIVE:
        return False
    before, after = _right_while(organization.restricted), _right_while(wanted)
    # In a pool there is no name to give back.
    shared = organization.placement.strategy == Strategy.SHARED
    return after > before if shared else after != before


def _right_while(restricted: str | None) -> int:
    """The right that is taken: none, to write, or to read as well."""
    return min(_RANKS.get(restricted, 2), 2) if restricted else 0


def _open_kinds(organization: ObjectId, other_than: ObjectId | None = None) -> list[str]:
    found = Suspension.objects(organization=organization, open=True, id__ne=other_than)
    return list(found.scalar("kind"))


def _fence(organization: Organization) -> Organization:
    try:
        pools.fence(organization.placement.pool)
    except CollectionMissing:  # somebody dropped it: there is nothing to reach
        log.error("pool.missing", **engine.log_context(organization))
    return organization


@transactional
def _finish(organization: Organization) -> Organization:
    operation = organization.operation
    done = engine.update_if_held(organization, unset__operation=True, **engine.new_place(operation))
    if organization.restricted == operation.restricted:
        return done
    return _write_lifted(done, operation.suspension, operation.restricted, operation.origin)


@within_transaction
def _write_lifted(
    organization: Organization,
    suspension_id: ObjectId,
    wanted: str | None,
    origin: Origin,
) -> Organization:
    """Have the suspension be over, in the transaction that changes the organization's version."""
    restricted_before = organization.restricted
    change = {"set__restricted": wanted} if wanted else {"unset__restricted": True}
    organization = Organization.objects(id=organization.id).modify(new=True, **change)
    suspension = Suspension.objects(id=suspension_id).modify(
        new=True,
        unset__open=True,
        set__lifted_at=clock.now(),
        set__lifted_by=origin.actor or origin.account,
    )
    if Restriction.HIDDEN not in (suspension.kind, wanted):
        email_owners(SUSPENSION_LIFTED, organization, suspension=suspension.id)
    record(
        organization,
        "organization.suspension_lifted",
        origin,
        suspension=str(suspension.id),
        kind=suspension.kind,
        restricted_before=restricted_before,
        restricted=wanted,
    )
    return organization


@transactional
def _undo(organization: Organization) -> Organization:
    """Have a suspension that couldn't begin be over; one that couldn't be lifted stays."""
    operation = organization.operation
    kept = engine.update_if_held(organization, unset__operation=True)
    if organization.restricted != operation.restricted:
        action = "organization.suspension_not_lifted"
    else:
        action = "organization.suspension_failed"
        before = operation.restricted_before
        change = {"set__restricted": before} if before else {"unset__restricted": True}
        kept = Organization.objects(id=kept.id).modify(new=True, **change)
        failed = Suspension.objects(id=operation.suspension).modify(
            new=True, unset__open=True, set__failure=operation.failure
        )
        # Whoever undid it may have done so long after owners were told that it begins.
        if operation.failure == Failure.ABORTED and failed.kind != Restriction.HIDDEN:
            email_owners(SUSPENSION_LIFTED, kept, suspension=failed.id)
    record(
        kept,
        action,
        operation.origin,
        suspension=str(operation.suspension),
        reason=operation.failure,
    )
    return kept


def _about_suspension(mail: Mail) -> dict[str, Any] | None:
    """The mail's values while the suspension is open, else ``None``."""
    suspension = Suspension.objects(id=mail.ids["suspension"], open=True).first()
    return _values(mail, suspension, suspension.kind) if suspension else None


def _about_lifted(mail: Mail) -> dict[str, Any] | None:
    """The mail's values once the suspension is over."""
    lifted = Suspension.objects(id=mail.ids["suspension"], open=None).first()
    if lifted is None:
        return None
    organization = Organization.objects(id=mail.ids["organization"]).only("restricted").first()
    return _values(mail, lifted, organization and organization.restricted)


def _values(mail: Mail, suspension: Suspension, kind: str | None) -> dict[str, Any] | None:
    organization = Organization.objects(id=mail.ids["organization"], state__in=_STATES).first()
    if organization is None or organization.restricted == Restriction.HIDDEN:
        return None
    return {
        "name": organization.name,
        "what": WORDS.get(kind, ""),
        "message": suspension.message,
        "contact": suspension.contact,
        "link": link("organizations.overview", slug=organization.slug),
    }


_OWN = engine.Way(
    forward=(take_privileges, steps.rename_collection_if_there, give_privileges, _finish),
    back=(take_privileges_again, steps.rename_collection_back, give_privileges_back, _undo),
)
RESTRICT = engine.Plan(
    kind=OperationKind.RESTRICT,
    title="Changing what its suspensions allow",
    doing="being suspended, or freed again",
    ways={
        Strategy.COLLECTION: _OWN,
        Strategy.DATABASE: _OWN,
        Strategy.SHARED: engine.Way(forward=(_fence, _finish)),
    },
)

SUSPENDED = MailKind("suspended", "{name} is suspended", _about_suspension)
SUSPENSION_LIFTED = MailKind(
    "suspension_lifted", "A suspension of {name} was lifted", _about_lifted
)

KINDS = (SUSPENDED, SUSPENSION_LIFTED)
