"""The choice of organizations: what was typed, and filters."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Self

from bson import ObjectId

from portal.display_names import visible_part
from portal.documents.listing import CLASSES, OPEN_CLASSES, ListedOrganization
from portal.operators.listing import feeding
from portal.operators.listing.classes import EXISTING, VALUES, WORDS, wanted_uses
from portal.operators.listing.errors import InvalidFilter
from portal.operators.listing.searching import LONGEST_SEARCH, every_hit, find_hits, parse_search
from portal.operators.listing.sorting import BY_AGE, Order

MOST_COUNTED = 1001
_AT_ONCE = 1000
_MOST_COMPARED = 1000
_LONGEST_TOLD = 40
# Plans, regions and clusters that are gone are asked for too, and match nothing.
_NAME = re.compile(r"[\w.-]{1,64}")
_DAYS = ("created_from", "created_to")
_FIRST, _LAST = date(1970, 1, 2), date(9999, 12, 30)


@dataclass(frozen=True, slots=True)
class OrganizationFilter:
    """All organizations that aren't purged, or those that are found by ``search`` and match every
    filter that is set. The value is what addresses, forms, jobs and commands carry.

    ``state`` is one of ``ListedState``, ``strategy`` of ``Strategy``, ``size`` of ``SizeClass``,
    ``used`` of ``UseClass``: used within that time, or ``older``. ``created_from`` and
    ``created_to`` are days, in UTC, both included.
    """

    search: str | None = None
    state: str | None = None
    strategy: str | None = None
    size: str | None = None
    used: str | None = None
    plan: str | None = None
    region: str | None = None
    cluster: str | None = None
    created_from: date | None = None
    created_to: date | None = None

    @classmethod
    def from_args(cls, args: Mapping[str, str]) -> Self:
        """From the arguments of an address, a form or a job; an empty one is none. Raises
        InvalidFilter for a value that there is none of."""
        given = {own.name: args.get(own.name, "").strip() for own in fields(cls)}
        chosen = {name: _parsed(name, value) for name, value in given.items() if value}
        return cls(**chosen)

    def to_args(self) -> dict[str, str]:
        """The arguments that ``from_args`` makes an equal filter of; of what is set alone."""
        values = {own.name: getattr(self, own.name) for own in fields(self)}
        return {name: str(value) for name, value in values.items() if value}

    @property
    def in_words(self) -> str:
        """The choice in words: “state active, cluster fra-1”; “all organizations”."""
        return ", ".join(words for words, _ in self.chips) or "all organizations"

    @property
    def chips(self) -> list[tuple[str, dict[str, str]]]:
        """Each part of the choice in words, with the arguments without it."""
        words = {
            "search": f"found by “{self.search}”",
            "created_from": f"created from {self.created_from} (UTC)",
            "created_to": f"created to {self.created_to} (UTC)",
            **{name: f"{name} {getattr(self, name)}" for name in OPEN_CLASSES},
        }
        for name, choices in WORDS.items():
            words[name] = _lowered(choices.get(getattr(self, name) or "", ""), name)
        return [
            (words[own.name], replace(self, **{own.name: None}).to_args())
            for own in fields(self)
            if getattr(self, own.name)
        ]

    @property
    def open_classes(self) -> dict[str, str]:
        """The plan, region and cluster that are asked for."""
        asked = {name: getattr(self, name) for name in OPEN_CLASSES}
        return {name: value for name, value in asked.items() if value}

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """The values of each closed class that are asked for; all of them where none is."""
        return {
            "state": (self.state,) if self.state else EXISTING,
            "size": (self.size,) if self.size else VALUES["size"],
            "use": wanted_uses(self.used) if self.used else VALUES["use"],
            "strategy": (self.strategy,) if self.strategy else VALUES["strategy"],
        }

    @property
    def created(self) -> dict[str, datetime]:
        """The bounds of when it was created, as the server compares them."""
        bounds = {}
        if self.created_from:
            bounds["$gte"] = _midnight(self.created_from)
        if self.created_to:
            bounds["$lt"] = _midnight(self.created_to + timedelta(days=1))
        return bounds

    @property
    def match(self) -> dict[str, Any]:
        """The filter of rows, but for the search."""
        wanted: dict[str, Any] = {name: {"$in": list(v)} for name, v in self.classes.items()}
        wanted |= self.open_classes
        return {**wanted, "created_at": self.created} if self.created else wanted

    def order_of(self, asked: Order) -> Order:
        """The order in which rows are read, where this one is asked for: days of creation are a
        range of that by age, so with them it is the only one, but for the hits of a search."""
        if self.created and not self.search:
            return Order("created", asked.descending)
        return asked

    def matching_ids(self) -> Iterator[ObjectId]:
        """The ids of all organizations that match, each once, however many: also where a list says
        “the first” or “1,001+”. What changed before the call is fed into the listing first."""
        feeding.feed_marked()
        return (row["_id"] for row in self.matching_rows([]))

    def count(self, most: int = MOST_COUNTED) -> int:
        """The number of those that match, counted to ``most``; of a search among its first
        hits."""
        rows = ListedOrganization._get_collection()
        if self.search:
            match = {"$and": [find_hits(self.search).match, self.match]}
            return rows.count_documents(match, limit=most, hint="_id_")
        match, index = self.in_order("by_created")
        return rows.count_documents(match, limit=most, hint=index)

    def matching_rows(self, columns: list[str], order: Order = BY_AGE) -> Iterator[dict[str, Any]]:
        """The rows of all organizations that match, each once, with these fields; in an order, as
        ``order_of`` has it, or in that of a search's words. They are read as they are asked for."""
        if self.search:
            yield from every_hit(parse_search(self.search), self.match, columns)
            return
        order = self.order_of(order)
        rows, field, leading = ListedOrganization._get_collection(), order.field, self.rarest_class
        shown, after = dict.fromkeys(("_id", field, *columns), 1), None
        while True:
            bound = {order.beyond: after} if after else None
            match, index = self.in_order(field, bound, leading)
            page = rows.find(match, shown).sort(field, order.direction).hint(index)
            found = list(page.limit(_AT_ONCE))
            yield from found
            if len(found) < _AT_ONCE:
                return
            after = found[-1][field]

    @property
    def rarest_class(self) -> str | None:
        """The open class that is asked for and has the fewest rows: an index finds them."""
        asked = self.open_classes
        if len(asked) < 2:
            return next(iter(asked), None)
        minute = int(time.monotonic() // 60)
        return min(asked, key=lambda name: _number_with(name, asked[name], minute))

    def in_order(
        self, field: str, bound: dict[str, Any] | None = None, leading: str | None = None
    ) -> tuple[dict[str, Any], list[tuple[str, int]]]:
        """The filter of rows for the order of ``field`` from a ``bound`` on, and the index that has
        it in that order. ``leading`` is the open class that the index begins with, if any is asked
        for."""
        leading = leading or next(iter(self.open_classes), None)
        match = self.match
        if self.created and field == "by_created":
            del match["created_at"]
            bounds = {comparison: {"v": at} for comparison, at in self.created.items()}
            match["$and"] = [{field: {comparison: key}} for comparison, key in bounds.items()]
        if bound:
            match[field] = bound
        names = [*([leading] if leading else []), *CLASSES, field]
        return match, [(name, 1) for name in names]


@lru_cache(maxsize=256)
def _number_with(name: str, value: str, minute: int) -> int:
    """The number of rows in an open class, counted to _MOST_COMPARED; once a minute, as any that
    is about the rarest will do."""
    index = [(name, 1), *((one, 1) for one in CLASSES), (BY_AGE.field, 1)]
    rows = ListedOrganization._get_collection()
    return rows.count_documents({name: value}, limit=_MOST_COMPARED, hint=index)


def _parsed(name: str, value: str) -> Any:
    if name == "search":
        return _typed(value)
    if name in _DAYS:
        return _day(name, value)
    if value not in WORDS[name] if name in WORDS else not _NAME.fullmatch(value):
        raise InvalidFilter(name, value[:_LONGEST_TOLD])
    return value


def _typed(text: str) -> str | None:
    """The text that was typed to search for, without what can't be seen."""
    return " ".join(visible_part(text).split())[:LONGEST_SEARCH] or None


def _day(name: str, typed: str) -> date:
    try:
        day = date.fromisoformat(typed) if len(typed) == len("2026-11-25") else None
    except ValueError:
        day = None
    if day is None or not _FIRST <= day <= _LAST:
        raise InvalidFilter(name, typed[:_LONGEST_TOLD])
    return day


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _lowered(words: str, name: str) -> str:
    """A choice within a sentence: “used in the last 7 days”."""
    lead = {"state": "", "size": "size ", "used": "used ", "strategy": ""}[name]
    return lead + words[:1].lower() + words[1:]
