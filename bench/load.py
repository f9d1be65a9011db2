"""The pages a worker serves in a second."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.usage import cpu_seconds, worker_of
from bench.visits import OrganizationPage, Program
from tests import processes
from tests.processes import PortalProcess, wait_until

_CONNECTIONS = 8
_BARE = ("--config", "python:bench.bare", "bench.bare:app")
_FLOOR = "bare view"


@dataclass(frozen=True, slots=True)
class Target:
    """A page, and the visitor who asks for it."""

    running: PortalProcess
    path: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """The answers to a load."""

    per_second: float
    p99_seconds: float
    cpu_seconds: float  # of the worker, for each answer


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Pages of one worker beside a bare Flask view with one ``find_one`` that is served in the
    same way, by turns."""
    environment.client.tenant_bare.documents.replace_one({"_id": 1}, {"name": "x"}, upsert=True)
    options = {"workers": 1, "wait": False, "stderr": environment.log}
    running = environment.portal
    page = OrganizationPage(running, "Load")
    browser = {"Cookie": page.cookies}
    program = {"Authorization": Program(running, page.email).authorization}
    with processes.portal(environment.server, "bare", *_BARE, **options) as bare:
        wait_until(lambda: _answers(bare))
        targets = {
            _FLOOR: Target(bare, "/"),
            "organization page": Target(running, page.path, browser),
            "list page": Target(running, "/organizations", browser),
            "log-in page": Target(running, "/login"),
            "JSON read": Target(running, "/org/load", program),
        }
        seen: dict[str, list[Served]] = {name: [] for name in targets}
        for _ in range(scale.repeats):
            for name, target in targets.items():
                seen[name].append(_serve(target, scale.load_seconds))
    environment.client.drop_database("tenant_bare")
    medians = {name: _median(runs) for name, runs in seen.items()}
    floor = medians[_FLOOR].per_second
    figures = []
    for name, served in medians.items():
        what = f"{name}, {_CONNECTIONS} connections"
        figures += [
            Figure(what, served.per_second, "/s", floor, _FLOOR),
            Figure.in_ms(f"{name}, 99th percentile", served.p99_seconds),
            Figure.in_ms(f"{name}, CPU of the worker", served.cpu_seconds),
        ]
    return figures


def _serve(target: Target, seconds: float) -> Served:
    """Ask on all connections for ``seconds``, on each again as soon as it was answered."""
    worker = worker_of(target.running)
    used = cpu_seconds(worker)
    begin = time.perf_counter()
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        asking = [pool.submit(_ask, target, begin + seconds) for _ in range(_CONNECTIONS)]
        taken = [each for future in asking for each in future.result()]
    elapsed = time.perf_counter() - begin
    used = cpu_seconds(worker) - used
    p99 = statistics.quantiles(taken, n=100, method="inclusive")[98]
    return Served(len(taken) / elapsed, p99, used / len(taken))


def _ask(target: Target, until: float) -> list[float]:
    """The seconds of each answer on a connection that is kept."""
    taken = []
    with closing(HTTPConnection(urlsplit(target.running.url).netloc, timeout=30)) as connection:
        while (begin := time.perf_counter()) < until:
            connection.request("GET", target.path, headers=target.headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, f"{target.path} was answered {answer.status}"
            taken.append(time.perf_counter() - begin)
    return taken


def _median(runs: list[Served]) -> Served:
    return Served(
        statistics.median(run.per_second for run in runs),
        statistics.median(run.p99_seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
    )


def _answers(bare: PortalProcess) -> bool:
    try:
        with closing(HTTPConnection(urlsplit(bare.url).netloc, timeout=5)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
    except OSError:
        return False
