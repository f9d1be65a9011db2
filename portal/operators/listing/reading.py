"""Pages of the listing: rows in an order, with their state as it is now."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal.documents.listing import ListedOrganization
from portal.documents.organizations import Organization, OrganizationState
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.searching import find_hits, parse_search
from portal.operators.listing.sorting import Order, comparable_key
from portal.operators.listing.words import fold

ROWS_PER_PAGE = 50
LOOKED_AT = 300
"""The rows that a page looks at for a second open class: those that match are shown, and the next
page goes on behind them."""

FIELDS = (
    "name", "slug", "state", "strategy", "plan", "region", "cluster", "created_at", "documents",
    "bytes", "used_at", "external_id", "owners",
)  # fmt: skip
_TRUTH = dict.fromkeys(
    ("name", "slug", "state", "restricted", "held", "purge_at", "operation", "placement.pool"), 1
)
_NAMED = ("name", "slug", "external_id", "owners")
_FAILED_AFTER = 3


@dataclass(frozen=True, slots=True)
class ShownRow:
    """An organization in the list: its name, slug and state as they are, all else as listed.

    ``running`` is the kind of its operation, ``failing`` its last error where several attempts have
    failed, ``restricted`` the strictest of its suspensions. ``exact`` is a hit that was named in
    full. ``gone`` is one that there is no longer.
    """

    id: ObjectId
    name: str
    slug: str
    state: str
    strategy: str
    cluster: str
    created_at: datetime
    used_at: datetime
    plan: str | None = None
    region: str | None = None
    documents: int | None = None
    bytes: int | None = None
    external_id: str | None = None
    owners: list[str] = field(default_factory=list)
    pool: int | None = None
    running: str | None = None
    failing: str | None = None
    restricted: str | None = None
    held: bool = False
    purge_at: datetime | None = None
    exact: bool = False

    @property
    def is_plain(self) -> bool:
        """True of an active one about which there is nothing more to say."""
        told = self.running or self.restricted or self.held
        return self.state == OrganizationState.ACTIVE and not told

    @property
    def placed(self) -> str:
        """Its placement in words."""
        if self.pool is not None:
            return f"shared {self.pool:02}"
        return f"own {self.strategy}" if self.strategy != "shared" else "shared"


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A page of the listing. ``before`` and ``after`` are positions of the adjacent pages.

    ``first_hits`` tells that only the first hits of a search were looked at, ``matching`` how many
    of its hits match; ``looked_at`` how many rows were, where a page of few rows isn't the last.
    """

    rows: list[ShownRow]
    before: str | None = None
    after: str | None = None
    first_hits: bool = False
    matching: int | None = None
    looked_at: int | None = None

    @property
    def is_all(self) -> bool:
        """True where these are all that match."""
        return self.before is None and self.after is None and not self.first_hits


def read_page(
    wanted: OrganizationFilter,
    order: Order,
    *,
    before: str | None = None,
    after: str | None = None,
    size: int = ROWS_PER_PAGE,
) -> ListingPage:
    """A page of the organizations that match, from a position on, with their states read now. Days
    of creation are a range of that order, so with them it is the only one."""
    if wanted.created and not wanted.search:
        order = Order("created", order.descending)
    back = order.key_at(before) if before else None
    on = order.key_at(after) if after and back is None else None
    if wanted.search:
        return _page_of_hits(wanted, order, back, on, size)
    return _page_in_order(wanted, order, back, on, size)


def count_all() -> int:
    """About how many organizations are listed, purged ones too."""
    return ListedOrganization._get_collection().estimated_document_count()


def _page_in_order(
    wanted: OrganizationFilter,
    order: Order,
    back: dict[str, Any] | None,
    on: dict[str, Any] | None,
    size: int,
) -> ListingPage:
    way = order.reversed if back else order
    start = back or on
    bound = {way.beyond: start} if start else None
    leading = wanted.rarest_class
    others = {name: one for name, one in wanted.open_classes.items() if name != leading}
    base, index = wanted.in_order(way.field, bound, leading)
    match = {name: value for name, value in base.items() if name not in others}
    most = LOOKED_AT if others else size
    shown = dict.fromkeys((*FIELDS, way.field), 1)
    found = ListedOrganization._get_collection().find(match, shown)
    looked = list(found.sort(way.field, way.direction).hint(index).limit(most + 1))
    more, looked = len(looked) > most, looked[:most]
    rows = [row for row in looked if all(row.get(name) == others[name] for name in others)]
    last = looked[-1] if looked else None
    if len(rows) > size:
        rows, more = rows[:size], True
        last = rows[-1]
    if back:
        rows.reverse()
    ends = _positions(rows, last, order, backwards=bool(back), from_start=start is None, more=more)
    return ListingPage(
        _shown(rows), *ends, looked_at=len(looked) if others and more and len(rows) < size else None
    )


