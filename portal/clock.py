"""The portal's only clock, so that tests can move it, and time zones."""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


class NotOneMoment(ValueError):
    """A time that the clocks of a zone skip, or show twice, which the words say."""


def now() -> datetime:
    """The current time, aware, in UTC, truncated to MongoDB's milliseconds."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def zone_of(name: str) -> tzinfo:
    """The time zone of this IANA name; UTC for what is none here."""
    return ZoneInfo(name) if is_zone(name) else UTC


def is_zone(name: str) -> bool:
    """Tell whether there is a time zone of this IANA name."""
    return name in _zone_names()


def offset_of(local: datetime, zone: tzinfo) -> timedelta:
    """The offset from UTC of the zone's clocks when they show a time, which is naive. Raises
    NotOneMoment."""
    offsets = offsets_of(local, zone)
    if not offsets:
        raise NotOneMoment(f"{zone} has no such time: its clocks were put forward")
    if len(offsets) > 1:
        raise NotOneMoment(f"{zone} has this time twice: its clocks were put back")
    return offsets[0]


def offsets_of(local: datetime, zone: tzinfo) -> tuple[timedelta, ...]:
    """The offsets from UTC of the zone's clocks when they show a time: none where they skip it, and
    two where they show it twice, that of the first time first."""
    first, second = (
        local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1)
    )
    if first == second:
        return (first,)
    return (first, second) if first > second else ()  # PEP 495: before and after the change


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())
