"""Filters of an organization's audit trail: action, actor, period."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

from bson import ObjectId

from portal import clock
from portal.audit.words import WORDS, title_of
from portal.display_names import visible_part
from portal.documents.audit import AuditEvent

PORTAL = "the portal"
UTC_NAME = "UTC"
LONGEST_WHO = 254
_NOBODY = "\N{REPLACEMENT CHARACTER}"
_API_KEY_KINDS = ("key", "provisioning key")
_EMAIL, _NAME = "personal.email.value", "actor_name"  # an event has one of them or none
# The order of a chain's events may differ from that of their times by the clock skew of several
# portals, up to this.
_CLOCK_SKEW = timedelta(hours=1)
_FIRST, _LAST = date(2000, 1, 1), date(9998, 12, 31)


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of events; ``None`` filters nothing. ``since`` and ``until`` are days in the time
    ``zone``, both inclusive."""

    action: str | None = None
    who: str | None = None
    since: date | None = None
    until: date | None = None
    zone: str = UTC_NAME

    @classmethod
    def read(cls, typed: Mapping[str, str], zone: str = "") -> "Filters":
        """Read the query of a URL, ignoring invalid values. Days are in the reader's ``zone``, if
        they chose one, else in the query's."""
        action, zone = typed.get("action", ""), zone or typed.get("zone", "")
        return cls(
            action if action in WORDS else None,
            _read_who(typed.get("who", "")),
            _read_day(typed.get("from", "")),
            _read_day(typed.get("to", "")),
            str(clock.zone_of(zone)),
        )

    @property
    def by_day(self) -> bool:
        """Tell whether days are among the filters."""
        return bool(self.since or self.until)

    @property
    def query(self) -> dict[str, str]:
        """The filters as the query of a URL."""
        given = {"action": self.action, "who": self.who, "from": self.since, "to": self.until}
        if self.by_day and self.zone != UTC_NAME:
            given["zone"] = self.zone
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
            (text or "", replace(self, **cast(dict[str, Any], {name: None})).query)
            for name, text in words.items()
            if getattr(self, name)
        ]

    def match(self, chain: ObjectId, seq: dict[str, int] | None = None) -> dict[str, Any]:
        """The MongoDB filter for events of the ``chain`` whose ``seq`` matches. An index supports
        each combination in the events' order."""
        seqs = [*([seq] if seq else []), *self._seq_bounds(chain)]
        wanted: dict[str, Any] = {"chain": chain}
        if seqs:
            wanted["$and"] = [{"seq": bound} for bound in seqs]
        if self.action:
            wanted["action"] = self.action
        if self.since or self.until:
            wanted["at"] = {"$gte": self._start(self.since or _FIRST), "$lt": self._end()}
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

    def _seq_bounds(self, chain: ObjectId) -> Iterator[dict[str, int]]:
        """Bounds on the ``seq`` of the events of those days, which limit the index scan."""
        if self.since:
            before = {"$lt": self._start(self.since) - _CLOCK_SKEW}
            if (seq := _seq_of(chain, before, -1)) is not None:
                yield {"$gt": seq}
        if self.until:
            after = {"$gte": self._end() + _CLOCK_SKEW}
            if (seq := _seq_of(chain, after, 1)) is not None:
                yield {"$lt": seq}

    def _start(self, day: date) -> datetime:
        """The first moment of a day; that of the change where clocks skip its midnight, or all of
        it."""
        return datetime.combine(day, time(), clock.zone_of(self.zone)).astimezone(UTC)

    def _end(self) -> datetime:
        return self._start((self.until or _LAST) + timedelta(days=1))


NO_FILTERS = Filters()


def _seq_of(chain: ObjectId, at: dict[str, datetime], direction: int) -> int | None:
    """The ``seq`` of the first event at those times, or with -1 of the last."""
    found = AuditEvent._get_collection().find_one(
        {"chain": chain, "at": at}, {"seq": 1}, sort=[("chain", direction), ("at", direction)]
    )
    return found and found["seq"]


def _read_who(typed: str) -> str | None:
    """The name that was typed, also one that nobody has: it finds no event, and not all."""
    given = unicodedata.normalize("NFC", typed[: 2 * LONGEST_WHO]).strip()
    who = visible_part(given).strip() or (_NOBODY if given else "")
    return PORTAL if who.casefold() == PORTAL else who[: LONGEST_WHO + 1] or None


def _read_day(typed: str) -> date | None:
    try:
        day = date.fromisoformat(typed) if len(typed) == len("2026-11-25") else None
    except ValueError:
        return None
    return day if day and _FIRST <= day <= _LAST else None
