"""The figures of the installation on the console's first page."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from portal.database.together import Part, Read, Stages, joined, read
from portal.documents.organizations import Organization
from portal.operators.overview import census
from portal.operators.overview.census import SHOWN_DAYS, CountedDay
from portal.operators.overview.running import MOST_COUNTED, in_words

_WEEK = 7


@dataclass(frozen=True, slots=True)
class DaySignUps:
    """The sign-ups of a day in UTC; ``None`` where nobody counted them."""

    day: date
    number: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of the installation; ``None`` for what was not counted yet. ``counted_at`` is the
    time of those that are counted every hour; ``running`` operations are counted to MOST_COUNTED,
    ``failed`` are those of them that failed at least once, and are tried again."""

    organizations: int
    running: int
    failed: int
    counted_at: datetime | None
    used: int | None
    measured: int | None
    bytes: int | None
    grown_bytes: int | None
    sign_ups: tuple[DaySignUps, ...]

    @property
    def running_counted(self) -> str:
        """The number of those that run, in words."""
        return in_words(self.running)

    @property
    def failed_counted(self) -> str:
        """The number of those that failed, in words."""
        more = "+" if self.failed < self.running >= MOST_COUNTED else ""
        return f"{in_words(self.failed)}{more}"

    @property
    def sign_ups_today(self) -> int:
        """The sign-ups since midnight in UTC."""
        return self.sign_ups[-1].number or 0


def look(at: datetime) -> Figures:
    """Read the figures, and count what is cheap."""
    return read(looking(at))


def looking(at: datetime) -> Part[Figures]:
    """Reads and counts them."""
    today = at.date()
    first = today - timedelta(days=SHOWN_DAYS - 1)
    days, (running, failed), today_number = yield from joined(
        census.reading_days(first), _operations(), census.reading_sign_ups(today)
    )
    counted = [day for day in days.values() if day.bytes is not None]
    last = counted[-1] if counted else None
    return Figures(
        organizations=Organization._get_collection().estimated_document_count(),
        running=running,
        failed=failed,
        counted_at=last.counted_at if last else None,
        used=last.used if last else None,
        measured=last.measured if last else None,
        bytes=last.bytes if last else None,
        grown_bytes=_grown(counted),
        sign_ups=(*_sign_ups(days, first, today), DaySignUps(today, today_number)),
    )


def _operations() -> Part[tuple[int, int]]:
    """The number of operations that run, and of those that failed since they began."""
    errors = {"$cond": [{"$gt": ["$operation.last_error", None]}, 1, 0]}
    stages: Stages = [
        {"$match": {"operation.lease_until": {"$exists": True}}},
        {"$limit": MOST_COUNTED},
        {"$group": {"_id": None, "running": {"$sum": 1}, "failed": {"$sum": errors}}},
    ]
    [rows] = yield [Read(Organization, stages)]
    return (rows[0]["running"], rows[0]["failed"]) if rows else (0, 0)


def _grown(counted: list[CountedDay]) -> int | None:
    """The bytes more than a week ago; ``None`` where that is not known."""
    if not counted:
        return None
    since = counted[-1].counted_at - timedelta(days=_WEEK)
    before = [day for day in counted if day.counted_at <= since]
    if not before or before[-1].bytes is None or counted[-1].bytes is None:
        return None
    return counted[-1].bytes - before[-1].bytes


def _sign_ups(days: dict[date, CountedDay], first: date, today: date) -> list[DaySignUps]:
    """The sign-ups of each day from ``first`` to yesterday."""
    each = [first + timedelta(days=ago) for ago in range((today - first).days)]
    before = [(day, days.get(day)) for day in each]
    return [DaySignUps(day, counted.sign_ups if counted else None) for day, counted in before]
