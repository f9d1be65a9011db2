"""Dates of BSON, which reach beyond the years that Python has, as text and back."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from portal import clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000
_WITHIN_PYTHON = (-62_135_596_800_000 + 2 * _DAY, 253_402_300_799_999 - 2 * _DAY)
_TEXT = re.compile(
    r"([+-]\d{6,9}|\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?)?"
    r"(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


def is_within_years(milliseconds: int) -> bool:
    """Tell whether a control for dates shows the date in any zone: the years 1 to 9999."""
    return _WITHIN_PYTHON[0] <= milliseconds <= _WITHIN_PYTHON[1]


def moment_of(milliseconds: int) -> datetime:
    """The moment of a date within the years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def local_text(milliseconds: int, zone: tzinfo) -> str:
    """The date in ``zone``, as a control for dates has it."""
    local = moment_of(milliseconds).astimezone(zone).replace(tzinfo=None)
    return local.isoformat(timespec="milliseconds")


def utc_text(milliseconds: int) -> str:
    """The date in UTC, with a sign and more digits beyond the years 0 to 9999."""
    days, rest = divmod(milliseconds, _DAY)
    year, month, day = _civil(days)
    years = f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}"
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    time = f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"
    return f"{years}-{month:02}-{day:02}T{time}Z"


def parse_date(text: str, zone: tzinfo) -> int | None:
    """The milliseconds of a date as it is typed, in ``zone`` unless it says its own; ``None`` for
    what is no date. Raises NotOneMoment."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute = (int(part or 0) for part in found.groups()[:5])
    second, thousandths = int(found[6] or 0), int((found[7] or "0").ljust(3, "0"))
    if not 1 <= month <= 12 or not 1 <= day <= _days_of(year, month):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    wall = _days(year, month, day) * _DAY
    wall += ((hour * 60 + minute) * 60 + second) * 1000 + thousandths
    milliseconds = _with_offset(wall, found[8]) if found[8] else _in_zone(wall, zone)
    return milliseconds if milliseconds is not None and -(2**63) <= milliseconds < 2**63 else None


def offset_words(milliseconds: int, zone: tzinfo) -> str:
    """The offset from UTC that the zone has at that moment, like +01:00."""
    offset = moment_of(milliseconds).astimezone(zone).utcoffset() or timedelta()
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _with_offset(wall: int, offset: str) -> int:
    if offset == "Z":
        return wall
    digits = offset[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return wall - (1 if offset[0] == "+" else -1) * minutes * 60_000


def _in_zone(wall: int, zone: tzinfo) -> int:
    if not is_within_years(wall):
        return wall
    offset = clock.offset_of(moment_of(wall).replace(tzinfo=None), zone)
    return wall - offset // timedelta(milliseconds=1)


def _days_of(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


# Of the proleptic Gregorian calendar, by eras of 400 years that begin on 1 March:
# https://howardhinnant.github.io/date_algorithms.html
_ERA_DAYS, _TO_EPOCH = 146_097, 719_468


def _days(year: int, month: int, day: int) -> int:
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * _ERA_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _TO_EPOCH


def _civil(days: int) -> tuple[int, int, int]:
    era, of_era = divmod(days + _TO_EPOCH, _ERA_DAYS)
    years = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * years + years // 4 - years // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + (3 if shifted < 10 else -9)
    return era * 400 + years + (month <= 2), month, day
