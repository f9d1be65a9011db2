"""The operators' console: its pages, the list of organizations, search, what following it costs."""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import count, islice
from unittest.mock import patch
from urllib.parse import urlencode

from pymongo.database import Database

from bench import seed
from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, seconds_of, timed
from portal.audit import trail
from portal.database.connection import master_database
from portal.documents.accounts import OperatorRole
from portal.documents.listing import ListedOrganization
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Strategy
from portal.operators.listing import feeding
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import ROWS_PER_PAGE, read_page
from portal.operators.listing.sorting import FIELDS, Order
from portal.operators.listing.views import COLUMNS
from tests.factories import an_account, an_app, an_organization
from tests.visitor import Visitor

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
_ALL_COLUMNS = [("column", column.name) for column in COLUMNS]
_OTHERS = ("operations", "capacity", "usage", "placement", "activity", "people", "operators")
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
    seed.fill_work(master)
    return [*costs(environment, scale), *pages(scale), *searches(scale), *_following(scale)]


def costs(environment: Environment, scale: Scale) -> list[Figure]:
    """The costs of pages: of this thread, and of the server, whose latencies count all that it does
    meanwhile."""
    desk = _desk(environment)
    figures = []
    for what, path in _paths(master_database()).items():
        _get(desk, path)
        taken, spent = _latency_seconds(environment), []
        for _ in range(scale.rounds):
            before = time.thread_time()
            _get(desk, path)
            spent.append(time.thread_time() - before)
        taken = (_latency_seconds(environment) - taken) / scale.rounds
        figures.append(Figure.in_ms(f"{what}, CPU", statistics.median(spent)))
        figures.append(Figure.in_ms(f"{what}, in the database", taken))
    return figures


def _desk(environment: Environment) -> Visitor:
    account = an_account("desk@bench.example")
    _, codes = an_app(account)
    account.modify(set__operator_role=OperatorRole.OPERATOR)
    desk = Visitor(environment.app)
    desk.log_in(account.email)
    assert desk.post("/login/second", {"code": codes[0]}).status == 303
    return desk


def _paths(master: Database) -> dict[str, str]:
    membership = master[Membership._get_collection_name()].find_one({"role": Role.OWNER})
    assert membership is not None
    one = f"/operator/organizations/{membership['organization']}"
    return {
        "first page": "/operator",
        "list": "/operator/organizations",
        "list by size": "/operator/organizations?sort=-size",
        "list with all columns": f"/operator/organizations?{urlencode(_ALL_COLUMNS)}",
        "search page": "/operator/organizations?search=ver",
        "one organization": one,
        **{f"its {page}": f"{one}/{page}" for page in ("members", "activity")},
        **{page: f"/operator/{page}" for page in _OTHERS},
        "people by prefix": "/operator/people?q=ver.",
        "people by domain": "/operator/people?q=gmail.ex",
        "person": f"/operator/people/{membership['account']}",
    }


def _get(desk: Visitor, path: str) -> None:
    answer = desk.client.get(path)
    assert answer.status_code == 200, f"{path} was answered {answer.status_code}"


def _latency_seconds(environment: Environment) -> float:
    """The time that the server has taken for commands."""
    told = environment.client.admin.command("serverStatus")["opLatencies"]
    return sum(told[kind]["latency"] for kind in ("reads", "writes", "commands")) / 1e6


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
