"""Pages of documents: the first, and one far behind, in a large collection."""

import re
import statistics
from typing import Any

import bson
import pymongo

from bench.environment import TENANT_DB, Environment
from bench.report import Figure
from bench.scale import Scale
from bench.visits import OrganizationPage
from portal.data.queries import cursor_of

_AT_ONCE = 100_000
_INDEX_SECONDS = 1800
_EQUAL = 5000  # documents with the same n
_TOLD = re.compile(r", (\d+) ms\.")


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The time that the database takes for the documents of a page, as the page tells it."""
    page = OrganizationPage(environment.portal, "Browsing")
    stored = environment.client[TENANT_DB]["org_browsing"]
    for first in range(0, scale.browsed, _AT_ONCE):
        last = min(scale.browsed, first + _AT_ONCE)
        stored.insert_many(map(_document, range(first, last)), ordered=False)
    with pymongo.timeout(_INDEX_SECONDS):
        stored.create_index([("n", 1), ("_id", 1)])
    middle = _document(scale.browsed // 2)
    figures = []
    for words, sort in (("_id", {"_id": -1}), ("an index that ends in _id", {"n": 1, "_id": 1})):
        asked = "&".join(f"sort={'-' * (way < 0)}{name}" for name, way in sort.items())
        behind = f"&after={cursor_of(bson.encode(middle), sort)}"
        for which, after in (("first", ""), ("in the middle", behind)):
            took = [_milliseconds(page, f"{asked}{after}") for _ in range(scale.rounds + 3)][3:]
            what = f"page {which}, by {words}, of {scale.browsed:,}: p95 in the database"
            figures.append(Figure(what, statistics.quantiles(took, n=20)[-1], "ms"))
    return figures


def _milliseconds(page: OrganizationPage, query: str) -> int:
    found = _TOLD.search(page.read(f"/data?{query}"))
    assert found is not None
    return int(found[1])


def _document(number: int) -> dict[str, Any]:
    return {
        "_id": number,
        "n": number // _EQUAL,
        "number": f"WO-{number}",
        "site": "Harbour depot",
        "hours": 3.5,
        "parts": [{"sku": "PX-114", "count": 2}],
        "note": "Key at the gate",
    }
