"""The cost of the tenant store beside PyMongo's own methods."""

from collections.abc import Callable

from pymongo.write_concern import WriteConcern

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, timed
from portal.organizations.storage import tenant_of
from portal.settings import current
from tests.factories import an_organization

_BULK = 500
_DOCUMENTS = 2000


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The store's methods and PyMongo's without a fence, both acknowledged by a majority."""
    organization = an_organization("Store")
    store = tenant_of(organization)
    plain = environment.client[current().tenant_db].get_collection(
        organization.placement.collection, write_concern=WriteConcern("majority")
    )
    plain.insert_many({"_id": n, "name": f"Document {n}", "n": 0} for n in range(_DOCUMENTS))
    many = [{"name": f"Document {n}"} for n in range(_BULK)]
    figures = []

    def compare(
        what: str, rounds: int, unfenced: Callable[[int], object], fenced: Callable[[int], object]
    ) -> None:
        base, cost = interleaved_medians(rounds, timed(unfenced), timed(fenced))
        figures.append(Figure.in_ms(what, cost, base, "plain PyMongo"))

    quick = 10 * scale.rounds
    compare("get", quick, lambda n: plain.find_one({"_id": n}), store.find_one)
    compare(
        "find, a page of 25",
        quick,
        lambda n: list(plain.find({"_id": {"$lt": n + 100}}, sort=[("_id", -1)], limit=25)),
        lambda n: list(store.find({"_id": {"$lt": n + 100}}, sort=[("_id", -1)], limit=25)),
    )
    compare(
        "count",
        quick,
        lambda n: plain.count_documents({"_id": {"$lt": 1000}}),
        lambda n: store.count_documents({"_id": {"$lt": 1000}}),
    )
    compare(
        "insert one",
        quick,
        lambda n: plain.insert_one({"name": f"Document {n}", "n": 0}),
        lambda n: store.insert_one({"name": f"Document {n}", "n": 0}),
    )
    compare(
        "update one",
        quick,
        lambda n: plain.update_one({"_id": n}, {"$inc": {"n": 1}}),
        lambda n: store.update_one({"_id": n}, {"$inc": {"n": 1}}),
    )
    compare(
        f"insert many, {_BULK}",
        scale.rounds,
        lambda n: plain.insert_many([dict(each) for each in many]),
        lambda n: store.insert_many([dict(each) for each in many]),
    )
    return figures
