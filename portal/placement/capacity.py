"""Capacity: what a cluster holds, what it may hold, and when that is full.

A collection and each of its indexes is a file, which costs ``mongod`` memory and time at its start;
files that are in use are open, and at the limit of open files ``mongod`` aborts. So the wall is
told in files, and nothing is put on a cluster near it. Hosted clusters count the same under the
name of namespaces.

A reading costs the server 1 to 2 ms, so it is kept for a few seconds, and what this process puts
there meanwhile is added to it. The nearer the wall the shorter it is kept: what all processes may
add unseen stays far below what is left beyond ``full_at_percent``. Where a cluster doesn't tell its
counters any more, the last stored ones count, with what all processes put there since. Where it
doesn't tell them, indexes are counted collection by collection, in the background.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from portal import clock
from portal.database.clusters import client_of, known_clusters, reason_of
from portal.database.errors import ClusterUnavailable
from portal.database.periodic import Notes, Task
from portal.database.together import Part, Read
from portal.database.transactions import TRANSACTION_SECONDS, forbid_in_transaction
from portal.documents.capacity import CapacityReading
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Strategy,
)
from portal.errors import Unavailable
from portal.placement import counters
from portal.placement.policies import Limits, Policy

log = structlog.get_logger()

KEPT_SECONDS = 5
DATABASES_KEPT_SECONDS = 60
LIMITS_KEPT_SECONDS = 600
READING_SECONDS = 1
STORED_EVERY_SECONDS = 600
READ_EVERY_SECONDS = 60
FORECAST_DAYS = 30
SHORTEST_TREND = timedelta(days=7)
# From the decision to the commit: a transaction may take as long.
IN_FLIGHT_SECONDS = TRANSACTION_SECONDS
REFUSED_SECONDS = 60
_REST_AFTER_COUNTING = 20
_REFUSALS = (264, counters.ATLAS_ERROR)  # TooManyFilesOpen
# Measured on 6.0.5 where idle files are closed: a collection with its index takes 60 KB of memory,
# and 1.2 ms of the start, on a busy machine 3.
_MEMORY_OF_A_FILE = 32 * 1024
_SHARE_OF_MEMORY = 0.25
_STARTED_IN_A_MINUTE = 40_000
# A part of the limit is for connections. More files than may be open fit where idle ones are closed
# within seconds; by default it takes 10 minutes, in which a backup, say, opens all of them.
_OPEN_AT_MOST = 0.8
_OPEN_BY_LOOPS = 0.6
_FILES_FOR_EACH_OPEN = 1.4
# To make one takes the server 8 ms among 100, 70 ms among 2,000.
_DATABASES = 2_000
_FILES_OF_A_COLLECTION = 2

OPEN_FILES, FILES = "open files", "collections and indexes"
COLLECTIONS, DATABASES = "collections", "databases"
IN_FILES = (OPEN_FILES, FILES)
_LIMITING = ("max_open_files", "memory_bytes", "closes_early")


class Wall(StrEnum):
    """The reasons why a cluster may hold no more."""

    MEMORY = "by its memory"
    START = "by the time that its start may take"
    OPEN_FILES = "by the files that it may open"
    DATABASES = "by the time that making one takes"
    POLICY = "by the policy"


@dataclass(frozen=True, slots=True)
class Reading:
    """The answers of a cluster about itself; ``None`` for one that it may not give."""

    at: datetime
    collections: int
    indexes: int
    databases: int | None = None
    open_files: int | None = None
    max_open_files: int | None = None
    closes_early: bool = False
    memory_bytes: int | None = None

    @property
    def files(self) -> int:
        """Collections and indexes, a file each."""
        return self.collections + self.indexes

    def held(self, what: str) -> int | None:
        """The number of what only grows, by its gauge; ``None`` where it isn't known, or goes up
        and down."""
        known = {FILES: self.files, COLLECTIONS: self.collections, DATABASES: self.databases}
        return known.get(what)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One kind of thing that a cluster holds, up to a limit with its reason."""

    what: str
    held: int
    limit: int
    wall: Wall
    each: int = 1  # how many of it an organization takes

    @property
    def percent(self) -> float:
        """The held share of the limit."""
        return 100 * self.held / self.limit

    def free(self, full_at_percent: int) -> int:
        """The number of them that fits yet; below 0 where there are too many."""
        return self.limit * full_at_percent // 100 - self.held

    def room(self, full_at_percent: int) -> int:
        """The number of organizations that fit yet; below 0 where there are too many."""
        return self.free(full_at_percent) // self.each


