"""Limits of organizations: by plan, or of one alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bson import ObjectId

from portal import clock, settings
from portal.audit.trail import installation, record
from portal.database import directory
from portal.database.connection import client
from portal.database.transactions import transactional, within_transaction
from portal.documents.installation import INSTALLATION
from portal.documents.limits import PlanLimits
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    OwnLimits,
    next_version,
)
from portal.documents.usage import UsageHour
from portal.errors import NotFound
from portal.organizations.usage import noticing
from portal.organizations.usage.errors import InvalidLimit, LimitsChanged
from portal.organizations.usage.measuring import (
    COUNTING_SECONDS,
    Kept,
    Recount,
    count_anew,
    measure,
)
from portal.organizations.usage.metering import entitled, forget_plans
from portal.tenants.quotas import LIMITS
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

HIGHEST = 10**15
LIMITS_SET = "limits_set"
PLAN_LIMITS_SET = "plan_limits_set"


class LimitKind(StrEnum):
    """Kinds of limits: of documents and bytes that are kept, of operations per second."""

    DOCUMENTS = "documents"
    BYTES = "bytes"
    OPERATIONS = "operations"


Wanted = Mapping[LimitKind, int | None]
"""Limits to set: ``None`` is none of its own."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit in force, if there is one (``allowed``), and how much of it is ``used``, if that is
    known: of operations, those of the last whole minute, per second. ``by_plan`` where it isn't the
    organization's own, ``measured_at`` where it can't be measured now."""

    kind: LimitKind
    allowed: int | None
    used: float | None
    by_plan: bool = False
    measured_at: datetime | None = None

    @property
    def share(self) -> float | None:
        """The used part of what is allowed."""
        if not self.allowed or self.used is None:
            return None
        return self.used / self.allowed


def limits_of(organization: Organization, *, measured: bool = True) -> dict[LimitKind, Limit]:
    """The limits of the organization, each kind, whether there is one or not. Unless ``measured``,
    what is kept is not counted, which takes a read of its collection, and operations only where
    they are limited."""
    kept = measure(organization) if measured else None
    used: dict[LimitKind, float | None] = {
        LimitKind.DOCUMENTS: kept.documents if kept else None,
        LimitKind.BYTES: kept.bytes if kept else None,
    }
    found = entitled(organization)
    own, by_plan = (found.own, found.by_plan) if found else (None, None)
    limits = {}
    for kind in LimitKind:
        own_limit = getattr(own, kind) if own else None
        plan_limit = getattr(by_plan, kind) if by_plan else None
        allowed = plan_limit if own_limit is None else own_limit
        if kind == LimitKind.OPERATIONS and (measured or allowed):
            used[kind] = _operations_per_second(organization.id)
        from_plan = own_limit is None and plan_limit is not None
        measured_at = kept.measured_at if kept and kind != LimitKind.OPERATIONS else None
        limits[kind] = Limit(kind, allowed, used.get(kind), from_plan, measured_at)
    return limits


def set_limits(
    organization: Organization,
    wanted: Wanted,
    context: RequestContext,
    *,
    seen: Wanted | None = None,
) -> Organization:
    """Set the organization's own limits of these kinds; ``None`` leaves its plan's.

    What it keeps is counted first, and its owners are told where that is most of what is allowed. A
    limit below that breaks nothing: it refuses growth. Raises InvalidLimit, NotFound where it was
    purged, DuplicateRequest, and LimitsChanged unless they are as ``seen``.
    """
    check_limits(wanted)
    kept = None
    if any(wanted.get(kind) for kind in (LimitKind.DOCUMENTS, LimitKind.BYTES)):
        kept = _count(organization)
    return _write(organization.id, wanted, seen, kept, context)


def check_limits(wanted: Wanted) -> None:
    """Raise InvalidLimit for a limit that none can keep to, or that is none."""
    for kind, value in wanted.items():
        if value is not None and not 1 <= value <= HIGHEST:
            raise InvalidLimit(kind)


def recount(
    organization: Organization, context: RequestContext, seconds: float = COUNTING_SECONDS
) -> Recount:
    """Count what the organization keeps, one by one as far as ``seconds`` allow, and record it
    where that isn't what was known."""
    counted = count_anew(organization, seconds)
    before, now = counted.before, counted.now
    if before is None or (before.documents, before.bytes) != (now.documents, now.bytes):
        _record_count(organization.id, counted, context)
    return counted


def plans_with_limits() -> list[PlanLimits]:
    """The plans that have limits, by name."""
    return list(PlanLimits.objects.order_by("id"))


def set_plan_limits(
    plan: str, wanted: Wanted, context: RequestContext, *, seen: Wanted | None = None
) -> PlanLimits | None:
    """Set the limits of all organizations with this plan, which have none of their own: processes
    know within seconds. Raises InvalidLimit, DuplicateRequest, and LimitsChanged unless they are as
    ``seen``."""
    check_limits(wanted)
    found = _write_plan(plan, wanted, seen, context)
    forget_plans()
    return found


