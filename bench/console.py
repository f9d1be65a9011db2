"""The operators' console: its pages, the list of organizations, search, what following it costs."""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from unittest.mock import patch
from urllib.parse import urlencode

from bson import ObjectId
from pymongo.database import Database

from bench import seed
from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, seconds_of, timed
from bench.usage import resident_mb
from portal import clock
from portal.audit import trail
from portal.database.connection import master_database
from portal.documents.accounts import OperatorRole
from portal.documents.bulk_actions import BulkAction
from portal.documents.listing import ListingFeed
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, Strategy
from portal.operators.bulk.freezing import discard_items, freeze
from portal.operators.listing import checking, feeding
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import ROWS_PER_PAGE, read_page
from portal.operators.listing.sorting import FIELDS, Order
from portal.operators.listing.views import COLUMNS
from tests.factories import an_account, an_app, an_organization
from tests.visitor import Visitor

_CACHE = "cache_size=1GB"
_DEEP = 1000
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


def measure(environment: Environment, scale: Scale) -> Iterator[Figure]:
    """The time that operators wait with that many organizations, and the price for sign-ups."""
    environment.client.admin.command("setParameter", 1, wiredTigerEngineRuntimeConfig=_CACHE)
    master = master_database()
    seed.fill(master, scale.listed, scale.listed * 6 // 5)
    seed.fill_listing(master)
    seed.fill_work(master)
    yield from costs(environment, scale)
    yield from pages(environment, scale)
    yield from searches(environment, scale)
    yield from _following(scale)
    yield from _freezing()
    yield from _rebuilding(scale)


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


def _latency_seconds(environment: Environment, *kinds: str) -> float:
    """The time that the server has taken for commands of these kinds, or of all."""
    told = environment.client.admin.command("serverStatus")["opLatencies"]
    return sum(told[kind]["latency"] for kind in kinds or ("reads", "writes", "commands")) / 1e6


def pages(environment: Environment, scale: Scale) -> list[Figure]:
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
            figures += _p95(environment, f"{which} page by {name}", scale.rounds, works)
    return figures


def searches(environment: Environment, scale: Scale) -> list[Figure]:
    """Search by words of each length, and with a filter."""
    figures = []
    for what, typed in _SEARCHES.items():
        works = [_search(OrganizationFilter(one)) for one in typed]
        figures += _p95(environment, f"search by {what}", scale.rounds, works)
    narrowed = [OrganizationFilter(one, state="active", size="tiny") for one in ("ver", "con", "s")]
    works = list(map(_search, narrowed))
    return [*figures, *_p95(environment, "search with filters", scale.rounds, works)]


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
    return [
        Figure.in_ms("sign-up that the listing follows", fed, without, "one that it doesn’t"),
        Figure("listing what signed up", 3 * scale.rounds / caught_up, "organizations/s"),
    ]


def _rebuilding(scale: Scale) -> list[Figure]:
    """Filling the listing anew as ``flask listing rebuild`` does, from some of the last
    organizations on, while people sign up; raises AssertionError unless it is true at the end."""
    numbers, owner, over = count(), an_account("meanwhile@bench.example"), threading.Event()
    behind = Organization._get_collection().find({}, {"_id": 1}).sort("_id", -1)
    ids = [row["_id"] for row in behind.limit(scale.rebuilt + 1)][::-1]

    def sign_up() -> list[ObjectId]:
        created = []
        while not over.is_set():
            name = f"Meanwhile {next(numbers)}"
            created.append(an_organization(name, owner, strategy=Strategy.SHARED).id)
        return created

    feeding.begin_building()
    ListingFeed.objects.update(set__built_to=ids[0])
    with ThreadPoolExecutor(1) as pool:
        signing_up = pool.submit(sign_up)
        try:
            filled = seconds_of(feeding.feed)
        finally:
            over.set()
        created = signing_up.result()
    feeding.feed_marked()
    assert feeding.is_filled()
    untrue = next(checking.differing([*ids, *created]), None)
    assert untrue is None, untrue
    return [
        Figure("filling the listing anew, sign-ups going on", len(ids) / filled, "organizations/s"),
        Figure("sign-ups meanwhile", len(created) / filled, "organizations/s"),
    ]


def _freezing() -> list[Figure]:
    """Freezing all organizations for a bulk action: the time, and the memory that it needs more."""
    now = clock.now()
    bulk = BulkAction(id=ObjectId(), action="note", arguments={"text": "-"}, created_at=now)
    before = most = resident_mb(os.getpid())

    def look(_: int) -> None:
        nonlocal most
        most = max(most, resident_mb(os.getpid()))

    begun = time.perf_counter()
    frozen = freeze(bulk, OrganizationFilter().matching_ids(), look)["total"]
    taken = time.perf_counter() - begun
    discard_items(bulk.id)
    return [
        Figure("freezing all for a bulk action", frozen / taken, "organizations/s"),
        Figure("memory that it takes", most - before, "MB"),
    ]


def _p95(
    environment: Environment, what: str, rounds: int, works: Sequence[Callable[[], object]]
) -> list[Figure]:
    """The 95th percentile of all of the works, after each was done once: of what they took, and of
    what the server took for their reads."""
    for work in works:
        work()
    took, read = [], []
    for _ in range(rounds):
        for work in works:
            before = _latency_seconds(environment, "reads")
            took.append(seconds_of(work))
            read.append(_latency_seconds(environment, "reads") - before)
    return [
        Figure.in_ms(f"{what}, p95", statistics.quantiles(took, n=20)[-1]),
        Figure.in_ms(f"{what}, in the database, p95", statistics.quantiles(read, n=20)[-1]),
    ]
