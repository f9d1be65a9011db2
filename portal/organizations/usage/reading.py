"""Use of organizations, for pages, programs and commands."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from operator import add
from typing import Any

from bson import ObjectId

from portal import clock
from portal.database.together import Part, Read, Rows, Stages, joined, read
from portal.documents.installation import INSTALLATION
from portal.documents.organizations import MAIN_CLUSTER, Organization, Strategy, shown_place
from portal.documents.usage import ClusterUsage, UsageDay, UsageGap, UsageHour, UsageRollup
from portal.organizations.usage.counts import NAMES, Counts
from portal.organizations.usage.metering import plan_limits
from portal.tenants.quotas import Limits

MOST_LOUD = 100
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_CANDIDATES = 200
_MOST_GAPS = 100

Series = tuple[tuple[datetime, float | None], ...]
"""The operations from each moment on; ``None`` where nothing was measured."""


class Span(StrEnum):
    """The times that use is shown of: by minute, by ten minutes, by hour."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    @property
    def length(self) -> timedelta:
        """Its duration."""
        return {"hour": _HOUR, "day": _DAY, "month": 30 * _DAY}[self]

    @property
    def step(self) -> timedelta:
        """The time that each point is of."""
        return {"hour": timedelta(minutes=1), "day": timedelta(minutes=10), "month": _HOUR}[self]


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which some of the use may be missing."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of a time, by ``step``; ``None`` where nothing was measured. ``known_until`` is the
    time up to which all that was reported is in it, ``None`` where nothing ever was."""

    since: datetime
    until: datetime
    step: timedelta
    points: tuple[tuple[datetime, Counts | None], ...]
    total: Counts
    gaps: tuple[Gap, ...]
    known_until: datetime | None


@dataclass(frozen=True, slots=True)
class Loud:
    """An organization's use in the last hour. ``share`` is that of its cluster's operations,
    ``day`` its operations by hour in the last 24, ``limit`` that of operations per second."""

    id: ObjectId
    name: str
    slug: str
    strategy: str
    placement: str
    cluster: str
    share: float
    operations_per_second: float
    counts: Counts
    day: tuple[float | None, ...]
    limit: int | None

    @property
    def waited(self) -> timedelta:
        """The time that its operations waited for the limit."""
        return timedelta(milliseconds=self.counts.waited)


@dataclass(frozen=True, slots=True)
class Loudness:
    """The organizations that used most in the last hour, the loudest first. ``known_until`` tells
    *nothing found* from *not looked since*."""

    organizations: tuple[Loud, ...]
    known_until: datetime | None
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """The time of which all reports are added up, and what is missing in it."""

    since: datetime | None
    until: datetime | None
    gaps: tuple[Gap, ...]

    def measured(self, begin: datetime, end: datetime) -> bool:
        """Tell whether anything was measured between these times."""
        if self.since is None or self.until is None:
            return False
        if end <= self.since or begin >= self.until:
            return False
        return not any(gap.since <= begin and end <= gap.until for gap in self.gaps)


def loudest(count: int = 20, *, cluster: str | None = None) -> Loudness:
    """The ``count`` organizations with the most operations in the last hour, of all clusters or of
    one. Costs a few reads by index, whatever the number of organizations."""
    return read(reading_loudest(count, cluster=cluster))


def reading_loudest(count: int = 20, *, cluster: str | None = None) -> Part[Loudness]:
    """Reads those."""
    now = clock.now()
    since = _floor(now, timedelta(minutes=1)) - _HOUR
    known, top, totals = yield from joined(
        _reading_known(since, now),
        _loudest_since(since, min(count, MOST_LOUD), cluster),
        _cluster_totals(since),
    )
    shown = dict.fromkeys(("name", "slug", "placement", "plan", "limits"), 1)
    found, used = yield [
        Read(Organization, [{"$match": {"_id": {"$in": top}}}, {"$project": shown}]),
        _use_of(top, now, _counts_since(since)),
    ]
    organizations = {row["_id"]: row for row in found}
    days = _operations_by_hour(top, used, now, known)
    counts = {row["_id"]: Counts.of(row) for row in used}
    rows = [
        _loud(organizations[one], counts.get(one, Counts()), totals, days[one])
        for one in top
        if one in organizations
    ]
    return Loudness(tuple(rows), known.until, known.gaps)


def usage_of(organization: Organization | ObjectId, span: Span = Span.DAY) -> Usage:
    """An organization's use in the time that ends now."""
    organization_id = organization.id if isinstance(organization, Organization) else organization
    now = clock.now()
    since = _floor(now, span.step) + span.step - span.length
    if span == Span.MONTH:
        counted = _by_hour(organization_id, since)
    else:
        hours = UsageHour.objects(organization=organization_id, hour__gte=_floor(since, _HOUR))
        counted = _by_minute(hours.as_pymongo(), span.step)
    return _usage(since, now, span.step, counted)