@dataclass
class _Known:
    """A process's knowledge of a cluster, and the times at which it put something there."""

    registered_at: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    reading: Reading | None = None
    read_at: float = -math.inf
    databases_read_at: float = -math.inf
    limits_read_at: float = -math.inf
    stored_at: float = -math.inf
    refused_at: float = -math.inf
    count_again_at: float = -math.inf
    collections: deque[float] = field(default_factory=deque)
    databases: deque[float] = field(default_factory=deque)


_known: dict[str, _Known] = {}
_known_lock = threading.Lock()


def take(cluster: str, strategy: Strategy, policy: Policy) -> bool:
    """Count a collection, or a database with one, that is about to be made on the cluster; False
    where it is full, or where nobody knows how much it may hold.

    Not inside a transaction. What is counted and then not made counts for some seconds.
    """
    forbid_in_transaction()
    known = _knowledge_of(cluster)
    in_database = strategy == Strategy.DATABASE
    with known.lock:
        if time.monotonic() - known.refused_at < REFUSED_SECONDS:
            return False
        _refresh(known, cluster, policy, in_database=in_database)
        if _room(known, cluster, policy, in_database=in_database) < 1:
            return False
        now = time.monotonic()
        known.collections.append(now)
        if in_database:
            known.databases.append(now)
        return True


def may_open_more(cluster: str) -> bool:
    """Tell whether the cluster has room for more open files, as far as it tells. Raises as
    ``read``."""
    reading = read(cluster, databases=False)
    if reading.max_open_files is None or reading.open_files is None:
        return True
    return reading.open_files < reading.max_open_files * _OPEN_BY_LOOPS


def is_refusal(error: Exception) -> bool:
    """Tell whether a cluster refuses another collection: a hosted one does so at a limit that
    nobody told, some versions where too many files are open."""
    return isinstance(error, OperationFailure) and error.code in _REFUSALS


def note_refusal(cluster: str) -> None:
    """Put no more there for a while: the cluster refused another collection."""
    log.error("capacity.refused", cluster=cluster, note="write its tier's limit into the policy")
    _knowledge_of(cluster).refused_at = time.monotonic()


def free_share(cluster: str, policy: Policy) -> float:
    """The free share of a cluster, from 0 to 1, by this process's last reading; 1 without one."""
    reading = _expected(_knowledge_of(cluster), in_database=False)
    if reading is None:
        return 1
    gauges = gauges_of(reading, policy.limits_of(cluster))
    return max(0, 1 - max((gauge.percent for gauge in gauges), default=100) / 100)


def read(
    cluster: str, *, databases: bool, before: Reading | None = None, limits_known: bool = False
) -> Reading:
    """Ask the cluster's primary how much it holds, with its ``databases`` or without, and what
    limits it, unless that is known; what it doesn't tell of that is taken from the reading
    ``before``, or from the last stored one. Counters that it refuses are those of the last stored
    reading, with what was put there since; indexes as ``read_all`` counted them last.

    Raises PyMongoError, and Unavailable as ``client_of`` does.
    """
    client = client_of(cluster)
    with pymongo.timeout(READING_SECONDS):
        limits = {} if limits_known else counters.read_limits(client)
        if len(limits) < len(_LIMITING) and (known := before or last_reading(cluster)):
            limits = {name: getattr(known, name) for name in _LIMITING} | limits
        told = counters.read_counters(client)
        return Reading(
            at=clock.now(),
            databases=counters.count_databases(client) if databases else None,
            **(told or _estimated(cluster) or _counted_by_name(client, cluster)),
            **limits,
        )


