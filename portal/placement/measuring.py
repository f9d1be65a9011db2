"""Measures how large and how busy organizations are, for proposals.

Of a collection of an organization's own the server has the figures, half a millisecond each. A
shared one is read whole, on a secondary where there is one, once for all its organizations. Where a
collection is renamed, dropped or away meanwhile, its organizations keep their last figures; where
a cluster is, all that are left there, and the others are measured.

**Operations a day** are those of the last 24 full hours, as stores reported them: by these alone an
organization in a shared collection can be told from its neighbours. Of a collection of its own the
server counts, too, also what went past the stores; the larger number holds.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from pymongo import ReadPreference, UpdateOne
from pymongo.command_cursor import CommandCursor
from pymongo.errors import OperationFailure, PyMongoError

from portal import clock
from portal.database.clusters import database_of, is_lost, kept_clusters
from portal.database.leases import summary
from portal.database.paging import BATCH_SIZE, in_batches
from portal.documents.figures import OrganizationFigures
from portal.documents.installation import INSTALLATION
from portal.documents.organizations import (
    KNOWN_STRATEGY,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.documents.pools import Pool
from portal.documents.usage import UsageHour, UsageRollup
from portal.errors import Unavailable
from portal.placement import capacity
from portal.placement.errors import TooManyOpenFiles
from portal.placement.policies import Demotion, Policy, Promotion, current_policy
from portal.tenants.moving.structures import Structure, unfit

log = structlog.get_logger()

_POOL_SECONDS = 1800
_READINGS = 3
# 100 collections and their indexes are 200 files.
_BETWEEN_LOOKS = 100
_PAUSE_SECONDS = 1
_PATIENCE_SECONDS = 900
_DAY = timedelta(days=1)
_ADDED_UP_WITHIN = timedelta(hours=1)
# The server counts the aggregation, and the looks at the figures in it.
_OPERATIONS_OF_MEASURING = 4
_OWN: list[dict[str, Any]] = [
    {"$collStats": {"count": {}, "storageStats": {}, "latencyStats": {}}},
    {
        "$project": {
            "documents": "$count",
            "bytes": "$storageStats.size",
            "indexes": "$storageStats.nindexes",
            "operations": {"$add": ["$latencyStats.reads.ops", "$latencyStats.writes.ops"]},
        }
    },
]
_SHARED: list[dict[str, Any]] = [
    {
        "$group": {
            "_id": "$_id.o",
            "documents": {"$sum": 1},
            "bytes": {"$sum": {"$bsonSize": "$$ROOT"}},
        }
    }
]


@dataclass(frozen=True, slots=True)
class Measured:
    """An organization's figures now, without the server's operations in a shared collection; one
    that ``fits_in_pool`` has a collection without options that pools have not, as a validator."""

    id: ObjectId
    strategy: Strategy
    documents: int
    bytes: int
    indexes: int = 1
    operations: int | None = None
    fits_in_pool: bool = True


@dataclass(frozen=True, slots=True)
class Measurement:
    """The number of organizations measured, and why others were not, by the cluster or the shared
    collection that they are in."""

    count: int
    missed: dict[str, str]


def measure_organizations() -> Measurement:
    """Measure all active organizations but for those of lost clusters, and store their figures."""
    policy, count, missed = current_policy(), 0, dict[str, str]()
    for batch in _batches(_measured(missed)):
        _store(batch, policy, clock.now())
        count += len(batch)
    return Measurement(count, missed)


def is_over(measured: Measured, a_day: int | None, thresholds: Promotion | None) -> bool:
    """Tell whether any figure is over its threshold."""
    if thresholds is None:
        return False
    pairs = (
        (measured.documents, thresholds.documents),
        (measured.bytes, thresholds.bytes),
        (a_day, thresholds.operations_a_day),
    )
    return any(f is not None and most is not None and f > most for f, most in pairs)


def is_under(
    measured: Measured, a_day: int | None, idle: timedelta, thresholds: Demotion | None
) -> bool:
    """Tell whether all figures are under their thresholds; what isn't known is not."""
    if thresholds is None:
        return False
    if thresholds.idle_days is not None and idle < thresholds.idle_days * _DAY:
        return False
    pairs = (
        (measured.documents, thresholds.documents),
        (measured.bytes, thresholds.bytes),
        (a_day, thresholds.operations_a_day),
    )
    return all(most is None or (f is not None and f < most) for f, most in pairs)


