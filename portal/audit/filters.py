"""What of an organization's trail is looked at: which deeds, whose, from when to when."""

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
_KINDS_OF_KEYS = ("key", "provisioning key")
_EMAIL, _NAME = "personal.email.value", "actor_name"  # an event has one of them or none
# Events of a chain stand in the order in which they were written; by the clocks of several
# portals that may be another one, but for no longer than this.
_CLOCKS_APART = timedelta(hours=1)
_FIRST, _LAST = date(2000, 1, 1), date(9998, 12, 31)


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; ``None`` asks for all. ``since`` and ``until`` are days in UTC, both
    among them."""

    action: str | None = None
    who: str | None = None
    since: date | None = None
    until: date | None = None

    @classmethod
    def read(cls, typed: Mapping[str, str]) -> "Filters":
        """From the query of an address. What can't be meant is passed over."""
        action = typed.get("action", "")
        return cls(
            action if action in WORDS else None,
            _read_who(typed.get("who", "")),
            _read_day(typed.get("from", "")),
            _read_day(typed.get("to", "")),
        )

    @property
    def query(self) -> dict[str, str]:
        """As the query of an address has them."""
        given = {"action": self.action, "who": self.who, "from": self.since, "to": self.until}
        return {name: str(value) for name, value in given.items() if value}

    @property
    def chips(self) -> list[tuple[str, dict[str, str]]]:
        """Each in words, and the query without it."""
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

    def match(self, chain: ObjectId, key: dict[str, int] | None = None) -> dict[str, Any]:
        """The filter of MongoDB that finds the events of the ``chain`` whose ``seq`` is as the
        ``key`` says. Whatever is asked for, an index leads there in the events' order."""
        seqs = [*([key] if key else []), *_ends(chain, self.since, self.until)]
        wanted: dict[str, Any] = {"chain": chain}
        if seqs:
            wanted["$and"] = [{"seq": bound} for bound in seqs]
        if self.action:
            wanted["action"] = self.action
        if self.since or self.until:
            since, until = self.since or _FIRST, self.until or _LAST
            wanted["at"] = {"$gte": _start(since), "$lt": _start(until + timedelta(days=1))}
        return self._by(wanted)

    def _by(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if self.who is None:
            return wanted
        if self.who == PORTAL:
            # Whose e-mail was erased has the digest still.
            return {**wanted, _EMAIL: None, _NAME: None, "personal.email": None}
        names = {"$in": [self.who, *(f"{kind} “{self.who}”" for kind in _KINDS_OF_KEYS)]}
        # Spelled out in both: then each is looked up by an index, and the two are merged in order.
        return {
            "$or": [
                {**wanted, _EMAIL: self.who, _NAME: None},
                {**wanted, _EMAIL: None, _NAME: names},
            ]
        }


NO_FILTERS = Filters()


def _ends(chain: ObjectId, since: date | None, until: date | None) -> Iterator[dict[str, int]]:
    """Between which numbers the events of those days are, so that no index is read further."""
    if since:
        before = {"$lt": _start(since) - _CLOCKS_APART}
        if (seq := _seq_of(chain, before, -1)) is not None:
            yield {"$gt": seq}
    if until:
        after = {"$gte": _start(until + timedelta(days=1)) + _CLOCKS_APART}
        if (seq := _seq_of(chain, after, 1)) is not None:
            yield {"$lt": seq}


def _seq_of(chain: ObjectId, at: dict[str, datetime], way: int) -> int | None:
    """The number of the first event of those times, or of the last."""
    found = AuditEvent._get_collection().find_one(
        {"chain": chain, "at": at}, {"seq": 1}, sort=[("chain", way), ("at", way)]
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