def _positions(
    rows: list[dict[str, Any]],
    last: dict[str, Any] | None,
    order: Order,
    *,
    backwards: bool,
    from_start: bool,
    more: bool,
) -> tuple[str | None, str | None]:
    """The positions before and after a page whose reading ended at ``last``."""
    if last is None:
        return None, None
    end = order.position(last[order.field])
    near = order.position((rows or [last])[-1 if backwards else 0][order.field])
    if backwards:
        return (end if more else None), near
    return (None if from_start else near), (end if more else None)


def _page_of_hits(
    wanted: OrganizationFilter,
    order: Order,
    back: dict[str, Any] | None,
    on: dict[str, Any] | None,
    size: int,
) -> ListingPage:
    hits = find_hits(parse_search(wanted.search or ""))
    match = {"$and": [{"_id": {"$in": hits.ids}}, wanted.match]}
    listed = ListedOrganization._get_collection()
    found = list(listed.find(match, dict.fromkeys((*_NAMED, order.field), 1)))
    typed = fold(wanted.search or "")
    exact = hits.exact | {row["_id"] for row in found if typed in _names(row)}
    rows = sorted(found, key=lambda row: comparable_key(row[order.field]))
    if order.descending:
        rows.reverse()
    first = [row for row in rows if row["_id"] in exact]
    others = [row for row in rows if row["_id"] not in exact]
    keys = [comparable_key(row[order.field]) for row in others]
    if order.descending:
        keys.reverse()
    start, end = 0, size
    if back:
        end = _place(keys, comparable_key(back), order, after=False)
        start = max(0, end - size)
    elif on:
        start = _place(keys, comparable_key(on), order, after=True)
        end = start + size
    page = others[start:end]
    before = order.position(page[0][order.field]) if page and start else None
    more = end < len(others)
    rest = order.position(page[-1][order.field]) if page and more else None
    ids = [row["_id"] for row in (page if start else [*first, *page])]
    of_page = listed.find({"_id": {"$in": ids}}, dict.fromkeys(FIELDS, 1))
    by_id = {row["_id"]: row for row in of_page}
    rows = [by_id[one] for one in ids if one in by_id]
    return ListingPage(
        _shown(rows, exact), before, rest, first_hits=not hits.complete, matching=len(found)
    )


def _place(keys: list[Any], key: Any, order: Order, *, after: bool) -> int:
    """The number of rows before a key in the order, with its own where ``after``. The ``keys``
    ascend."""
    if order.descending:
        return len(keys) - (bisect_left(keys, key) if after else bisect_right(keys, key))
    return bisect_right(keys, key) if after else bisect_left(keys, key)


def _names(row: dict[str, Any]) -> Iterator[str]:
    """The words that name the organization of a row in full."""
    yield from (fold(row["name"]), row["slug"], fold(row.get("external_id", "")))
    yield from (fold(address) for address in row.get("owners", ()))


def _shown(rows: list[dict[str, Any]], exact: frozenset[ObjectId] = frozenset()) -> list[ShownRow]:
    """The rows with what is true of them now; without those that are gone."""
    found = Organization._get_collection().find({"_id": {"$in": [r["_id"] for r in rows]}}, _TRUTH)
    truth = {one["_id"]: one for one in found}
    return [_show(row, truth[row["_id"]], exact) for row in rows if row["_id"] in truth]


def _show(row: dict[str, Any], truth: dict[str, Any], exact: frozenset[ObjectId]) -> ShownRow:
    listed = {name: row[name] for name in FIELDS if name in row}
    operation = truth.get("operation") or {}
    failing = operation.get("last_error") if operation.get("attempt", 0) > _FAILED_AFTER else None
    return ShownRow(
        **{
            **listed,
            "id": row["_id"],
            "name": truth["name"],
            "slug": truth["slug"],
            "state": truth["state"],
            "pool": truth.get("placement", {}).get("pool"),
            "running": operation.get("kind"),
            "failing": failing,
            "restricted": truth.get("restricted"),
            "held": bool(truth.get("held")),
            "purge_at": truth.get("purge_at"),
            "exact": row["_id"] in exact,
        }
    )
