"""The cost of the tenant library beside PyMongo's own methods, in both forms."""

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient, monitoring
from pymongo.write_concern import WriteConcern

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import Timed, interleaved_medians, timed
from portal.tenants import AsyncTenant, Tenant
from portal.tenants.testing import FakePortal

_BULK = 500
_DOCUMENTS = 2000
_MAJORITY = WriteConcern("majority")
_PLAIN = "plain PyMongo"
# Goals: beside PyMongo; one read for all that wait; and what an organization takes.
_MOST, _MOST_ASYNCHRONOUS = 1.15, 1.25
_MOST_READS, _MOST_KB = 1, 5
# Whether each is a quick one, and how a collection does it, plain or an organization's.
_WORKS: dict[str, tuple[bool, Callable[[Any, int], Any]]] = {
    "find one": (True, lambda c, n: c.find_one({"_id": n})),
    "find, a page of 25": (
        True,
        lambda c, n: c.find({"_id": {"$lt": n + 100}}, sort=[("_id", -1)], limit=25).to_list(),
    ),
    "find all, 2,000": (False, lambda c, n: c.find({"_id": {"$type": "int"}}).to_list()),
    "count": (True, lambda c, n: c.count_documents({"_id": {"$lt": 1000}})),
    "insert one": (True, lambda c, n: c.insert_one({"name": f"Document {n}", "n": 0})),
    "update one": (True, lambda c, n: c.update_one({"_id": n}, {"$inc": {"n": 1}})),
    f"insert many, {_BULK}": (
        False,
        lambda c, n: c.insert_many([{"name": f"Document {n}"} for _ in range(_BULK)]),
    ),
}


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The library's methods and PyMongo's without a fence, both acknowledged by a majority; what an
    application's process needs for many organizations."""
    with FakePortal(environment.server.admin_uri) as fake:
        acme = fake.create("acme")
        plain = fake.data.get_collection("org_acme", write_concern=_MAJORITY)
        plain.insert_many({"_id": n, "name": f"Document {n}", "n": 0} for n in range(_DOCUMENTS))
        with fake.tenants() as tenants:
            figures = _beside(plain, tenants.by_id(acme), scale)
        figures += asyncio.run(_beside_asynchronous(environment, fake, acme, scale))
        figures.append(_reads_of_waiting_writers(fake, acme, 10 * scale.rounds))
        figures.append(_memory_of_organizations(fake, scale.documents // 10))
    return figures


def _beside(plain: Any, tenant: Tenant, scale: Scale) -> list[Figure]:
    return [
        _compared(
            what,
            scale.rounds * (10 if quick else 1),
            timed(lambda n, work=work: work(plain, n)),  # type: ignore[misc]
            timed(lambda n, work=work: work(tenant, n)),  # type: ignore[misc]
        )
        for what, (quick, work) in _WORKS.items()
    ]


async def _beside_asynchronous(
    environment: Environment, fake: FakePortal, acme: ObjectId, scale: Scale
) -> list[Figure]:
    tenants = fake.async_tenants(tz_aware=True)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        environment.server.admin_uri, uuidRepresentation="standard", tz_aware=True
    )
    plain = client[fake.data.name].get_collection("org_acme", write_concern=_MAJORITY)
    tenant: AsyncTenant = tenants.by_id(acme)
    figures = []
    for what, (quick, work) in _WORKS.items():
        rounds = scale.rounds * (10 if quick else 1)
        base, cost = await _medians(rounds, plain, tenant, work)
        figures.append(
            Figure.in_ms(f"{what}, asynchronous", cost, base, _PLAIN, _MOST_ASYNCHRONOUS)
        )
    await tenants.close()
    await client.close()
    return figures


async def _medians(
    rounds: int, plain: Any, tenant: Any, work: Callable[[Any, int], Awaitable[Any]]
) -> list[float]:
    """As ``interleaved_medians``, in the running event loop."""
    taken: list[list[float]] = [[], []]
    for n in range(rounds):
        for which in (n % 2, 1 - n % 2):
            begin = time.perf_counter()
            await work((plain, tenant)[which], n)
            taken[which].append(time.perf_counter() - begin)
    return [sorted(seconds)[rounds // 2] for seconds in taken]


def _compared(what: str, rounds: int, unfenced: Timed, fenced: Timed) -> Figure:
    base, cost = interleaved_medians(rounds, unfenced, fenced)
    return Figure.in_ms(what, cost, base, _PLAIN, _MOST)


class _DirectoryReads(monitoring.CommandListener):
    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += str(event.command.get("find")).startswith("directory_")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def _reads_of_waiting_writers(fake: FakePortal, acme: ObjectId, writers: int) -> Figure:
    """The times that the directory is read when writers meet a rename."""
    reads = _DirectoryReads()
    with fake.tenants(event_listeners=[reads], maxPoolSize=100) as tenants:
        tenant = tenants.by_id(acme)
        tenant.find_one()
        reads.count = 0
        ready = threading.Barrier(writers + 1)

        def write() -> None:
            ready.wait()
            tenant.insert_one({})

        with ThreadPoolExecutor(writers) as pool:
            writing = [pool.submit(write) for _ in range(writers)]
            fake.rename(acme, "renamed")
            ready.wait()
            for each in writing:
                each.result()
    words = f"directory reads of {writers:,} writers at a rename"
    return Figure(words, reads.count, "", most=_MOST_READS)


def _memory_of_organizations(fake: FakePortal, organizations: int) -> Figure:
    """The memory of a process for each organization that it has used."""
    [entry] = fake.master.directory_organizations.find(limit=1)
    ids = [ObjectId() for _ in range(organizations)]
    fake.master.directory_organizations.insert_many(
        {**entry, "_id": each, "slug": f"organization-{n}"} for n, each in enumerate(ids)
    )
    with fake.tenants() as tenants:
        tenants.by_id(ids[0]).find_one()
        gc.collect()
        tracemalloc.start()
        handles = [tenants.by_id(each) for each in ids]
        for handle in handles:
            handle.find_one()
        gc.collect()
        each_bytes = tracemalloc.get_traced_memory()[0] / len(handles)
        tracemalloc.stop()
    words = f"memory of each of {organizations:,} organizations"
    return Figure(words, each_bytes / 1000, "KB", most=_MOST_KB)
