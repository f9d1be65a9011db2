"""The way in which a move is carried out, and its limits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from portal.database.connection import server_time
from portal.documents.moves import Move
from portal.organizations.moving.errors import (
    DateTooFar,
    DateWithoutSwitch,
    InvalidMoveDay,
    InvalidMoveP99,
    InvalidMoveRate,
    InvalidWayBackDays,
    MoveDayOver,
)
from portal.settings.checks import LONGEST_WAY_BACK_DAYS

MOST_PER_SECOND = 1_000_000
LONGEST_P99_MS = 60_000
LATEST_DAYS = 366


class Switch(StrEnum):
    """The time of a move's switch: as soon as it is verified, when somebody says so, within the
    hours of the placement policy, or at a date."""

    VERIFIED = "verified"
    ON_COMMAND = "on command"
    IN_HOURS = "in hours"
    AT = "at"


@dataclass(frozen=True, slots=True)
class Throttle:
    """A limit to the speed of a move; without any it is as fast as it goes."""

    documents_per_second: int | None = None
    neighbours_p99_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The way in which a move is carried out. ``at`` belongs to ``Switch.AT``. ``drain`` is the run
    that it is part of. With ``ends_credentials`` it switches although credentials have no user at
    the target, which end so."""

    switch: Switch = Switch.VERIFIED
    at: datetime | None = None
    throttle: Throttle = Throttle()
    without_way_back: bool = False
    way_back_days: int | None = None
    drain: str | None = None
    ends_credentials: bool = False


OPTIONS = (
    "switch_wanted",
    "switch_at",
    "switch_in_hours",
    "without_way_back",
    "way_back_days",
    "documents_per_second",
    "neighbours_p99_ms",
    "drain",
    "ends_credentials",
)
"""The fields of a move that options set."""


def set_options(move: Move, options: Options) -> None:
    """Have a move be carried out in this way."""
    values = {
        **switching(options.switch, options.at),
        "without_way_back": options.without_way_back or None,
        "way_back_days": options.way_back_days,
        "documents_per_second": options.throttle.documents_per_second,
        "neighbours_p99_ms": options.throttle.neighbours_p99_ms,
        "drain": options.drain,
        "ends_credentials": options.ends_credentials or None,
    }
    for name, value in values.items():
        setattr(move, name, value)


def switching(switch: Switch, at: datetime | None) -> dict[str, Any]:
    """The fields that tell when to switch. Raises InvalidMoveOption."""
    if (switch == Switch.AT) != (at is not None):
        raise DateWithoutSwitch
    return {
        "switch_wanted": True if switch == Switch.VERIFIED else None,
        "switch_at": at,
        "switch_in_hours": True if switch == Switch.IN_HOURS else None,
    }


def setting(values: dict[str, Any]) -> dict[str, Any]:
    """The update that sets these values, and unsets those that are ``None``."""
    return {
        f"unset__{name}" if value is None else f"set__{name}": True if value is None else value
        for name, value in values.items()
    }


def check_options(options: Options) -> None:
    """Raise InvalidMoveOption where they contradict each other, or are beyond their limits."""
    switching(options.switch, options.at)
    check_throttle(options.throttle)
    if options.at:
        check_at(options.at)
    if options.way_back_days is not None:
        check_days(options.way_back_days)


def check_at(at: datetime) -> None:
    """Raise InvalidMoveOption for a time that is too far away."""
    if at > server_time() + timedelta(days=LATEST_DAYS):
        raise DateTooFar


def check_day(day: datetime) -> None:
    """Raise InvalidMoveDay for one that is over, or too far away."""
    if day < server_time() - timedelta(days=1):
        raise MoveDayOver
    if day > server_time() + timedelta(days=LATEST_DAYS):
        raise InvalidMoveDay


def check_days(days: int) -> None:
    """Raise InvalidMoveOption for a way back of this many days."""
    if not 1 <= days <= LONGEST_WAY_BACK_DAYS:
        raise InvalidWayBackDays(LONGEST_WAY_BACK_DAYS)


def check_throttle(throttle: Throttle) -> None:
    """Raise InvalidMoveOption for a limit that none can keep."""
    rate, p99 = throttle.documents_per_second, throttle.neighbours_p99_ms
    if rate is not None and not 1 <= rate <= MOST_PER_SECOND:
        raise InvalidMoveRate(MOST_PER_SECOND)
    if p99 is not None and not 1 <= p99 <= LONGEST_P99_MS:
        raise InvalidMoveP99(LONGEST_P99_MS)
