"""The census: figures of the whole installation that are too dear to be counted for a page, counted
every hour and kept by day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from bson import ObjectId

from portal import clock
from portal.database.periodic import Notes, Task
from portal.database.together import Part, Read, read
from portal.documents.figures import InstallationDay, OrganizationFigures
from portal.documents.organizations import Organization

COUNTED_EVERY_SECONDS = 3600
SHOWN_DAYS = 30
ACTIVE = timedelta(days=1)


def count_all(check: Callable[[], None]) -> Notes:
    """Count today, and each of the last SHOWN_DAYS that was not counted after its end."""
    now = clock.now()
    today = now.date()
    days = [today - timedelta(days=ago) for ago in range(SHOWN_DAYS, -1, -1)]
    counted = days_since(days[0])
    for day in days:
        if day not in counted or counted[day].counted_at < end_of(day):
            check()
            _write(day, now, _figures_of_all(now) if day == today else {})
    return {}


@dataclass(frozen=True, slots=True)
class CountedDay:
    """A day as it was counted; ``None`` for what was not."""

    day: date
    sign_ups: int
    counted_at: datetime
    used: int | None
    measured: int | None
    bytes: int | None


def days_since(day: date) -> dict[date, CountedDay]:
    """The days from this one on, as they were counted, in order; days may be missing."""
    return read(reading_days(day))


def reading_days(day: date) -> Part[dict[date, CountedDay]]:
    """Reads those days."""
    since = {"$match": {"_id": {"$gte": day.isoformat()}}}
    [rows] = yield [Read(InstallationDay, [since, {"$sort": {"_id": 1}}])]
    days = (
        CountedDay(
            date.fromisoformat(row["_id"]),
            row["sign_ups"],
            row["counted_at"],
            row.get("used"),
            row.get("measured"),
            row.get("bytes"),
        )
        for row in rows
    )
    return {counted.day: counted for counted in days}


def sign_ups_on(day: date) -> int:
    """The number of sign-ups on a day in UTC: ids begin with the second, and have an index."""
    return read(reading_sign_ups(day))


def reading_sign_ups(day: date) -> Part[int]:
    """Reads that number."""
    born = {
        "$gte": ObjectId.from_datetime(end_of(day) - timedelta(days=1)),
        "$lt": ObjectId.from_datetime(end_of(day)),
    }
    [rows] = yield [Read(Organization, [{"$match": {"_id": born}}, {"$count": "number"}])]
    return next((row["number"] for row in rows), 0)


def end_of(day: date) -> datetime:
    """The end of a day in UTC."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def _write(day: date, now: datetime, figures: dict[str, Any]) -> None:
    values = {"sign_ups": sign_ups_on(day), "counted_at": now, **figures}
    InstallationDay.objects(id=day.isoformat()).update_one(
        upsert=True, **{f"set__{name}": value for name, value in values.items()}
    )


def _figures_of_all(now: datetime) -> dict[str, Any]:
    used = {"$sum": {"$cond": [{"$gte": ["$used_at", now - ACTIVE]}, 1, 0]}}
    totals = {"_id": None, "measured": {"$sum": 1}, "used": used, "bytes": {"$sum": "$bytes"}}
    found = OrganizationFigures.objects.aggregate([{"$group": totals}, {"$unset": "_id"}])
    return next(iter(found), {})


TASK = Task("census", COUNTED_EVERY_SECONDS, count_all)
