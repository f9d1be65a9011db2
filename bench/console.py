"""The operators' list of organizations: pages, search, what following it costs."""

import statistics
from collections.abc import Callable, Sequence
from itertools import count, islice
from unittest.mock import patch

from bench import seed
from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, seconds_of, timed
from portal.audit import trail
from portal.database.connection import master_database
from portal.documents.listing import ListedOrganization
from portal.documents.organizations import Strategy
from portal.operators.listing import feeding
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import ROWS_PER_PAGE, read_page
from portal.operators.listing.sorting import FIELDS, Order
from tests.factories import an_account, an_organization

_CACHE = "cache_size=1GB"
_DEEP = 1000
_FILLED = 2000
_FILTERS = (
    OrganizationFilter(),
    OrganizationFilter(state="active", size="tiny", used="month", strategy="shared"),
    OrganizationFilter(state="trashed"),
    OrganizationFilter(size="large"),
    OrganizationFilter(plan="team"),
    OrganizationFilter(cluster="iad-1", used="older"),
    OrganizationFilter(plan="enterprise", cluster="fra-1"),
)
_SEARCHES = {
    "1 letter": ("v", "c", "s"),
    "3 letters": ("ver", "con", "gym"),
    "9 letters": ("verdanico", "consultin", "logistics"),
    "two words": ("ver bak", "con gmbh", "s a"),
    "an address": ("ver.verdani@gmail.example", "con.@web.example", "@gmail.example"),
}


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The time that operators wait with that many organizations, and the price for sign-ups."""
    environment.client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig=_CACHE)
    master = master_database()
    seed.fill(master, scale.listed, scale.listed * 6 // 5)
    seed.fill_listing(master)
    return [*pages(scale), *searches(scale), *_following(scale)]


def pages(scale: Scale) -> list[Figure]:
    """Pages by each order, with each of the filters."""
    figures = []
    for name in FIELDS:
        order = Order(name)
        deep = min(_DEEP * ROWS_PER_PAGE, scale.listed // 2)
        row = next(islice(OrganizationFilter().matching_rows([], order), deep, None))
        for which, after in (("first", None), (f"{_DEEP:,}th", order.position(row[order.field]))):
            works = [
                lambda wanted=wanted, order=order, after=after: read_page(  # type: ignore[misc]
                    wanted, order, after=after
                )
                for wanted in _FILTERS
            ]
            figures.append(_p95(f"{which} page by {name}", scale.rounds, works))
    return figures


def searches(scale: Scale) -> list[Figure]:
    """Search by words of each length, and with a filter."""
    found = [
        _p95(f"search by {what}", scale.rounds, [_search(OrganizationFilter(one)) for one in typed])
        for what, typed in _SEARCHES.items()
    ]
    narrowed = [OrganizationFilter(one, state="active", size="tiny") for one in ("ver", "con", "s")]
    return [*found, _p95("search with filters", scale.rounds, list(map(_search, narrowed)))]


def _search(wanted: OrganizationFilter) -> Callable[[], object]:
    return lambda: read_page(wanted, Order())


def _following(scale: Scale) -> list[Figure]:
    numbers, owner = count(), an_account("console@bench.example")

    def create() -> float:
        name = f"Console {next(numbers)}"
        return seconds_of(lambda: an_organization(name, owner, strategy=Strategy.SHARED))

    def create_unlisted(_: int) -> float:
        with patch.object(trail, "Organization", type(None)):
            return create()

    without, fed = interleaved_medians(3 * scale.rounds, create_unlisted, lambda _: create())
    caught_up = timed(lambda _: feeding.feed_marked())(0)
    rows = ListedOrganization._get_collection().find({}, {"_id": 1}).limit(_FILLED)
    ids = [row["_id"] for row in rows]
    filled = seconds_of(
        lambda: [
            feeding.list_organizations(ids[first : first + feeding.AT_ONCE], all_words=True)
            for first in range(0, len(ids), feeding.AT_ONCE)
        ]
    )
    return [
        Figure.in_ms("sign-up that the listing follows", fed, without, "one that it doesn’t"),
        Figure("listing what signed up", 3 * scale.rounds / caught_up, "organizations/s"),
        Figure("filling the listing anew", len(ids) / filled, "organizations/s"),
    ]


def _p95(what: str, rounds: int, works: Sequence[Callable[[], object]]) -> Figure:
    """The 95th percentile of all of the works, after each was done once."""
    for work in works:
        work()
    took = [seconds_of(work) for _ in range(rounds) for work in works]
    return Figure.in_ms(f"{what}, p95", statistics.quantiles(took, n=20)[-1])
