"""Notices to owners: most of a limit is used."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.limits import LimitNotice
from portal.documents.organizations import Organization, OrganizationState
from portal.organizations.access.owners import email_owners
from portal.organizations.usage.mails import LIMIT_NEAR
from portal.organizations.usage.metering import entitled
from portal.tenants.quotas import BYTES, DOCUMENTS, OPERATIONS, LimitBook
from portal.web.context import RequestContext

log = structlog.get_logger()

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
    """Tell owners of limits of which most is used, by what was just reported."""
    operations: dict[tuple[ObjectId, datetime], int] = defaultdict(int)
    kept: dict[tuple[ObjectId, str], int] = {}
    for batch in batches:
        for row in batch.rows:
            one = row["organization"]
            count = row.get("operations", 0)
            operations[one, batch.minute] += count if isinstance(count, int) else 0
            for kind, used in _levels(row):
                kept[one, kind] = used
    for (one, _), count in operations.items():
        kept[one, OPERATIONS] = max(kept.get((one, OPERATIONS), 0), count // _MINUTE_SECONDS)
    for (one, kind), used in kept.items():
        organization = organizations.get(one)
        if organization is not None and (allowed := _allowed(organization, kind)):
            _notice_one(organization, kind, used, allowed)


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


def _allowed(organization: Organization, kind: str) -> int | None:
    limits = LimitBook().limits_of(organization.id, (0, 0), entitled(organization))
    return getattr(limits, kind) if limits else None