@within_transaction
def publish(organization: Organization) -> None:
    """Tell processes that know the organization of its limits and plan, which have just been
    written with its ``version``."""
    entry = directory.find_organization(client()[settings.current().master_db], organization.id)
    if entry is not None:
        told = ("limits", "plan", "plan_limits", "version", "epoch")
        _announce(organization.id, **{name: entry[name] for name in told if name in entry})


@transactional
def _write(
    organization_id: ObjectId,
    wanted: Wanted,
    seen: Wanted | None,
    kept: Kept | None,
    context: RequestContext,
) -> Organization:
    claim_key(context, organization_id, LIMITS_SET, organization_id)
    organization = Organization.objects(
        id=organization_id, state__ne=OrganizationState.PURGED
    ).first()
    if organization is None:
        raise NotFound(str(organization_id))
    before = _stored(organization.limits)
    _check_seen(before, seen)
    after = _changed(before, wanted)
    if after == before:
        return organization
    organization.limits = OwnLimits(**after) if after else None
    change = {"set__limits": organization.limits} if after else {"unset__limits": True}
    Organization.objects(id=organization_id).update_one(**next_version(), **change)
    organization.version += 1
    publish(organization)
    record(organization, "organization.limits_set", context.origin, **_details(before, after))
    if kept is not None:
        for kind in (LimitKind.DOCUMENTS, LimitKind.BYTES):
            if allowed := after.get(kind):
                noticing.note(organization, kind, getattr(kept, kind), allowed)
    return organization


@transactional
def _write_plan(
    plan: str, wanted: Wanted, seen: Wanted | None, context: RequestContext
) -> PlanLimits | None:
    claim_key(context, INSTALLATION, PLAN_LIMITS_SET, INSTALLATION)
    subject, found = installation(), PlanLimits.objects(id=plan).first()
    before = _stored(found.limits) if found else {}
    _check_seen(before, seen)
    after = _changed(before, wanted)
    if after == before:
        return found
    if after:
        found = found or PlanLimits(id=plan, version=0)
        found.limits, found.changed_at = OwnLimits(**after), clock.now()
        found.version += 1
        found.save()
    elif found:
        found.delete()
        found = None
    _announce(plan, limits=after)
    record(subject, "plan.limits_set", context.origin, plan=plan, **_details(before, after))
    return found


@transactional
def _record_count(organization_id: ObjectId, counted: Recount, context: RequestContext) -> None:
    organization = Organization.objects(id=organization_id).first()
    if organization is None:
        return
    before, now = counted.before, counted.now
    record(
        organization,
        "organization.counted_anew",
        context.origin,
        documents=str(now.documents),
        documents_before=str(before.documents) if before else None,
        bytes=str(now.bytes),
        bytes_before=str(before.bytes) if before else None,
    )


def _announce(subject: object, **content: object) -> None:
    """Write what processes read every few seconds."""
    changed = client()[settings.current().tenant_db][LIMITS]
    stamped = {**content, "changed_at": clock.now()}
    changed.replace_one({"_id": subject}, stamped, upsert=True)


def _count(organization: Organization) -> Kept:
    return count_anew(organization).now


def _stored(limits: OwnLimits | None) -> dict[str, int]:
    if limits is None:
        return {}
    return {kind: value for kind in LimitKind if (value := getattr(limits, kind)) is not None}


def _check_seen(before: Mapping[str, int], seen: Wanted | None) -> None:
    found = [
        f"{kind} {_in_words(before.get(kind))}, and was {_in_words(value)}"
        for kind, value in (seen or {}).items()
        if before.get(kind) != value
    ]
    if found:
        raise LimitsChanged(found)


def _in_words(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _changed(before: Mapping[str, int], wanted: Wanted) -> dict[str, int]:
    changed = {**before, **{str(kind): value for kind, value in wanted.items()}}
    return {kind: value for kind, value in changed.items() if value is not None}


def _details(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for kind in LimitKind:
        if before.get(kind) != after.get(kind):
            details[str(kind)] = str(after[kind]) if kind in after else None
            details[f"{kind}_before"] = str(before[kind]) if kind in before else None
    return details


def _operations_per_second(organization_id: ObjectId) -> float | None:
    """The operations of the last whole minute, per second."""
    within = clock.now() - timedelta(minutes=1)
    begun = UsageHour.objects(organization=organization_id, hour__lte=within)
    hour = begun.order_by("-hour").first()
    if hour is None:
        return None
    minute = int((within - hour.hour).total_seconds() // 60)
    return hour.minutes.get(str(minute), {}).get("operations", 0) / 60
