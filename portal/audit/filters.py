"""Filters of an organization's audit trail: action, actor, period."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from bson import ObjectId

from portal.audit.words import WORDS, title_of
from portal.documents.audit import AuditEvent

PORTAL = "the portal"
LONGEST_WHO = 254
_API_KEY_KINDS = ("key", "provisioning key")
_EMAIL, _NAME = "personal.email.value", "actor_name"  # an event has one of them or none
# The order of a chain's events may differ from that of their times by the clock skew of several
# portals, up to this.
_CLOCK_SKEW = timedelta(hours=1)
_FIRST, _LAST = date(2000, 1, 1), date(9998, 12, 31)


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of events; ``None`` filters nothing. ``since`` and ``until`` are days in UTC, both
    inclusive."""

    action: str | None = None
    who: str | None = None
    since: date | None = None
    until: date | None = None

    @classmethod
    def read(cls, typed: Mapping[str, str]) -> "Filters":
        """Read the query of a URL, ignoring invalid values."""
        action = typed.get("action", "")
        return cls(
            action if action in WORDS else None,
            _read_who(typed.get("who", "")),
            _read_day(typed.get("from", "")),
            _read_day(typed.get("to", "")),
        )

    @property
    def query(self) -> dict[str, str]:
        """The filters as the query of a URL."""
        given = {"action": self.action, "who": self.who, "from": self.since, "to": self.until}
        return {name: str(value) for name, value in given.items() if value}

    @property
    def chips(self) -> list[tuple[str, dict[str, str]]]:
        """Each filter in words, with the query without it."""
        words = {
            "action": self.action and title_of(self.action),
            "who": f"by {self.who}",
            "since": f"from {self.since}",
            "until": f"to {self.until}",
        }
        return [
            (words[field.name] or "", replace(self, **{field.name: None}).query)
            for field in fields(self)
            if getattr(self, field.name)
        ]

    def match(self, chain: ObjectId, seq: dict[str, int] | None = None) -> dict[str, Any]:
        """The MongoDB filter for events of the ``chain`` whose ``seq`` matches. An index supports
        each combination in the events' order."""
        seqs = [*([seq] if seq else []), *_seq_bounds(chain, self.since, self.until)]
        wanted: dict[str, Any] = {"chain": chain}
        if seqs:
            wanted["$and"] = [{"seq": bound} for bound in seqs]
        if self.action:
            wanted["action"] = self.action
        if self.since or self.until:
            since, until = self.since or _FIRST, self.until or _LAST
            wanted["at"] = {"$gte": _start(since), "$lt": _start(until + timedelta(days=1))}
        return self._add_who(wanted)

    def _add_who(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if self.who is None:
            return wanted
        if self.who == PORTAL:
            # An erased e-mail leaves its digest.
            return {**wanted, _EMAIL: None, _NAME: None, "personal.email": None}
        names = {"$in": [self.who, *(f"{kind} “{self.who}”" for kind in _API_KEY_KINDS)]}
        # Repeated in both branches: so each uses an index, and MongoDB merges the two in order.
        return {
            "$or": [
                {**wanted, _EMAIL: self.who, _NAME: None},
                {**wanted, _EMAIL: None, _NAME: names},
            ]
        }


NO_FILTERS = Filters()


def _seq_bounds(
    chain: ObjectId, since: date | None, until: date | None
) -> Iterator[dict[str, int]]:
    """Bounds on the ``seq`` of the events of those days, which limit the index scan."""
    if since:
        before = {"$lt": _start(since) - _CLOCK_SKEW}
        if (seq := _seq_of(chain, before, -1)) is not None:
            yield {"$gt": seq}
    if until:
        after = {"$gte": _start(until + timedelta(days=1)) + _CLOCK_SKEW}
        if (seq := _seq_of(chain, after, 1)) is not None:
            yield {"$lt": seq}


def _seq_of(chain: ObjectId, at: dict[str, datetime], direction: int) -> int | None:
    """The ``seq`` of the first event at those times, or with -1 of the last."""
    found = AuditEvent._get_collection().find_one(
        {"chain": chain, "at": at}, {"seq": 1}, sort=[("chain", direction), ("at", direction)]
    )
    return found and found["seq"]


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _read_who(typed: str) -> str | None:
    who = unicodedata.normalize("NFC", typed).strip()
    if who.casefold() == PORTAL:
        return PORTAL
    return who if 0 < len(who) <= LONGEST_WHO and who.isprintable() else None


def _read_day(typed: str) -> date | None:
    try:
        day = date.fromisoformat(typed) if len(typed) == len("2026-11-25") else None
    except ValueError:
        return None
    return day if day and _FIRST <= day <= _LAST else None
