"""The cost of asking a server how much it holds, among few collections and among many."""

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, timed
from portal.database.connection import tenant_database
from portal.documents.organizations import MAIN_CLUSTER
from portal.placement import capacity

_ASKED = ("how much it holds", "… and how many databases")
# Goal: as cheap among many as among few, but for a listing of names.
_MOST_AMONG_MANY = 2


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Measure what a sign-up asks at most: the counters, and the number of databases."""
    number = scale.documents // 10
    rounds = 10 * scale.rounds
    database = tenant_database()
    few = _medians(rounds)
    try:
        for n in range(number):
            database.create_collection(f"org_{n}")
        assert capacity.read(MAIN_CLUSTER, databases=False).collections > number
        many = _medians(rounds)
    finally:
        environment.client.drop_database(database.name)
    return [
        Figure.in_ms(
            f"{what}, among {number:,} collections", seconds, base, "few", _MOST_AMONG_MANY
        )
        for what, seconds, base in zip(_ASKED, many, few, strict=True)
    ]


def _medians(rounds: int) -> list[float]:
    return interleaved_medians(
        rounds,
        timed(lambda _: capacity.read(MAIN_CLUSTER, databases=False, limits_known=True)),
        timed(lambda _: capacity.read(MAIN_CLUSTER, databases=True, limits_known=True)),
    )
