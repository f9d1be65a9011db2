"""The portal's only clock, so that tests can move it, and time zones."""

from datetime import UTC, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


def now() -> datetime:
    """The current time, aware, in UTC, truncated to MongoDB's milliseconds."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def zone_of(name: str) -> tzinfo:
    """The time zone of this IANA name; UTC for what is none here."""
    return ZoneInfo(name) if name in _zone_names() else UTC


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())
