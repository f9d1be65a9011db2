"""Notices to owners: most of a limit is used."""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime, timedelta
from typing import Any, Protocol

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.limits import LimitNotice
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.usage import UsageHour
from portal.organizations.access.owners import email_owners
from portal.organizations.usage.mails import LIMIT_NEAR
from portal.organizations.usage.metering import entitled
from portal.tenants.quotas import BYTES, DOCUMENTS, OPERATIONS, LimitBook
from portal.web.context import RequestContext

NOTICED_SHARE = 0.8
_OVER_AGAIN_SHARE = 0.7
_QUIET_FOR = timedelta(days=1)
_MINUTE_SECONDS = 60


class Reported(Protocol):
    """A batch of what was counted, as far as notices need it."""

    @property
    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """The counts of organizations."""

    @property
    def minute(self) -> datetime:
        """The minute that its counts are of."""


def notice(organizations: Mapping[ObjectId, Organization], batches: Iterable[Reported]) -> None:
    """Tell owners of limits of which most is used, by what was just reported and added up."""
    minutes: set[tuple[ObjectId, datetime]] = set()
    used: dict[tuple[ObjectId, str], int] = {}
    for batch in batches:
        for row in batch.rows:
            one = row["organization"]
            minutes.add((one, batch.minute))
            used.update({(one, kind): level for kind, level in _levels(row)})
    allowed = {
        (one, kind): limit
        for one, organization in organizations.items()
        for kind, limit in _allowed(organization).items()
    }
    used |= _operations_per_second({each for each in minutes if (each[0], OPERATIONS) in allowed})
    for (one, kind), amount in used.items():
        if limit := allowed.get((one, kind)):
            _notice_one(organizations[one], kind, amount, limit)


@within_transaction
def note(organization: Organization, kind: str, used: int, allowed: int) -> None:
    """Tell the owners of a limit of which most is used, unless they were told; forget that they
    were once much less is used."""
    told = LimitNotice.objects(organization=organization.id, kind=kind).first()
    if used < allowed * _OVER_AGAIN_SHARE and kind != OPERATIONS:
        if told:
            told.delete()
        return
    if used < allowed * NOTICED_SHARE or organization.state != OrganizationState.ACTIVE:
        return
    now = clock.now()
    if told and told.allowed == allowed and now - told.seen_at < _QUIET_FOR:
        told.modify(set__used=used, set__seen_at=now)
        return
    told = told or LimitNotice(organization=organization.id, kind=kind)
    told.allowed, told.used, told.told_at, told.seen_at = allowed, used, now, now
    told.save()
    record(
        organization,
        "organization.limit_near",
        RequestContext().origin,
        kind=kind,
        used=str(used),
        allowed=str(allowed),
    )
    email_owners(LIMIT_NEAR, organization, notice=told.id)


def _notice_one(organization: Organization, kind: str, used: int, allowed: int) -> None:
    told = LimitNotice.objects(organization=organization.id, kind=kind).first()
    if used < allowed * NOTICED_SHARE and told is None:
        return

    @transactional
    def write() -> None:
        current = Organization.objects(id=organization.id).first()
        if current is not None:
            note(current, kind, used, allowed)

    write()


def _levels(row: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    levels = row.get("levels")
    if not isinstance(levels, Mapping):
        return
    for kind in (DOCUMENTS, BYTES):
        level = levels.get(kind)
        if isinstance(level, list) and level and isinstance(level[0], int):
            yield kind, level[0]


def _operations_per_second(
    minutes: Set[tuple[ObjectId, datetime]],
) -> dict[tuple[ObjectId, str], int]:
    """The operations per second of organizations in the busiest of these ``minutes``, by all that
    was reported of them until now: what has just been reported is a part of a minute."""
    if not minutes:
        return {}
    hours = UsageHour._get_collection().find(
        {
            "organization": {"$in": list({one for one, _ in minutes})},
            "hour": {"$in": list({minute.replace(minute=0) for _, minute in minutes})},
        },
        ["organization", "hour", *{f"minutes.{minute.minute}.operations" for _, minute in minutes}],
    )
    busiest: dict[tuple[ObjectId, str], int] = {}
    for hour in hours:
        one = hour["organization"]
        for number, counts in hour.get("minutes", {}).items():
            if (one, hour["hour"].replace(minute=int(number))) in minutes:
                per_second = counts.get("operations", 0) // _MINUTE_SECONDS
                busiest[one, OPERATIONS] = max(busiest.get((one, OPERATIONS), 0), per_second)
    return busiest


def _allowed(organization: Organization) -> dict[str, int]:
    """The limits that the organization has, by kind."""
    limits = LimitBook().limits_of(organization.id, (0, 0), entitled(organization))
    if limits is None:
        return {}
    of_kinds = {kind: getattr(limits, kind) for kind in (DOCUMENTS, BYTES, OPERATIONS)}
    return {kind: limit for kind, limit in of_kinds.items() if limit}