def reading_operations_of(cluster: str, span: Span = Span.DAY) -> Part[Series]:
    """Reads the operations of a cluster by all its organizations, by step."""
    now = clock.now()
    since = _floor(now, span.step) + span.step - span.length
    hours, known = yield from joined(
        _cluster_hours(cluster, since, span.step), _reading_known(since, now)
    )
    counted = {
        hour["hour"] + number * span.step: operations
        for hour in hours
        for number, operations in enumerate(hour["operations"])
        if operations
    }
    return tuple(
        (at, counted.get(at, 0) if at in counted or known.measured(at, at + span.step) else None)
        for at in _steps(since, now, span.step)
    )


def operations_by_hour(
    organizations: Sequence[ObjectId],
) -> dict[ObjectId, tuple[float | None, ...]]:
    """The operations of each in the last 24 hours, by hour; ``None`` where nothing was measured."""
    return read(reading_operations_by_hour(organizations))


def reading_operations_by_hour(
    organizations: Sequence[ObjectId],
) -> Part[dict[ObjectId, tuple[float | None, ...]]]:
    """Reads those."""
    now = clock.now()
    [used], known = yield from joined(
        _reading(_use_of(organizations, now)), _reading_known(now - 24 * _HOUR, now)
    )
    return _operations_by_hour(organizations, used, now, known)


def known_until() -> datetime | None:
    """The time up to which all that was reported is added up; ``None`` where nothing was yet."""
    rollup = UsageRollup.objects(id=INSTALLATION).first()
    return rollup and rollup.until


def commands_between(organization: ObjectId, since: datetime, until: datetime) -> float:
    """The commands that were counted of an organization between two times; of the minutes that
    these are in, a part."""
    minute = timedelta(minutes=1)
    hours = UsageHour.objects(organization=organization, hour__gte=_floor(since, _HOUR))
    commands = 0.0
    for at, counts in _by_minute(hours.as_pymongo(), minute).items():
        shared = min(at + minute, until) - max(at, since)
        commands += counts.commands * max(shared / minute, 0)
    return commands


def _usage(
    since: datetime, now: datetime, step: timedelta, counted: Mapping[datetime, Counts]
) -> Usage:
    known = _known(since, now)
    points = tuple(
        (at, counted.get(at, Counts()) if at in counted or known.measured(at, at + step) else None)
        for at in _steps(since, now, step)
    )
    total = reduce(add, (counts for at, counts in counted.items() if at >= since), Counts())
    return Usage(since, now, step, points, total, known.gaps, known.until)


