"""Adds up what processes report: by minute, hour and day, of organizations and clusters.

A batch is added in one transaction with the number of its process's latest one, and deleted there:
so one that arrives again, or whose rolling up was interrupted, counts once. A number that is passed
over, and a process that nothing is heard of, are gaps.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from pymongo import UpdateOne

from portal import clock, settings
from portal.database.clusters import known_clusters
from portal.database.connection import client
from portal.database.periodic import Notes, Task
from portal.database.transactions import transactional
from portal.documents.installation import INSTALLATION
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.usage import (
    ClusterUsage,
    UsageDay,
    UsageGap,
    UsageHour,
    UsageReporter,
    UsageRollup,
)
from portal.organizations.usage import noticing
from portal.organizations.usage.counts import Counts
from portal.organizations.usage.metering import budgets, report, reports
from portal.tenants.quotas import LIMITS
from portal.tenants.usage import REPORT_SECONDS

log = structlog.get_logger()

ROLLED_EVERY_SECONDS = 20
SILENT_AFTER = timedelta(seconds=120)
"""The time after which a process that reports no longer has ended without a word."""

_AT_ONCE_BATCHES = 20
_AT_ONCE_HOURS = 500
_ARRIVES_WITHIN = timedelta(seconds=REPORT_SECONDS + 5)
_FOLDED_AFTER = timedelta(minutes=3)
_OLDEST, _AHEAD = timedelta(days=3), timedelta(minutes=5)
_BUDGETS_KEPT_SECONDS = 3600
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Batch:
    """The report of a process about a short time, checked: applications write it."""

    id: Any
    process: str
    number: int
    since: datetime
    until: datetime
    source: str
    last: bool
    rows: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, stored: Mapping[str, Any], now: datetime) -> "Batch | None":
        """The batch in a document; ``None`` for what is none."""
        since, until, rows = stored.get("since"), stored.get("until"), stored.get("rows")
        process, number = stored.get("process"), stored.get("number")
        if not (isinstance(since, datetime) and isinstance(until, datetime)):
            return None
        if not now - _OLDEST < since <= until < now + _AHEAD:
            return None
        if not (isinstance(process, str) and isinstance(number, int) and isinstance(rows, list)):
            return None
        whole = tuple(
            row
            for row in rows
            if isinstance(row, Mapping)
            and isinstance(row.get("organization"), ObjectId)
            and isinstance(row.get("cluster"), str)
        )
        source = "portal" if stored.get("source") == "portal" else "library"
        last = bool(stored.get("last"))
        return cls(stored["_id"], process[:64], number, since, until, source, last, whole)

    @property
    def minute(self) -> datetime:
        """The minute that its counts are of."""
        middle = self.since + (self.until - self.since) / 2
        return middle.replace(second=0, microsecond=0)


@dataclass(slots=True)
class Sums:
    """Batches added up, by organization or cluster, and hour and minute."""

    rows: dict[tuple[Any, datetime], dict[int, Counts]] = field(default_factory=dict)

    def add(self, subject: Any, minute: datetime, counts: Counts) -> None:
        """Add counts of a minute."""
        minutes = self.rows.setdefault((subject, minute.replace(minute=0)), {})
        minutes[minute.minute] = minutes.get(minute.minute, Counts()) + counts

    def updates(self, name: str, more: Callable[[Any], dict[str, Any]]) -> list[UpdateOne]:
        """The updates that add them to documents by ``name`` and hour."""
        return [
            UpdateOne(
                {name: subject, "hour": hour},
                {"$inc": _increments(minutes), **more(subject)},
                upsert=True,
            )
            for (subject, hour), minutes in self.rows.items()
        ]


def roll_up(check: Callable[[], None]) -> Notes:
    """Add up all that has been reported until now."""
    prepare()
    report()
    begun = clock.now()
    while _roll_some(begun):
        check()
    _note_until(begun - _ARRIVES_WITHIN)
    _note_silent(begun)
    while _fold_some(begun):
        check()
    return {}


def prepare() -> None:
    """Make the indexes outside of master data that this and the store rely on."""
    reports().create_index("until")
    client()[settings.current().tenant_db][LIMITS].create_index("changed_at")
    budgets().create_index("at", expireAfterSeconds=_BUDGETS_KEPT_SECONDS)


def _roll_some(now: datetime) -> bool:
    """Add up some batches; tell whether there were any."""
    stored = list(reports().find(sort=[("until", 1)], limit=_AT_ONCE_BATCHES))
    batches = [batch for each in stored if (batch := Batch.of(each, now))]
    known = {batch.id for batch in batches}
    strange = [each["_id"] for each in stored if each["_id"] not in known]
    if strange:
        log.warning("usage.strange_batches", count=len(strange))
        reports().delete_many({"_id": {"$in": strange}})
    if not batches:
        return bool(stored)
    organizations = _organizations(batches)
    clusters = {cluster.name for cluster in known_clusters()}
    added = transactional(_add)(batches, organizations, clusters, now)
    noticing.notice(organizations, added)
    return True


def _organizations(batches: Iterable[Batch]) -> dict[ObjectId, Organization]:
    """The organizations of the batches that are there, with what their limits are."""
    ids = {row["organization"] for batch in batches for row in batch.rows}
    found = Organization.objects(id__in=list(ids), state__ne=OrganizationState.PURGED)
    return {each.id: each for each in found.only("name", "plan", "limits", "state")}


def _add(
    batches: list[Batch],
    organizations: Mapping[ObjectId, Organization],
    clusters: set[str],
    now: datetime,
) -> list[Batch]:
    """Add the batches that are new, and return those."""
    ids = [batch.process for batch in batches]
    reporters = {each.id: each for each in UsageReporter.objects(id__in=ids)}
    own, shared, new = Sums(), Sums(), []
    clusters_of: dict[ObjectId, str] = {}
    for batch in batches:
        reporter = reporters.get(batch.process) or UsageReporter(
            id=batch.process, number=0, until=batch.since
        )
        if batch.number <= reporter.number:
            continue
        if reporter.number and batch.number > reporter.number + 1:
            _add_gap(batch.process, reporter.until, batch.since)
        reporter.number, reporter.until = batch.number, batch.until
        reporter.heard_at, reporter.source = now, batch.source
        reporter.ended = batch.last or None
        reporters[batch.process] = reporter
        new.append(batch)
        for row in batch.rows:
            organization, cluster = row["organization"], row["cluster"]
            if organization not in organizations or cluster not in clusters:
                continue
            counts = replace(Counts.of(row), direct=0)  # which no process counts
            clusters_of[organization] = cluster
            own.add(organization, batch.minute, counts)
            shared.add(cluster, batch.minute, counts)
    hours = own.updates(
        "organization", lambda one: {"$set": {"cluster": clusters_of[one], "unfolded": True}}
    )
    if hours:
        UsageHour._get_collection().bulk_write(hours, ordered=False)
        ClusterUsage._get_collection().bulk_write(
            shared.updates("cluster", lambda _: {}), ordered=False
        )
    for reporter in reporters.values():
        reporter.save()
    reports().delete_many({"_id": {"$in": [batch.id for batch in batches]}})
    return new


def _increments(minutes: Mapping[int, Counts]) -> dict[str, int]:
    increments: dict[str, int] = {"total.operations": 0}
    for minute, counts in minutes.items():
        for name, value in counts.stored().items():
            increments[f"total.{name}"] = increments.get(f"total.{name}", 0) + value
            increments[f"minutes.{minute}.{name}"] = value
    return increments


def _add_gap(reporter: str, since: datetime, until: datetime) -> None:
    UsageGap.objects(reporter=reporter, since=since).update_one(set__until=until, upsert=True)


def _note_until(until: datetime) -> None:
    rollup = UsageRollup.objects(id=INSTALLATION)
    rollup.update_one(set__until=until, set_on_insert__since=until, upsert=True)


def _note_silent(now: datetime) -> None:
    """Note the gaps of processes that nothing is heard of."""
    silent = UsageReporter.objects(ended=None, heard_at__lt=now - SILENT_AFTER)
    for reporter in silent.limit(1000):
        _add_gap(reporter.id, reporter.until, reporter.until + timedelta(seconds=REPORT_SECONDS))
        UsageReporter.objects(id=reporter.id, number=reporter.number).update_one(set__ended=True)


def _fold_some(now: datetime) -> bool:
    """Write hours that are over into their days; tell whether there were any."""
    over = now - _HOUR - _FOLDED_AFTER
    found = list(UsageHour.objects(unfolded=True, hour__lte=over).limit(_AT_ONCE_HOURS))
    if not found:
        return False

    @transactional
    def fold() -> None:
        days = [
            UpdateOne(
                {"organization": each.organization, "day": _day(each.hour)},
                {"$set": {f"hours.{each.hour.hour}": each.total}},
                upsert=True,
            )
            for each in found
        ]
        UsageDay._get_collection().bulk_write(days, ordered=False)
        UsageHour.objects(id__in=[each.id for each in found]).update(unset__unfolded=True)

    fold()
    return True


def _day(hour: datetime) -> datetime:
    return datetime(hour.year, hour.month, hour.day, tzinfo=UTC)


TASK = Task("usage", ROLLED_EVERY_SECONDS, roll_up)