def gauges_of(reading: Reading, limits: Limits) -> list[Gauge]:
    """The gauges of all that limits the cluster; none where it tells no limit, or not how much is
    open, and the policy has none either."""
    gauges = []
    open_files = reading.open_files
    most = reading.max_open_files if open_files is not None else None
    files = partial(Gauge, each=_FILES_OF_A_COLLECTION)
    if most and open_files is not None:
        at_most = int(most * _OPEN_AT_MOST)
        gauges.append(files(OPEN_FILES, open_files, at_most, Wall.OPEN_FILES))
    if limits.namespaces:
        gauges.append(files(FILES, reading.files, limits.namespaces, Wall.POLICY))
    if limits.collections:
        gauges.append(Gauge(COLLECTIONS, reading.collections, limits.collections, Wall.POLICY))
    if most and not limits.namespaces and not limits.collections:
        gauges.append(files(FILES, reading.files, *_derived_limit(reading, most)))
    if gauges and reading.databases is not None:
        wall = Wall.POLICY if limits.databases else Wall.DATABASES
        gauges.append(Gauge(DATABASES, reading.databases, limits.databases or _DATABASES, wall))
    return gauges


def days_until_full(cluster: str, gauge: Gauge, full_at_percent: int) -> float | None:
    """The days until a gauge is full at the rate of the last FORECAST_DAYS; ``None`` where that
    isn't known."""
    since = clock.now() - timedelta(days=FORECAST_DAYS)
    rate = rate_a_day(gauge, readings_since(cluster, since), clock.now())
    return max(0, gauge.room(full_at_percent)) / rate if rate else None


def rate_a_day(gauge: Gauge, readings: Sequence[Reading], now: datetime) -> float | None:
    """The number of organizations a day by which a gauge grows; ``None`` where it doesn't, where
    less than a week tells no rate, and for what goes up and down.

    It counts from the lowest of the ``readings``, the last of those: a purge of many would hide for
    weeks that it has grown ever since.
    """
    told = [(reading.held(gauge.what), reading.at) for reading in readings]
    lowest = min((held for held, _ in told if held is not None), default=0)
    since = max((at for held, at in told if held == lowest), default=now)
    if now - since < SHORTEST_TREND or gauge.held <= lowest:
        return None
    return (gauge.held - lowest) / gauge.each / ((now - since) / timedelta(days=1))


def reading_trends() -> Part[dict[str, list[Reading]]]:
    """Reads the readings of each cluster in the last FORECAST_DAYS, in their order."""
    since = clock.now() - timedelta(days=FORECAST_DAYS)
    pipeline: list[dict[str, Any]] = [
        {"$match": {"at": {"$gte": since}}},
        {"$sort": {"cluster": 1, "at": 1}},
        {"$group": {"_id": "$cluster", "readings": {"$push": "$$ROOT"}}},
    ]
    [rows] = yield [Read(CapacityReading, pipeline)]
    return {row["_id"]: [_of_stored(one) for one in row["readings"]] for row in rows}


def readings_since(cluster: str, since: datetime) -> list[Reading]:
    """The cluster's last reading of each day from then on; days may be missing."""
    found = CapacityReading._get_collection().find({"cluster": cluster, "at": {"$gte": since}})
    return [_of_stored(row) for row in found.sort("at", 1)]


def last_reading(cluster: str) -> Reading | None:
    """The last reading of the cluster by any process, as stored."""
    stored = CapacityReading.objects(cluster=cluster).order_by("-at").first()
    return stored and _as_reading(stored)