def _by_minute(hours: Iterable[Mapping[str, Any]], step: timedelta) -> dict[datetime, Counts]:
    """The counts of each step, of which an hour has a whole number."""
    counted, length = {}, step // timedelta(minutes=1)
    for hour in hours:
        found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for minute, counts in hour.get("minutes", {}).items():
            found[int(minute) // length].append(counts)
        for number, each in found.items():
            counted[hour["hour"] + number * step] = Counts.sum(each)
    return counted


def _by_hour(organization: ObjectId, since: datetime) -> dict[datetime, Counts]:
    counted = {}
    days = UsageDay.objects(organization=organization, day__gte=_floor(since, _DAY))
    for day in days.as_pymongo():
        for hour, counts in day["hours"].items():
            counted[day["day"] + timedelta(hours=int(hour))] = Counts.of(counts)
    recent = UsageHour.objects(organization=organization, unfolded=True)
    for hour in recent.only("hour", "total").as_pymongo():
        counted[hour["hour"]] = Counts.of(hour["total"])
    return counted


def _loudest_since(since: datetime, count: int, cluster: str | None) -> Part[list[ObjectId]]:
    """The organizations with the most operations since then, among those with the most in the hours
    around it; the server adds minutes up, as they are a lot to read."""
    first = _floor(since, _HOUR)
    later = _candidates(first + _HOUR, "$total.operations", cluster)
    stages: Stages = [
        *_candidates(first, _sum_since(since), cluster),
        {"$unionWith": {"coll": UsageHour._get_collection_name(), "pipeline": later}},
        {"$group": {"_id": "$organization", "operations": {"$sum": "$operations"}}},
        {"$match": {"operations": {"$gt": 0}}},
        {"$sort": {"operations": -1, "_id": 1}},
        {"$limit": count},
    ]
    [rows] = yield [Read(UsageHour, stages)]
    return [row["_id"] for row in rows]


def _candidates(hour: datetime, operations: Any, cluster: str | None) -> Stages:
    wanted = {"hour": hour} if cluster is None else {"hour": hour, "cluster": cluster}
    return [
        {"$match": wanted},
        {"$sort": {"total.operations": -1}},
        {"$limit": _CANDIDATES},
        {"$project": {"_id": 0, "organization": 1, "operations": operations}},
    ]


def _sum_since(since: datetime, name: str = "operations") -> dict[str, Any]:
    """The counts of this name in an hour's minutes from this one on, as an expression."""
    return {"$sum": [f"$minutes.{minute}.{name}" for minute in range(since.minute, 60)]}


def _use_of(
    organizations: Sequence[ObjectId], now: datetime, counts: dict[str, Any] | None = None
) -> Read:
    """The use of each in the last 24 hours: the numbers of ``hours``, the operations in each of
    them (``by_hour``), and these ``counts``. Added up by the server: an hour with its minutes takes
    long to decode."""
    first = _first_of_day(now)
    number = {"$dateDiff": {"startDate": first, "endDate": "$hour", "unit": "hour"}}
    by_organization = {
        "_id": "$organization",
        "hours": {"$push": {"$toInt": number}},
        "by_hour": {"$push": {"$ifNull": ["$total.operations", 0]}},
        **(counts or {}),
    }
    wanted = {"organization": {"$in": list(organizations)}, "hour": {"$gte": first}}
    return Read(UsageHour, [{"$match": wanted}, {"$group": by_organization}])


def _counts_since(since: datetime) -> dict[str, Any]:
    """The counts of an organization since then, of its hours."""
    hour = _floor(since, _HOUR)
    return {
        name: {
            "$sum": {
                "$switch": {
                    "branches": [
                        {"case": {"$gt": ["$hour", hour]}, "then": f"$total.{name}"},
                        {"case": {"$eq": ["$hour", hour]}, "then": _sum_since(since, name)},
                    ],
                    "default": 0,
                }
            }
        }
        for name in NAMES
    }


def _cluster_hours(cluster: str, since: datetime, step: timedelta) -> Part[Rows]:
    """Reads the hours of a cluster from then on, each with the operations of its steps."""
    length = step // timedelta(minutes=1)
    minutes = [f"$minutes.{minute}.operations" for minute in range(60)]
    sums = [{"$sum": minutes[first : first + length]} for first in range(0, 60, length)]
    operations = ["$total.operations"] if step == _HOUR else sums
    wanted = {"cluster": cluster, "hour": {"$gte": _floor(since, _HOUR)}}
    shown = {"_id": 0, "hour": 1, "operations": operations}
    return (yield from _reading(Read(ClusterUsage, [{"$match": wanted}, {"$project": shown}])))[0]


def _reading(one: Read) -> Part[list[Rows]]:
    """Reads one thing."""
    return (yield [one])


def _cluster_totals(since: datetime) -> Part[dict[str, int]]:
    """The operations of each cluster since then."""
    within = {"$gt": ["$hour", _floor(since, _HOUR)]}
    operations = {"$cond": [within, "$total.operations", _sum_since(since)]}
    stages: Stages = [
        {"$match": {"hour": {"$gte": _floor(since, _HOUR)}}},
        {"$group": {"_id": "$cluster", "operations": {"$sum": operations}}},
    ]
    [rows] = yield [Read(ClusterUsage, stages)]
    return {row["_id"]: row["operations"] for row in rows}


def _operations_by_hour(
    organizations: Sequence[ObjectId], used: Rows, now: datetime, known: _Known
) -> dict[ObjectId, tuple[float | None, ...]]:
    first = _first_of_day(now)
    steps = [first + number * _HOUR for number in range(24)]
    silent = [0.0 if known.measured(hour, hour + _HOUR) else None for hour in steps]
    days = {one: list(silent) for one in organizations}
    for row in used:
        day = days[row["_id"]]
        for number, operations in zip(row["hours"], row["by_hour"], strict=True):
            if number < len(day):
                day[number] = operations
    return {one: tuple(day) for one, day in days.items()}


def _first_of_day(now: datetime) -> datetime:
    """The first of the last 24 hours."""
    return _floor(now, _HOUR) - 23 * _HOUR


def _loud(
    row: Mapping[str, Any],
    counts: Counts,
    totals: Mapping[str, int],
    day: tuple[float | None, ...],
) -> Loud:
    """The organization of a stored ``row``; to make a document of it would take a third of the
    page's time."""
    place = row.get("placement", {})
    strategy = place.get("strategy", Strategy.COLLECTION)
    cluster = place.get("cluster", MAIN_CLUSTER)
    total = totals.get(cluster, 0)
    limits = (Limits.of(row.get("limits")) or Limits()).over(plan_limits(row.get("plan")))
    return Loud(
        id=row["_id"],
        name=row["name"],
        slug=row["slug"],
        strategy=strategy,
        placement=shown_place(
            strategy, place.get("pool"), place.get("database"), place.get("collection")
        ),
        cluster=cluster,
        share=min(counts.operations / total, 1.0) if total else 0.0,
        operations_per_second=counts.operations / _HOUR.total_seconds(),
        counts=counts,
        day=day,
        limit=limits.operations,
    )


def _known(since: datetime, now: datetime) -> _Known:
    return read(_reading_known(since, now))


def _reading_known(since: datetime, now: datetime) -> Part[_Known]:
    within = {"until": {"$gt": since}, "since": {"$lt": now}}
    rollups, gaps = yield [
        Read(UsageRollup, [{"$match": {"_id": INSTALLATION}}]),
        Read(UsageGap, [{"$match": within}, {"$sort": {"since": 1}}, {"$limit": _MOST_GAPS}]),
    ]
    told = tuple(Gap(each["since"], each["until"]) for each in gaps)
    rollup = rollups[0] if rollups else {}
    return _Known(rollup.get("since"), rollup.get("until"), told)


def _steps(since: datetime, until: datetime, step: timedelta) -> Iterator[datetime]:
    at = since
    while at <= until:
        yield at
        at += step


def _floor(at: datetime, step: timedelta) -> datetime:
    """The beginning of the step, counted from midnight in UTC, that the time is in."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (at - midnight) // step * step
