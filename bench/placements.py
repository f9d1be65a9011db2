"""The cost of sharing a collection with others, beside a collection of one's own."""

from collections.abc import Callable
from typing import Any

from bson import ObjectId

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, timed
from portal.tenants import Tenant
from portal.tenants.placements import SHARED
from portal.tenants.testing import FakePortal

_DOCUMENTS = 2000
_NEIGHBOURS_DOCUMENTS = 10
_BATCH = 1000
# Goals: sharing beside an own collection, and many neighbours beside one.
_MOST = {"get by id": 1.15, "update one": 1.15, "insert one": 1.25, "page of 50": 1.3}
_MOST_BESIDE_MANY = 1.1
# What each organization does with its documents, by rounds.
_WORKS: dict[str, Callable[[Tenant, int], Any]] = {
    "get by id": lambda t, n: t.find_one({"_id": n % _DOCUMENTS}),
    "update one": lambda t, n: t.update_one({"_id": n % _DOCUMENTS}, {"$inc": {"n": 1}}),
    "insert one": lambda t, n: t.insert_one({"name": f"Document {n}", "n": 0}),
    "page of 50": lambda t, n: t.find(
        {"_id": {"$lt": 100 + n % _DOCUMENTS}}, sort=[("_id", -1)], limit=50
    ).to_list(),
    "count by a filter": lambda t, n: t.count_documents({"n": {"$gte": n}}),
    "aggregate": lambda t, n: t.aggregate(
        [{"$group": {"_id": "$n", "count": {"$sum": 1}}}]
    ).to_list(),
}


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Operations in a shared collection against those in an own one; then the same beside few
    neighbours and beside many."""
    with FakePortal(environment.server.admin_uri) as fake, fake.tenants() as tenants:

        def filled(tenant: Tenant) -> Tenant:
            documents = ({"_id": n, "name": f"Document {n}", "n": n} for n in range(_DOCUMENTS))
            tenant.insert_many(documents)
            return tenant

        own = filled(tenants.by_id(fake.create("own")))
        many = scale.documents // _NEIGHBOURS_DOCUMENTS
        sharing = []
        crowds = (1, many // 10, many)
        for pool, neighbours in enumerate(crowds, 1):
            tenant = filled(tenants.by_id(fake.create(f"beside-{pool}", SHARED, pool)))
            sharing.append(tenant)
            _add_neighbours(fake, pool, neighbours)
        figures = []
        for what, work in _WORKS.items():
            rounds = scale.rounds * (5 if what == "aggregate" else 10)
            works = [
                timed(lambda n, work=work, tenant=tenant: work(tenant, n))  # type: ignore[misc]
                for tenant in (own, *sharing)
            ]
            base, few, *others = interleaved_medians(rounds, *works)
            most = _MOST.get(what)
            shared = Figure.in_ms(f"{what}, shared", few, base, "a collection of its own", most)
            figures.append(shared)
            most = _MOST_BESIDE_MANY
            figures += [
                Figure.in_ms(f"{what}, beside {neighbours:,}", seconds, few, "beside 1", most)
                for neighbours, seconds in zip(crowds[1:], others, strict=True)
            ]
    return figures


def _add_neighbours(fake: FakePortal, pool: int, neighbours: int) -> None:
    """Put documents of others around, whom the directory need not know for that."""
    [name] = fake.pool(pool).names
    stored = [
        {"_id": {"o": other, "i": n}, "name": f"Document {n}", "n": n}
        for other in (ObjectId() for _ in range(neighbours))
        for n in range(_NEIGHBOURS_DOCUMENTS)
    ]
    for first in range(0, len(stored), _BATCH):
        fake.data[name].insert_many(stored[first : first + _BATCH], ordered=False)