def _measured(missed: dict[str, str]) -> Iterator[Measured]:
    """Measures one after the other, and notes what is ``missed``."""
    kept = kept_clusters()
    yield from _on_their_own(missed)
    # A cursor would not live for as long as large ones take.
    pools = list(Pool.objects(uuid__exists=True, cluster__in=kept).scalar("id", "cluster"))
    for number, cluster in pools:
        try:
            yield from _in_pool(number)
        except (PyMongoError, Unavailable) as error:
            log.warning("figures.pool_not_measured", pool=number, error=str(error))
            missed[f"shared collection {number} on {cluster}"] = _reason(error)


def _on_their_own(missed: dict[str, str]) -> Iterator[Measured]:
    active = {
        "state": OrganizationState.ACTIVE,
        "placement.pool": {"$exists": False},
        **KNOWN_STRATEGY,
    }
    looked_at: Counter[str] = Counter()
    for rows in in_batches(Organization, active, "placement"):
        placements = {row["_id"]: Placement._from_son(row["placement"]) for row in rows}
        placements = {
            organization: placement
            for organization, placement in placements.items()
            if placement.cluster not in missed and not is_lost(placement.cluster)
        }
        fitting = _fitting_in_pool(placements)
        for organization, placement in placements.items():
            cluster = placement.cluster
            if cluster in missed:
                continue
            try:
                if looked_at[cluster] % _BETWEEN_LOOKS == 0:
                    _wait_for_room(cluster)
                looked_at[cluster] += 1
                yield from _own(organization, placement, organization in fitting)
            except (PyMongoError, Unavailable) as error:
                log.warning("figures.cluster_not_measured", cluster=cluster, error=str(error))
                missed[cluster] = _reason(error)


def _reason(error: Exception) -> str:
    return error.words if isinstance(error, TooManyOpenFiles) else summary(error)


