"""The pause and the speed of moves while applications write, and what neighbours notice."""

import itertools
import multiprocessing
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.timing import seconds_of
from portal.database.clusters import database_of
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import MAIN_CLUSTER, Organization, Strategy
from portal.organizations.moving import mover
from portal.organizations.moving.options import Options
from portal.organizations.moving.planning import Wish, plan_move
from portal.organizations.moving.starting import start_move
from portal.organizations.storage import tenant_of
from portal.settings import current
from portal.tenants import Tenants
from tests.factories import a_context, an_account, an_organization

WRITERS, WRITES_PER_SECOND = 8, 400
_AT_ONCE = 1000
_SMALL = 1000
_OPLOG_MB = 4000.0
_TEXT = "x" * 980
_OTHER_PAIRS = [
    (Strategy.COLLECTION, Strategy.SHARED),
    (Strategy.SHARED, Strategy.COLLECTION),
    (Strategy.DATABASE, Strategy.SHARED),
    (Strategy.SHARED, Strategy.DATABASE),
]
_PROCESSES = multiprocessing.get_context("spawn")


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Pauses while 8 writers write; the speed beside a bare batched copy; a neighbour's writes
    while others move, with open transactions and without."""
    with MongoClient(environment.server.admin_uri) as client:
        # The embedded server's 128 MB are too few for a copy of 100 MB beside writers.
        client.admin.command("replSetResizeOplog", 1, size=_OPLOG_MB)
    moves = max(scale.rounds // 2, 2)
    own = itertools.cycle([Strategy.DATABASE, Strategy.COLLECTION])
    figures = _pauses(environment, Strategy.COLLECTION, own, moves, "own to own")
    for source, target in _OTHER_PAIRS:
        there_and_back = itertools.cycle([target, source])
        figures += _pauses(
            environment, source, there_and_back, max(moves // 5, 1) * 2, f"{source} to {target}"
        )
    figures += _speeds(environment, scale)
    for strategy in (Strategy.COLLECTION, Strategy.SHARED):
        figures += _beside_neighbours(environment, strategy, max(scale.rounds // 10, 1))
    return figures


def _pauses(
    environment: Environment,
    source: Strategy,
    targets: Iterator[Strategy],
    moves: int,
    words: str,
) -> list[Figure]:
    """Of moves to and fro the odd ones count where the way there isn't the way back."""
    organization = _organization(source, min(_SMALL, 10 * moves))
    counted = slice(0, None, 1 if words == "own to own" else 2)
    with _writers(environment, organization) as waits:
        pauses = [_move(organization, next(targets)).pause_ms for _ in range(moves)][counted]
    return [
        Figure(f"pause, {words}", statistics.median(pauses), "ms"),
        Figure(f"pause, {words}, the longest of {len(pauses)}", max(pauses), "ms"),
        Figure(f"longest write meanwhile, {words}", max(waits) * 1000, "ms"),
    ]


def _speeds(environment: Environment, scale: Scale) -> list[Figure]:
    figures = []
    for target in (Strategy.DATABASE, Strategy.SHARED):
        for writing in (False, True):
            organization = _organization(Strategy.COLLECTION, scale.documents)
            bare = {"bare batched copy": _bare_copy(environment, organization, scale.documents)}
            during = _writers(environment, organization) if writing else nullcontext()
            with during:
                if writing:
                    bare["bare batched copy beside them"] = _bare_copy(
                        environment, organization, scale.documents
                    )
                _start(organization, target)
                copied, ready = _copy_rates(organization, scale.documents)
            _end(organization)
            words = f"to {target}, with {WRITES_PER_SECOND} writes/s" if writing else f"to {target}"
            figures += [
                Figure(f"{done} {words}", rate, "/s", base, name)
                for done, rate in {"copied": copied, "copied and verified": ready}.items()
                for name, base in bare.items()
            ]
    return figures


def _bare_copy(environment: Environment, organization: Organization, documents: int) -> float:
    """The documents per second of a copy in batches, by a client that does nothing else."""
    source = database_of(organization.placement)[organization.placement.collection]
    client: MongoClient[RawBSONDocument]
    with MongoClient(environment.server.admin_uri, document_class=RawBSONDocument) as client:
        read = client[source.database.name][source.name]
        written = client["bench_move_bare"].get_collection(
            "copy", write_concern=WriteConcern("majority")
        )

        def copy() -> None:
            found = read.find(sort=[("_id", 1)], batch_size=_AT_ONCE)
            while batch := list(itertools.islice(found, _AT_ONCE)):
                written.insert_many(batch, ordered=False)

        seconds = seconds_of(copy)
        client.drop_database("bench_move_bare")
    return documents / seconds