def store(cluster: str, reading: Reading) -> None:
    """Store the reading as the cluster's last one of its day."""
    values = {f"set__{name}": value for name, value in asdict(reading).items()}
    CapacityReading.objects(id=f"{cluster} {reading.at:%Y-%m-%d}").update_one(
        upsert=True, set__cluster=cluster, **values
    )


def read_all(check: Callable[[], None]) -> Notes:
    """Read each cluster that isn't lost, and store that, with its indexes as counted one by one
    where it refuses its counters; why others could not be, by cluster."""
    silent = {}
    for cluster in known_clusters():
        check()
        if cluster.lost_at:
            continue
        try:
            reading = read(cluster.name, databases=True)
            store(cluster.name, _with_counted_indexes(cluster.name, reading))
        except ClusterUnavailable as error:
            silent[cluster.name] = error.reason
        except PyMongoError as error:
            silent[cluster.name] = reason_of(error)
    return silent


def forget() -> None:
    """Forget all readings of this process, as after a reconfiguration."""
    _known.clear()


def _knowledge_of(cluster: str) -> _Known:
    """Nothing yet of one that was removed and added again: it may be another server."""
    registered = (one.added_at for one in known_clusters() if one.name == cluster)
    registered_at = next(registered, None)
    # With two of them, what one thread takes isn't counted for the other.
    with _known_lock:
        known = _known.get(cluster)
        if known is None or known.registered_at != registered_at:
            known = _known[cluster] = _Known(registered_at)
        return known


def _as_reading(stored: CapacityReading) -> Reading:
    return Reading(**{name: getattr(stored, name) for name in Reading.__slots__})


def _of_stored(row: dict[str, Any]) -> Reading:
    return Reading(**{name: row[name] for name in Reading.__slots__ if name in row})


def _refresh(known: _Known, cluster: str, policy: Policy, *, in_database: bool) -> None:
    """Read the cluster again where the reading is old, or where what this process put there since
    is more than a twentieth of the room that it leaves."""
    now = time.monotonic()
    databases = in_database and now - known.databases_read_at >= DATABASES_KEPT_SECONDS
    if now - known.read_at < KEPT_SECONDS and not databases:
        since = sum(at > known.read_at for at in known.collections)
        if not since or _room(known, cluster, policy, in_database=in_database) >= 20 * since:
            return
    known.read_at = now
    if databases:
        known.databases_read_at = now
    limits_known = now - known.limits_read_at < LIMITS_KEPT_SECONDS
    known.reading = known.reading or last_reading(cluster)
    try:
        reading = read(
            cluster, databases=databases, before=known.reading, limits_known=limits_known
        )
    except (PyMongoError, Unavailable) as error:
        # The last one goes on counting, with all that is put there on top.
        log.warning("capacity.unreadable", cluster=cluster, error=str(error))
        return
    if not limits_known:
        known.limits_read_at = now
    _forget_older(known.collections, now - IN_FLIGHT_SECONDS)
    if databases:
        _forget_older(known.databases, now - IN_FLIGHT_SECONDS)
    elif known.reading:
        reading = replace(reading, databases=known.reading.databases)
    known.reading = reading
    if now - known.stored_at >= STORED_EVERY_SECONDS:
        known.stored_at = now
        store(cluster, reading)


def _room(known: _Known, cluster: str, policy: Policy, *, in_database: bool) -> int:
    """The number of collections, or databases with one, that the cluster takes yet."""
    expected = _expected(known, in_database=in_database)
    if expected is None or (in_database and expected.databases is None):
        return 0
    full_at = policy.guard.full_at_percent
    gauges = gauges_of(expected, policy.limits_of(cluster))
    return min((gauge.room(full_at) for gauge in gauges), default=0)


def _expected(known: _Known, *, in_database: bool) -> Reading | None:
    """The reading, with all that this process put there since; with its databases or without.

    What it put there in the last seconds before the reading counts twice where the reading has it:
    it may have been on its way.
    """
    reading = known.reading
    if reading is None:
        return None
    made, opened = len(known.collections), _FILES_OF_A_COLLECTION * len(known.collections)
    databases = None if reading.databases is None else reading.databases + len(known.databases)
    return replace(
        reading,
        collections=reading.collections + made,
        indexes=reading.indexes + made,
        open_files=reading.open_files and reading.open_files + opened,
        databases=databases if in_database else None,
    )


