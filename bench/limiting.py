"""The cost of counting and of limits, how well a limit is kept, and what it does for neighbours."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from bson import ObjectId

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import interleaved_medians, timed
from portal.tenants import Tenant
from portal.tenants.errors import LimitExceeded
from portal.tenants.quotas import Entitled, LimitBook, Limits
from portal.tenants.testing import FakePortal
from portal.tenants.usage import Reporter

_RATE = 200
_PROCESSES = 4
_LIMITED = 300
_MICRO = 1e6
_IMPORTED = 500
# A process of an application that does as much as it may, for some seconds; prints how much.
_USER = """
import sys, time
from bson import ObjectId
from portal.tenants import Tenants
from portal.tenants.errors import LimitExceeded
uri, organization, seconds = sys.argv[1], ObjectId(sys.argv[2]), float(sys.argv[3])
with Tenants(uri) as tenants:
    store, done = tenants.by_id(organization), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            store.find_one({}, {"_id": 1})
            done += 1
        except LimitExceeded as error:
            time.sleep(error.retry_after_seconds)
    print(done)
"""


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The cost of counting and of a limit far off; whether processes together
    keep to it; a neighbour of one that imports as fast as it can, with a limit and without."""
    with FakePortal(environment.server.admin_uri) as fake:
        return [
            *_costs(fake, scale.rounds * 40),
            _kept(fake, max(scale.rounds * 0.6, 4)),  # a minute, in which a burst counts little
            *_neighbours(fake, max(scale.rounds / 10, 3)),
        ]


def _costs(fake: FakePortal, rounds: int) -> list[Figure]:
    """The time within the process, without the server's, of one operation."""
    with fake.tenants() as tenants:
        acme, limited = fake.create("acme"), fake.create("limited")
        fake.limit(limited, documents=10**9, bytes=10**15, operations=10**6)
        stores = [tenants.by_id(acme), tenants.by_id(limited)]
        for store in stores:
            store.insert_one({"_id": 1})
        free, bound = interleaved_medians(
            rounds, *(timed(lambda n, store=store: store.find_one(1)) for store in stores)
        )
        free_write, bound_write = interleaved_medians(
            rounds, *(timed(lambda n, store=store: store.insert_one({})) for store in stores)
        )
    counting = _seconds_of_counting(rounds)
    return [
        Figure("counting an operation and a command", counting * _MICRO, "µs"),
        Figure("a read with limits", bound * _MICRO, "µs", free * _MICRO, "one without"),
        Figure("a write with limits", bound_write * _MICRO, "µs", free_write * _MICRO, "without"),
    ]


def _seconds_of_counting(rounds: int) -> float:
    reporter = Reporter(lambda batch: None, "bench", unattended=True)
    book, acme = LimitBook(), ObjectId()
    entitled = Entitled("team", Limits(documents=10**9), None)
    begin = time.perf_counter()
    for _ in range(rounds):
        reporter.meter.operations(acme, 1)
        book.limits_of(acme, (1, 1), entitled)
        reporter.meter.command(acme, "main", 100, 100, 0.001)
    return (time.perf_counter() - begin) / rounds


def _kept(fake: FakePortal, seconds: float) -> Figure:
    acme = fake.create("shared")
    fake.limit(acme, operations=_RATE)
    arguments = [sys.executable, "-c", _USER, fake.uri, str(acme)]
    # The burst is used up first, so that the rest is the rate.
    _sum(arguments, 6.0)
    done = _sum(arguments, seconds)
    what = f"{_PROCESSES} processes with a limit of {_RATE} / s, for {seconds:.0f} s"
    return Figure(what, done / seconds, "/ s", _RATE, "allowed")


def _sum(arguments: Sequence[str], seconds: float) -> int:
    running = [
        subprocess.Popen([*arguments, str(seconds)], stdout=subprocess.PIPE, text=True)
        for _ in range(_PROCESSES)
    ]
    return sum(int(each.communicate()[0]) for each in running)


def _neighbours(fake: FakePortal, seconds: float) -> list[Figure]:
    loud, quiet = fake.create("loud"), fake.create("quiet")
    figures = []
    with fake.tenants(limit_seconds=60) as tenants:
        neighbour = tenants.by_id(quiet)
        neighbour.insert_one({"_id": 1})
        alone = _p99(neighbour, seconds)
        for what, rate in (("without a limit", None), (f"with one of {_LIMITED} / s", _LIMITED)):
            if rate is not None:
                fake.limit(loud, operations=rate)
                tenants._directory.reporting.reporter.refresh()
                tenants._directory.reporting.reporter.refresh()
            with _importing(tenants.by_id(loud)):
                time.sleep(1 if rate is None else 6)  # the burst is used up
                beside = _p99(neighbour, seconds)
            figures.append(
                Figure.in_ms(f"p99 of a read beside an import {what}", beside, alone, "alone")
            )
    return figures


@contextmanager
def _importing(store: Tenant) -> Iterator[None]:
    over = Event()

    def work() -> None:
        documents: list[dict[str, Any]] = [{"text": "x" * 500} for _ in range(_IMPORTED)]
        while not over.is_set():
            try:
                store.insert_many([dict(each) for each in documents])
            except LimitExceeded as error:
                over.wait(error.retry_after_seconds)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _p99(store: Tenant, seconds: float) -> float:
    taken, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        begin = time.perf_counter()
        store.find_one(1)
        taken.append(time.perf_counter() - begin)
        time.sleep(0.002)
    return sorted(taken)[len(taken) * 99 // 100]