def _wait_for_room(cluster: str) -> None:
    """Wait while much of what the cluster may open is open: each collection that is measured is
    opened, and ``mongod`` aborts at its limit. Where that doesn't change, its idle files stay open
    for longer than anybody would wait. Raises TooManyOpenFiles."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _may_open_more(cluster):
        if time.monotonic() > deadline:
            raise TooManyOpenFiles(cluster)
        time.sleep(_PAUSE_SECONDS)


def _may_open_more(cluster: str) -> bool:
    try:
        return capacity.may_open_more(cluster)
    except (PyMongoError, Unavailable):
        return True  # its organizations aren't measured then


def _fitting_in_pool(placements: Mapping[ObjectId, Placement]) -> set[ObjectId]:
    """Select the organizations whose collection's options don't keep them out of a pool, by one
    listing of each database; none of those where that is refused."""
    by_database: dict[tuple[str, str | None], dict[str, ObjectId]] = {}
    for organization, placement in placements.items():
        key = placement.cluster, placement.database
        by_database.setdefault(key, {})[placement.collection] = organization
    fitting: set[ObjectId] = set()
    for organizations in by_database.values():
        placement = placements[next(iter(organizations.values()))]
        try:
            listed = database_of(placement).list_collections(
                filter={"name": {"$in": list(organizations)}}
            )
            fitting |= {
                organizations[each["name"]]
                for each in listed
                if not unfit(Structure(each["options"], ()), Strategy.SHARED)
            }
        except (PyMongoError, Unavailable) as error:
            log.info("figures.options_not_read", cluster=placement.cluster, error=str(error))
    return fitting


def _own(organization: ObjectId, placement: Placement, fits_in_pool: bool) -> Iterator[Measured]:
    """Measures one; nothing where its collection is gone, or renamed. Raises PyMongoError and
    Unavailable where its cluster is away."""
    try:
        found = list(database_of(placement)[placement.collection].aggregate(_OWN))
    except OperationFailure as error:
        log.info("figures.not_measured", organization=str(organization), error=str(error))
        return
    for figures in found:
        strategy = Strategy(placement.strategy)
        yield Measured(organization, strategy, fits_in_pool=fits_in_pool, **figures)


def _in_pool(number: int) -> Iterator[Measured]:
    """Measures the organizations in a pool, those without a document too. Raises PyMongoError,
    Unavailable."""
    members = {"placement.pool": number, "state": OrganizationState.ACTIVE}
    # One that comes meanwhile isn't known to have none.
    unseen = {row["_id"] for rows in in_batches(Organization, members) for row in rows}
    for row in _read_whole(number):
        unseen.discard(row["_id"])
        yield Measured(row["_id"], Strategy.SHARED, row["documents"], row["bytes"])
    for rows in in_batches(Organization, members):
        for row in rows:
            if row["_id"] in unseen:
                yield Measured(row["_id"], Strategy.SHARED, documents=0, bytes=0)


def _read_whole(number: int) -> CommandCursor:
    """The figures of a pool by organization. Each fence renames it, which ends what reads it: then
    it is read anew, _READINGS times at most."""
    pool = Pool.objects.get(id=number)
    for _ in range(_READINGS - 1):
        try:
            return _group(pool)
        except OperationFailure:
            before, pool = pool, Pool.objects.get(id=number)
            if pool.generation == before.generation:
                raise
    return _group(pool)


def _group(pool: Pool) -> CommandCursor:
    read = ReadPreference.SECONDARY_PREFERRED
    collection = database_of(pool).get_collection(pool.collection, read_preference=read)
    # As a whole it takes longer than the client lets a command take.
    with pymongo.timeout(_POOL_SECONDS):
        # Under another name there is nothing, which would tell of no documents.
        return collection.aggregate(_SHARED, allowDiskUse=True, collectionUUID=pool.uuid)


def _batches(all_measured: Iterable[Measured]) -> Iterator[list[Measured]]:
    measured = iter(all_measured)
    while batch := list(islice(measured, BATCH_SIZE)):
        yield batch


def _store(batch: list[Measured], policy: Policy, now: datetime) -> None:
    ids = [measured.id for measured in batch]
    before = {one["_id"]: one for one in OrganizationFigures.objects(id__in=ids).as_pymongo()}
    reported = _reported_a_day(ids, now)
    living = set(Organization.objects(id__in=ids, state=OrganizationState.ACTIVE).scalar("id"))
    writes = [
        _write(measured, before.get(measured.id), reported.get(measured.id), policy, now)
        for measured in batch
        if measured.id in living
    ]
    if writes:
        OrganizationFigures._get_collection().bulk_write(writes, ordered=False)


def _write(
    measured: Measured,
    before: dict[str, Any] | None,
    reported: int | None,
    policy: Policy,
    now: datetime,
) -> UpdateOne:
    told = [n for n in (_operations_a_day(measured, before, now), reported) if n is not None]
    a_day = max(told, default=None)
    used_at = before["used_at"] if before and _is_unused(measured, a_day, before) else now
    shared = measured.strategy == Strategy.SHARED
    over = shared and is_over(measured, a_day, policy.promote)
    under = (
        not shared
        and measured.indexes == 1  # one's own can't come along
        and measured.fits_in_pool
        and is_under(measured, a_day, now - used_at, policy.demote)
        # By other figures it would be over again as soon as it shares.
        and not is_over(measured, a_day, policy.promote)
    )
    since = before or {}
    values = {
        "documents": measured.documents,
        "bytes": measured.bytes,
        "indexes": measured.indexes,
        "operations": measured.operations,
        "operations_a_day": a_day,
        "measured_at": now,
        "used_at": used_at,
        "over_since": since.get("over_since", now) if over else None,
        "under_since": since.get("under_since", now) if under else None,
        "unlisted": ObjectId(),
    }
    update = {"$set": {name: value for name, value in values.items() if value is not None}}
    if absent := [name for name, value in values.items() if value is None]:
        update["$unset"] = dict.fromkeys(absent, 1)
    return UpdateOne({"_id": measured.id}, update, upsert=True)


def _reported_a_day(organizations: list[ObjectId], now: datetime) -> dict[ObjectId, int]:
    """The operations of each as stores reported them; of none where not all of the time is added
    up."""
    rollup = UsageRollup.objects(id=INSTALLATION).first()
    if rollup is None or rollup.until is None or now - rollup.until > _ADDED_UP_WITHIN:
        return {}
    end = min(now, rollup.until).replace(minute=0, second=0, microsecond=0)
    if rollup.since > end - _DAY:
        return {}
    hours = {"organization": {"$in": organizations}, "hour": {"$gte": end - _DAY, "$lt": end}}
    summed = {"_id": "$organization", "operations": {"$sum": "$total.operations"}}
    found = UsageHour._get_collection().aggregate([{"$match": hours}, {"$group": summed}])
    return dict.fromkeys(organizations, 0) | {row["_id"]: row["operations"] for row in found}


def _operations_a_day(
    measured: Measured, before: dict[str, Any] | None, now: datetime
) -> int | None:
    """By the server's counter, since the measurement before, but for those that measuring takes;
    ``None`` where the counter began anew since, and at first."""
    if before is None or before.get("operations") is None or measured.operations is None:
        return None
    done = measured.operations - before["operations"]
    days = (now - before["measured_at"]) / _DAY
    if done < 0 or days <= 0:
        return None
    return round(max(0, done - _OPERATIONS_OF_MEASURING) / days)


def _is_unused(measured: Measured, a_day: int | None, before: dict[str, Any]) -> bool:
    same = (measured.documents, measured.bytes) == (before["documents"], before["bytes"])
    return same and not a_day