def _estimated(cluster: str) -> dict[str, Any]:
    """The counters of the last stored reading that has them, with the collections and files of
    organizations that any process put there since; empty where there is none."""
    told = CapacityReading.objects(cluster=cluster, open_files__ne=None).order_by("-at").first()
    if told is None:
        return {}
    clusters = [cluster, None] if cluster == MAIN_CLUSTER else [cluster]
    since = {
        "placement.strategy": {"$in": [Strategy.COLLECTION, Strategy.DATABASE, None]},
        "placement.cluster": {"$in": clusters},  # the first versions wrote neither
        "_id": {"$gt": ObjectId.from_datetime(told.at)},
        "state": {"$ne": OrganizationState.PURGED},
    }
    made = Organization._get_collection().count_documents(since)
    return {
        "collections": told.collections + made,
        "indexes": told.indexes + made,
        "open_files": told.open_files + _FILES_OF_A_COLLECTION * made,
    }


def _counted_by_name(client: MongoClient, cluster: str) -> dict[str, Any]:
    """The collections that the portal knows, for what the policy says of clusters that never told
    more, as some hosted ones. Each has an index, and those beyond are as many as were counted
    last."""
    names, last = len(counters.known_collections(client, cluster)), last_reading(cluster)
    beyond = last.indexes - last.collections if last else 0
    return {"collections": names, "indexes": names + beyond}


def _with_counted_indexes(cluster: str, reading: Reading) -> Reading:
    """The reading with all indexes of collections that the portal knows, where the cluster refuses
    its counters; the reading as it is where they aren't counted. ``_REST_AFTER_COUNTING`` times as
    long as that took it isn't done again, whatever came of it."""
    client, known = client_of(cluster), _knowledge_of(cluster)
    if time.monotonic() < known.count_again_at:
        return reading
    try:
        if counters.read_counters(client):
            return reading
        own, indexes = _count_indexes(client, cluster, known)
    except PyMongoError as error:
        log.warning("capacity.indexes_not_counted", cluster=cluster, error=str(error))
        return reading
    if reading.open_files is None:
        return replace(reading, collections=len(own), indexes=indexes)
    # It told once, of others' collections too; some came since by moves.
    came = max(0, len(own) - reading.collections)
    collections = reading.collections + came
    return replace(
        reading,
        collections=collections,
        indexes=max(reading.indexes, indexes + collections - len(own)),
        open_files=reading.open_files + _FILES_OF_A_COLLECTION * came,
    )


def _count_indexes(
    client: MongoClient, cluster: str, known: _Known
) -> tuple[list[tuple[str, str]], int]:
    begin = time.monotonic()
    try:
        own = counters.known_collections(client, cluster)
        return own, counters.count_indexes(client, own)
    finally:
        now = time.monotonic()
        known.count_again_at = now + _REST_AFTER_COUNTING * (now - begin)


def _derived_limit(reading: Reading, max_open_files: int) -> tuple[int, Wall]:
    for_each = _FILES_FOR_EACH_OPEN if reading.closes_early else _OPEN_AT_MOST
    limits = [
        (int(max_open_files * for_each), Wall.OPEN_FILES),
        (_STARTED_IN_A_MINUTE, Wall.START),
    ]
    if reading.memory_bytes:
        room = int(reading.memory_bytes * _SHARE_OF_MEMORY / _MEMORY_OF_A_FILE)
        limits.append((room, Wall.MEMORY))
    return min(limits)


def _forget_older(times: deque[float], than: float) -> None:
    while times and times[0] <= than:
        times.popleft()


TASK = Task("capacity", READ_EVERY_SECONDS, read_all)