def _copy_rates(organization: Organization, documents: int) -> tuple[float, float]:
    """The documents per second until all is copied, and until it is verified as well."""
    begun = time.monotonic()
    copying = Move.objects(organization=organization.id, state=MoveState.COPYING)
    with ThreadPoolExecutor(1) as thread:
        carried = thread.submit(mover.run_copies)
        while copying and not carried.done():
            time.sleep(0.01)
        copied = time.monotonic() - begun
        carried.result()
    return documents / copied, documents / (time.monotonic() - begun)


def _beside_neighbours(environment: Environment, strategy: Strategy, moves: int) -> list[Figure]:
    """A neighbour's writes: of the same pool, where there is one."""
    neighbour = _organization(strategy, _AT_ONCE // 10)
    others = [_organization(strategy, _AT_ONCE // 10) for _ in range(moves)]
    to_and_fro = Strategy.DATABASE
    with _writers(environment, neighbour) as alone:
        time.sleep(min(2, moves / 5))
    with _writers(environment, neighbour) as beside:
        for other in others:
            _move(other, to_and_fro)
    others = [_organization(strategy, _AT_ONCE // 10) for _ in range(moves)]
    with _open_transactions(neighbour), _writers(environment, neighbour) as held_up:
        for other in others:
            _move(other, to_and_fro)
    base, meanwhile, worst = (_p99(waits) for waits in (alone, beside, held_up))
    words = f"neighbour’s write, {strategy}, p99"
    return [
        Figure.in_ms(words, base),
        Figure.in_ms(f"{words}, others move", meanwhile, base, "alone"),
        Figure.in_ms(f"{words}, with open transactions", worst, base, "alone"),
    ]


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


@contextmanager
def _open_transactions(organization: Organization) -> Iterator[None]:
    """Transactions of a third of a second in the organization's collection, with rests between:
    without any a fence is given up."""
    over = threading.Event()
    tenant = tenant_of(organization)

    def hold() -> None:
        while not over.is_set():
            with tenant.transaction() as transaction:
                transaction.find_one({})
                over.wait(0.3)
            over.wait(0.2)

    with ThreadPoolExecutor(1) as thread:
        held = thread.submit(hold)
        try:
            yield
        finally:
            over.set()
            held.result()


def _organization(strategy: Strategy, documents: int) -> Organization:
    number = Organization.objects.count()
    account = an_account(f"bench-move-{number}@acme.example")
    organization = an_organization(f"Bench move {number}", account, strategy)
    tenant = tenant_of(organization)
    for begin in range(0, documents, _AT_ONCE):
        many = range(begin, min(begin + _AT_ONCE, documents))
        tenant.insert_many({"_id": n, "text": _TEXT} for n in many)
    return organization


def _start(organization: Organization, target: Strategy) -> None:
    fresh = Organization.objects.get(id=organization.id)
    planned = plan_move(fresh, Wish(target, MAIN_CLUSTER)).planned
    start_move(fresh, planned, Options(without_way_back=True), a_context())


def _end(organization: Organization) -> None:
    """Carry its open move to its end."""
    while Move.objects(organization=organization.id, open=True):
        Move._get_collection().update_many({"open": True}, [{"$set": {"due_at": "$$NOW"}}])
        mover.run_once()


def _move(organization: Organization, target: Strategy) -> Move:
    _start(organization, target)
    _end(organization)
    move = Move.objects(organization=organization.id).order_by("-id").first()
    assert move.outcome == Outcome.MOVED, move.reason
    return move


@contextmanager
def _writers(environment: Environment, organization: Organization) -> Iterator[list[float]]:
    """An application in a process of its own; afterwards the list has the seconds that each of its
    writes took."""
    told, telling = _PROCESSES.Pipe(duplex=False)
    begun, over = _PROCESSES.Event(), _PROCESSES.Event()
    uri = environment.server.uri.replace("/?", f"/{current().master_db}?", 1)
    arguments = (uri, str(organization.id), begun, over, telling)
    process = _PROCESSES.Process(target=_write_until, args=arguments)
    process.start()
    begun.wait(60)
    waits: list[float] = []
    try:
        yield waits
    finally:
        over.set()
        waits += told.recv()
        process.join()


def _write_until(
    uri: str, organization: str, begun: Event, over: Event, telling: Connection
) -> None:
    with Tenants(uri) as tenants, ThreadPoolExecutor(WRITERS) as threads:
        documents = tenants.by_id(organization)
        documents.update_one({"_id": "first"}, {"$inc": {"n": 1}}, upsert=True)
        begun.set()

        def write(number: int) -> list[float]:
            waits: list[float] = []
            due = time.monotonic()
            while not over.is_set():
                one = {"_id": f"{number} {len(waits) % 1000}"}
                waits.append(
                    seconds_of(lambda: documents.update_one(one, {"$inc": {"n": 1}}, upsert=True))  # noqa: B023
                )
                due += WRITERS / WRITES_PER_SECOND
                time.sleep(max(0, due - time.monotonic()))
            return waits

        telling.send([wait for waits in threads.map(write, range(WRITERS)) for wait in waits])
