"""The one clock of the portal; tests move it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The time, aware, in UTC, cut to the milliseconds that MongoDB keeps."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
