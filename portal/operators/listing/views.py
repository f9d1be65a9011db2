"""The list of all organizations."""

import time
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

from flask import Blueprint, Response, g, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.database.clusters import known_clusters
from portal.database.together import joined, read
from portal.documents.listing import ListedOrganization
from portal.documents.organizations import MAIN_CLUSTER
from portal.operators.access import Operator
from portal.operators.guards import render_operator_page, with_operator
from portal.operators.listing import feeding
from portal.operators.listing.classes import WORDS
from portal.operators.listing.export import as_csv
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import reading_page
from portal.operators.listing.searching import LONGEST_SEARCH
from portal.operators.listing.sorting import Order
from portal.organizations.usage.reading import operations_by_hour
from portal.web.charts import sparkline

blueprint = Blueprint("operator_listing", __name__, url_prefix="/operator")

_PAGE = "operator_listing.show"
_MOST_CHOICES = 100


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list: its words, and the order that it has, if any."""

    name: str
    words: str
    sort: str | None = None
    number: bool = False


BY_NAME = Column("name", "Organization", "name")
COLUMNS = (
    Column("slug", "Slug"),
    Column("state", "State"),
    Column("plan", "Plan"),
    Column("region", "Region"),
    Column("placement", "Placement"),
    Column("cluster", "Cluster"),
    Column("documents", "Documents", "documents", number=True),
    Column("size", "Size", "size", number=True),
    Column("operations", "Operations, 24 h"),
    Column("owners", "Owners"),
    Column("external_id", "External id"),
    Column("used", "Last used", "used", number=True),
    Column("created", "Created (UTC)", "created", number=True),
)
DEFAULT_COLUMNS = ("slug", "state", "placement", "documents", "size", "used", "created")


@dataclass(frozen=True, slots=True)
class ListLinks:
    """The addresses of the list: what is found, in which order, with which columns."""

    wanted: OrganizationFilter
    order: Order | None
    columns: tuple[str, ...]

    @property
    def kept(self) -> list[tuple[str, str]]:
        """The order and the columns, where they aren't the usual ones."""
        sort = [("sort", str(self.order))] if self.order else []
        chosen = self.columns if self.columns != DEFAULT_COLUMNS else ()
        return [*sort, *(("column", name) for name in chosen)]

    def page(self, **position: str) -> str:
        """This list from a position on."""
        return self._to(self.wanted.to_args(), [*self.kept, *position.items()])

    def sorted_by(self, column: Column) -> str:
        """This list by a column: upwards and downwards by turns, the larger or newer first."""
        name = column.sort or ""
        again = self.order == Order(name, descending=True)
        order = Order(name, descending=not again and name != "name")
        if name == "name":
            order = Order(name, descending=self.order in (None, Order("name")))
        return ListLinks(self.wanted, order, self.columns).page()

    @property
    def chips(self) -> list[tuple[str, str]]:
        """The parts of the choice in words, each with the list without it."""
        return [(words, self._to(rest, self.kept)) for words, rest in self.wanted.chips]

    @property
    def csv(self) -> str:
        """The file of all that match."""
        query = {**self.wanted.to_args(), **({"sort": str(self.order)} if self.order else {})}
        return f"{url_for('.export')}?{urlencode(query)}" if query else url_for(".export")

    def _to(self, filters: dict[str, str], others: list[tuple[str, str]]) -> str:
        query = urlencode([*filters.items(), *others])
        return f"{url_for(_PAGE)}?{query}" if query else url_for(_PAGE)


@blueprint.get("/organizations")
@with_operator("console.view")
def show(operator: Operator) -> ResponseReturnValue:
    wanted = OrganizationFilter.from_args(request.args)
    asked = Order.parse(request.args.get("sort", ""))
    links = ListLinks(wanted, asked, _columns())
    order = wanted.order_of(asked or Order())
    before, after = request.args.get("before"), request.args.get("after")
    page, lag, filled = read(
        joined(
            reading_page(wanted, order, before=before, after=after),
            feeding.reading_lag(),
            feeding.reading_filled(),
        )
    )
    minute = int(time.monotonic() // 60)
    days = (
        operations_by_hour([row.id for row in page.rows]) if "operations" in links.columns else {}
    )
    return render_operator_page(
        "operators/listing/list.html",
        operator,
        page=page,
        positioned=bool(before or after),
        wanted=wanted,
        order=order,
        links=links,
        columns=[column for column in COLUMNS if column.name in links.columns],
        all_columns=COLUMNS,
        by_name=BY_NAME,
        choices=WORDS,
        clusters=_clusters(),
        plans=_values_of("plan", minute),
        regions=_values_of("region", minute),
        total=ListedOrganization._get_collection().estimated_document_count(),
        matching=page.matching if wanted.search else _matching(wanted),
        lag=lag,
        built=filled,
        longest_search=LONGEST_SEARCH,
        lines={own_id: sparkline(day) for own_id, day in days.items()},
        bulk_page=_bulk_page(operator),
    )


@blueprint.get("/organizations.csv")
@with_operator("console.view")
def export(operator: Operator) -> ResponseReturnValue:
    wanted = OrganizationFilter.from_args(request.args)
    order = Order.parse(request.args.get("sort", "")) or Order()
    answer = Response(as_csv(wanted, order, g.request_id), content_type="text/csv; charset=utf-8")
    name = f"organizations-{clock.now():%Y-%m-%d}.csv"
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def _bulk_page(operator: Operator) -> str | None:
    """The page on which an action on many is planned, for those who may act."""
    return url_for("operator_bulk.plan") if operator.can("console.act") else None


def _columns() -> tuple[str, ...]:
    asked = set(request.args.getlist("column"))
    return tuple(column.name for column in COLUMNS if column.name in asked) or DEFAULT_COLUMNS


def _matching(wanted: OrganizationFilter) -> int | None:
    """The number that match, counted so far; ``None`` where all do, and where it would take
    long."""
    if not wanted.to_args() or len(wanted.open_classes) > 1:
        return None
    return wanted.count()


def _clusters() -> dict[str, str]:
    """The clusters that there are, and the one that is asked for, in words by name."""
    names = {MAIN_CLUSTER, *(cluster.name for cluster in known_clusters())}
    return {name: name for name in sorted(names)}


@lru_cache(maxsize=2)
def _values_of(name: str, minute: int) -> list[str]:
    """The values of an open class, some where there are many; read once a minute, as they are only
    suggested."""
    return ListedOrganization._get_collection().distinct(name)[:_MOST_CHOICES]
