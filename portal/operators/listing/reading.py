"""Pages of the listing: rows in an order, with their state as it is now."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal.database.together import Part, Read, Rows, Stages, joined, read
from portal.documents.listing import ListedOrganization
from portal.documents.organizations import Organization, OrganizationState
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.searching import reading_hits
from portal.operators.listing.sorting import Order
from portal.operators.listing.words import LONGEST_WORD, fold

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
_FAILED_AFTER = 3
# By their ids they are found at once, while the server would try indexes of the order as well.
_BY_ID = "_id_"


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
    """A page of the organizations that match, from a position on, in the order that ``order_of``
    makes of the one that is asked for, with their states read now."""
    return read(reading_page(wanted, order, before=before, after=after, size=size))


def reading_page(
    wanted: OrganizationFilter,
    order: Order,
    *,
    before: str | None = None,
    after: str | None = None,
    size: int = ROWS_PER_PAGE,
) -> Part[ListingPage]:
    """Reads such a page: its rows, then their states."""
    order = wanted.order_of(order)
    back = order.key_at(before) if before else None
    on = order.key_at(after) if after and back is None else None
    if wanted.search:
        return (yield from _page_of_hits(wanted, order, back, on, size))
    return (yield from _page_in_order(wanted, order, back, on, size))


def _page_in_order(
    wanted: OrganizationFilter,
    order: Order,
    back: dict[str, Any] | None,
    on: dict[str, Any] | None,
    size: int,
) -> Part[ListingPage]:
    way = order.reversed if back else order
    start = back or on
    bound = {way.beyond: start} if start else None
    leading = wanted.rarest_class
    others = {name: one for name, one in wanted.open_classes.items() if name != leading}
    base, index = wanted.in_order(way.field, bound, leading)
    match = {name: value for name, value in base.items() if name not in others}
    most = LOOKED_AT if others else size
    stages: Stages = [
        {"$match": match},
        {"$sort": {way.field: way.direction}},
        {"$limit": most + 1},
        {"$project": {"_id": 0, way.field: 1}},  # which the index has
    ]
    [looked] = yield [Read(ListedOrganization, stages, hint=dict(index))]
    more, looked = len(looked) > most, looked[:most]
    keys = [row[way.field] for row in looked]
    if others:
        rows = yield from _rows_of(keys, way.field, others)
        last = looked[-1] if looked else None
        if len(rows) > size:
            rows, more = rows[:size], True
            last = rows[-1]
        truth = yield from _truth_of([row["_id"] for row in rows])
    else:
        rows, truth = yield from joined(
            _rows_of(keys, way.field), _truth_of([key["o"] for key in keys])
        )
        last = looked[-1] if looked else None
    if back:
        rows.reverse()
    ends = _positions(rows, last, order, backwards=bool(back), from_start=start is None, more=more)
    partial = others and more and len(rows) < size
    return ListingPage(_shown(rows, truth), *ends, looked_at=len(looked) if partial else None)


def _rows_of(
    keys: list[dict[str, Any]], field: str, others: dict[str, str] | None = None
) -> Part[Rows]:
    """Reads the rows of these sort keys that match the ``others``, in their order, each with its
    key as the ``field``."""
    wanted = {"_id": {"$in": [key["o"] for key in keys]}, **(others or {})}
    stages: Stages = [{"$match": wanted}, {"$project": dict.fromkeys(FIELDS, 1)}]
    [found] = yield [Read(ListedOrganization, stages, hint=_BY_ID if others else None)]
    by_id = {row["_id"]: row for row in found}
    return [{**by_id[key["o"]], field: key} for key in keys if key["o"] in by_id]


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
) -> Part[ListingPage]:
    typed = wanted.search or ""
    hits = yield from reading_hits(typed)
    match = {"$and": [hits.match, wanted.match]}
    way, start = order.reversed if back else order, back or on
    others: Stages = [
        {"$match": {way.field: {way.beyond: start}} if start else {}},
        {"$sort": {way.field: way.direction}},
        {"$limit": size + 1},
    ]
    found = yield from _facets(match, hits.exact, fold(typed), order, others)
    more, rows = len(found["others"]) > size, found["others"][:size]
    last = rows[-1] if rows else None
    if back:
        rows.reverse()
    from_start = not more if back else on is None
    ends = _positions(rows, last, order, backwards=bool(back), from_start=from_start, more=more)
    exact = frozenset(row["_id"] for row in found["exact"])
    rows = [*(found["exact"] if from_start else []), *rows]
    truth = yield from _truth_of([row["_id"] for row in rows])
    return ListingPage(
        _shown(rows, truth, exact),
        *ends,
        first_hits=not hits.complete,
        matching=sum(each["number"] for each in found["matching"]),
    )


def _facets(
    match: dict[str, Any], exact: frozenset[ObjectId], typed: str, order: Order, others: Stages
) -> Part[dict[str, Rows]]:
    """Reads the rows that match: those that the typed text names in full, the ``others``, and how
    many match. The server compares names and slugs; of external ids and addresses it has the words
    alone, so those that have the text among them are looked at here."""
    named = {"$or": [{"_id": {"$in": list(exact)}}, {"by_name.v": typed}, {"slug": typed}]}
    by_word: dict[str, Any] = {"$nor": [named], "words": typed[:LONGEST_WORD]}
    if "@" not in typed:
        by_word["external_id"] = {"$exists": True}
    shown = {"$project": dict.fromkeys((*FIELDS, order.field), 1)}
    facets = {
        "exact": [{"$match": named}, {"$sort": {order.field: order.direction}}, shown],
        "others": [{"$match": {"$nor": [named]}}, *others, shown],
        "by_word": [{"$match": by_word}, {"$project": {"external_id": 1, "owners": 1}}],
        "matching": [{"$count": "number"}],
    }
    stages: Stages = [{"$match": match}, {"$facet": facets}]
    [[found]] = yield [Read(ListedOrganization, stages, hint=_BY_ID)]
    also = frozenset(row["_id"] for row in found["by_word"] if typed in _names(row))
    return (yield from _facets(match, exact | also, typed, order, others)) if also else found


def _names(row: dict[str, Any]) -> Iterator[str]:
    """The external id and the addresses of a row, as they are compared."""
    yield fold(row.get("external_id", ""))
    yield from (fold(address) for address in row.get("owners", ()))


def _truth_of(ids: list[ObjectId]) -> Part[dict[ObjectId, dict[str, Any]]]:
    """Reads what is true of these organizations now; of one that is gone nothing."""
    [found] = yield [Read(Organization, [{"$match": {"_id": {"$in": ids}}}, {"$project": _TRUTH}])]
    return {one["_id"]: one for one in found}


def _shown(
    rows: Rows, truth: dict[ObjectId, dict[str, Any]], exact: frozenset[ObjectId] = frozenset()
) -> list[ShownRow]:
    """The rows with what is true of them; without those that are gone."""
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
