"""The time of lifecycle operations by strategy and by how much an organization has stored, and what
neighbours in a pool notice of a purge."""

import threading
from statistics import quantiles

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import Timed, interleaved_medians, seconds_of
from portal.documents.organizations import Organization, Strategy
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from tests.factories import a_context, an_account, an_organization

_FEW = 10
_AT_ONCE = 1000
_PURGED = 10_000
_WRITES = 2000
# Goals: flat in documents; neighbours' p99 at most doubled by a purge.
_MOST_FOR_MANY = 1.25
_MOST_BESIDE_A_PURGE = 2


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Rename, trash, restore and purge, with few documents and with many; then a neighbour's
    inserts, alone and while many documents are purged."""
    return [*_by_strategy(scale), *_beside_a_purge(scale)]


def _by_strategy(scale: Scale) -> list[Figure]:
    figures = []
    for strategy in Strategy:
        few, many = (_organization(strategy, size) for size in (_FEW, scale.documents))
        for name, timed in (("rename", _rename), ("trash", _trash), ("restore", _restore)):
            medians = interleaved_medians(scale.rounds, timed(few), timed(many))
            words = f"{name}, {strategy}, {_FEW} documents"
            figures.append(Figure.in_ms(words, medians[0]))
            many_words = f"{name}, {strategy}, {scale.documents:,} documents"
            base, to = medians[0], f"{_FEW} documents"
            figures.append(Figure.in_ms(many_words, medians[1], base, to, _MOST_FOR_MANY))
        [purge] = interleaved_medians(scale.repeats, _purge(strategy))
        figures.append(Figure.in_ms(f"purge, {strategy}, {_FEW} documents", purge))
    return figures


def _beside_a_purge(scale: Scale) -> list[Figure]:
    neighbour = tenant_of(_organization(Strategy.SHARED, 0))
    documents = min(scale.documents, _PURGED)
    alone: list[float] = []
    beside: list[float] = []
    purges: list[float] = []
    for _ in range(scale.repeats):
        purged = _organization(Strategy.SHARED, documents)
        alone += [seconds_of(lambda: neighbour.insert_one({})) for _ in range(_WRITES)]

        def purge(organization: Organization = purged) -> None:
            purges.append(seconds_of(lambda: purge_organization(organization, None, a_context())))

        thread = threading.Thread(target=purge)
        thread.start()
        while thread.is_alive():
            beside.append(seconds_of(lambda: neighbour.insert_one({})))
        thread.join()
    before, meanwhile = (quantiles(seconds, n=100)[98] for seconds in (alone, beside))
    words = f"{documents:,} documents are purged"
    return [
        Figure.in_ms(f"purge, shared, {documents:,} documents", sum(purges) / len(purges)),
        Figure.in_ms("neighbour’s insert, p99", before),
        Figure.in_ms(
            f"neighbour’s insert while {words}, p99",
            meanwhile,
            before,
            "alone",
            _MOST_BESIDE_A_PURGE,
        ),
    ]


def _organization(strategy: Strategy, documents: int) -> Organization:
    number = Organization.objects.count()
    account = an_account(f"bench-{number}@acme.example")
    organization = an_organization(f"Bench {number}", account, strategy)
    tenant = tenant_of(organization)
    for begin in range(0, documents, _AT_ONCE):
        many = range(begin, min(begin + _AT_ONCE, documents))
        tenant.insert_many({"_id": n, "words": "some"} for n in many)
    return organization


def _fresh(organization: Organization) -> Organization:
    return Organization.objects.get(id=organization.id)


def _rename(organization: Organization) -> Timed:
    name = organization.name

    def run(n: int) -> float:
        current, renamed = _fresh(organization), f"{name} renamed {n}"
        return seconds_of(lambda: rename_organization(current, renamed, a_context()))

    return run


def _trash(organization: Organization) -> Timed:
    def run(_: int) -> float:
        current = _fresh(organization)
        seconds = seconds_of(lambda: trash_organization(current, None, a_context()))
        restore_organization(_fresh(organization), None, a_context())
        return seconds

    return run


def _restore(organization: Organization) -> Timed:
    def run(_: int) -> float:
        trashed = trash_organization(_fresh(organization), None, a_context())
        return seconds_of(lambda: restore_organization(trashed, None, a_context()))

    return run


def _purge(strategy: Strategy) -> Timed:
    def run(_: int) -> float:
        organization = _organization(strategy, _FEW)
        return seconds_of(lambda: purge_organization(organization, None, a_context()))

    return run
