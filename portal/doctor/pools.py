"""Pools compared with their records, and with the organizations that have documents in them."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from bson import MaxKey, ObjectId
from mongoengine import QuerySet
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.database.clusters import database_of
from portal.doctor.findings import Finding, Kind, NotRepaired
from portal.doctor.moves import LAST
from portal.doctor.placements import reached_clusters
from portal.documents.organizations import (
    OperationKind,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.documents.pools import Pool
from portal.organizations.lifecycle import pools
from portal.organizations.moving.ending import is_last_copy
from portal.organizations.moving.leftovers import moves_in_pool, remove_left_over
from portal.tenants import collections
from portal.web.counting import counted

MISSING = Kind(
    "missing_pool",
    "Pools whose collection is gone, and with it the documents of all their organizations",
    "Bring it back from a backup with its UUID (mongorestore --preserveUUID).",
)
UNRECORDED = Kind(
    "unrecorded_pool",
    "Pools of organizations that are recorded no more, so that nobody finds their documents",
    "--repair records one again, where its collection is there under its name. Otherwise bring the "
    "record back from a backup of the master database.",
)
BEHIND = Kind(
    "pool_behind",
    "Pools whose collection has another name than recorded, or whose fence was left half done",
    "--repair gives them their next name.",
)
HALF_OPEN = Kind(
    "half_open_pool",
    "Pools that were begun to be opened",
    "--repair opens them. The next organization that needs one does so, too.",
)
ADDED_INDEX = Kind(
    "pool_index",
    "Indexes that somebody added to a pool",
    "They cost every organization in it with each write; a unique one refuses what is allowed "
    "elsewhere, one of expiry deletes. --repair drops them.",
)
ADDED_OPTIONS = Kind(
    "pool_options",
    "Pools with a validator, or other options that somebody gave them",
    "They hold for every organization in it. Take them away by collMod.",
)
UNOWNED = Kind(
    "unowned_documents",
    "Documents in pools that belong to no organization there",
    "--repair deletes those of purged organizations, and what a move left over. Where the "
    "organization does not exist at all, a backup may bring it back: delete them by hand if "
    "nothing will.",
)
MISCOUNTED = Kind(
    "miscounted_pool",
    "Pools with more or fewer organizations than were counted",
    "Portals count them by themselves: if none runs, start one. --repair counts them now.",
)

# Later than the fullest pool is counted.
_COUNTED_LATE = timedelta(minutes=15)
_FIRST, _LAST = {"o": ObjectId("0" * 24)}, {"o": ObjectId("f" * 24), "i": MaxKey(), "x": 0}
_REMOVING = (OperationKind.TRASH, OperationKind.PURGE)


def find_amiss() -> Iterator[Finding]:
    """Pools that are gone, behind their records or miscounted, and what doesn't belong there."""
    for pool in Pool.objects(cluster__in=reached_clusters()).order_by("id"):
        if pool.generation == 0:
            yield Finding(
                HALF_OPEN, str(pool.id), "it has no name yet", repair=partial(_open, pool)
            )
        elif found := _misplacement(pool):
            yield found
        else:
            yield from _additions(pool)
            yield from _unowned(pool)
            yield from _miscount(pool)


def find_unrecorded() -> Iterator[Finding]:
    """Pools that organizations are placed in, and of which there is no record."""
    named = _placed({"$exists": True})
    rows = Organization._get_collection()
    numbers = set(rows.distinct("placement.pool", named))
    # Read later, since a pool is recorded before anybody is placed in it.
    for number in sorted(numbers - set(Pool.objects.scalar("id"))):
        words = counted(rows.count_documents(_placed(number)), "organization")
        yield Finding(UNRECORDED, f"pool {number}", words, repair=partial(_record_anew, number))


def _placed(number: Any) -> dict[str, Any]:
    """The filter of the organizations that have their documents in a pool."""
    kept = [OrganizationState.ACTIVE, OrganizationState.TRASHED]
    return {"placement.pool": number, "state": {"$in": kept}}


def _record_anew(number: int) -> str | None:
    placed = Organization.objects(__raw__=_placed(number)).only("placement").first()
    if placed is None:
        return None
    try:
        pool = pools.record_anew(number, placed.placement)
    except NotUniqueError:
        return None
    pools.count(pool)
    return f"recorded as {pool.collection}"


def _open(pool: Pool) -> str | None:
    return f"opened as {pools.finish_opening(pool).collection}"


def _misplacement(pool: Pool) -> Finding | None:
    actual = _actual_name(pool)
    current = Pool.objects.get(id=pool.id)
    if (current.generation, current.next_generation) != (pool.generation, pool.next_generation):
        return None  # a fence is under way
    if actual is None:
        return Finding(MISSING, pool.collection, f"UUID {pool.uuid}")
    names = [pool.collection]
    if pool.next_generation is not None:
        names.append(pool.name_of(pool.next_generation))
        if actual in names and _organizations(pool, operation__kind__in=_REMOVING).first():
            return None  # whose operation carries the fence out
    if names == [actual]:
        return None
    words = f"is {actual}, recorded as {' or '.join(names)}"
    return Finding(BEHIND, pool.collection, words, repair=partial(_fence, pool.id))


def _fence(number: int) -> str | None:
    if _misplacement(Pool.objects.get(id=number)) is None:
        return None
    pools.fence(number)
    return f"renamed to {Pool.objects.get(id=number).collection}"


def _additions(pool: Pool) -> Iterator[Finding]:
    """Indexes and options that somebody gave the collection, unless it is renamed meanwhile."""
    database = database_of(pool)
    listed = next(database.list_collections(filter={"name": pool.collection}), None)
    if listed is None:
        return
    if options := sorted(listed["options"]):
        yield Finding(ADDED_OPTIONS, pool.collection, ", ".join(options))
    for index in database[pool.collection].list_indexes():
        if index["name"] != "_id_":
            repair = partial(_drop_index, pool.id, index["name"])
            yield Finding(ADDED_INDEX, pool.collection, _in_words(index), repair=repair)


def _in_words(index: Mapping[str, Any]) -> str:
    """The name of an added index, and the worst that it does."""
    name = str(index["name"])
    if index.get("unique"):
        return f"{name}, unique: an organization is refused what another has"
    if "expireAfterSeconds" in index:
        return f"{name}, which deletes everybody’s documents by their age"
    return name


def _drop_index(number: int, name: str) -> str | None:
    pool = Pool.objects.get(id=number)
    collections.drop_index(database_of(pool), pool.uuid, pool.collection, name)
    return "dropped"


def _unowned(pool: Pool) -> Iterator[Finding]:
    for misfit in _first_of(pool, {"$not": {"$gte": _FIRST, "$lt": _LAST}}):
        yield Finding(UNOWNED, pool.collection, f"a document whose id is {misfit!r}")
    for organization_id in _tenants(pool):
        if (why := _not_there(pool, organization_id)) and _has_documents(pool, organization_id):
            repair, words = None, f"organization {organization_id}, which {why}"
            if is_last_copy(organization_id, _place_in(pool)):
                words += f". {LAST}"
            else:
                repair = _repair_of(pool, organization_id, why)
            yield Finding(UNOWNED, pool.collection, words, organization_id, repair)


_PURGED, _ELSEWHERE = "is purged", "is placed elsewhere"


def _repair_of(pool: Pool, organization_id: ObjectId, why: str) -> Callable[[], str | None] | None:
    if why == _PURGED:
        return partial(_delete_purged, pool, organization_id)
    if why == _ELSEWHERE and moves_in_pool(organization_id, pool.id):
        return partial(_remove_copy, pool, organization_id)
    return None


def _remove_copy(pool: Pool, organization_id: ObjectId) -> str | None:
    if _not_there(pool, organization_id) != _ELSEWHERE:
        return None
    if not remove_left_over(organization_id, _place_in(pool)):
        raise NotRepaired("their removal has begun, and a portal will complete it")
    return "deleted"


def _place_in(pool: Pool) -> Placement:
    return Placement(
        strategy=Strategy.SHARED, cluster=pool.cluster, database=pool.database, pool=pool.id
    )


def _not_there(pool: Pool, organization_id: ObjectId) -> str | None:
    """The reason why the organization should have no documents in the pool; ``None`` where it
    may."""
    found = Organization.objects(id=organization_id).first()
    if found is None:
        return "does not exist"
    if found.operation is not None or found.placement.pool == pool.id:
        return _PURGED if found.state == OrganizationState.PURGED else None
    if any(move.open for move in moves_in_pool(organization_id, pool.id)):
        return None
    return _ELSEWHERE


def _delete_purged(pool: Pool, organization_id: ObjectId) -> str | None:
    if _not_there(pool, organization_id) != _PURGED:
        return None
    for _ in pools.delete_documents(pool.id, organization_id):
        pass
    return "deleted"


def _tenants(pool: Pool) -> Iterator[ObjectId]:
    """The organizations that have documents in the pool, each by a seek in the index."""
    after: Any = {"$gte": _FIRST, "$lt": _LAST}
    while found := _first_of(pool, after):
        organization_id = found[0]["o"]
        yield organization_id
        after = {"$gt": {"o": organization_id, "i": MaxKey(), "x": 0}, "$lt": _LAST}


def _has_documents(pool: Pool, organization_id: ObjectId) -> bool:
    return bool(_first_of(pool, pools.range_of(organization_id)["_id"]))


def _first_of(pool: Pool, ids: Any) -> list[Any]:
    """The first stored id in a range, if there is one; the collection may be renamed meanwhile."""
    first: list[dict[str, Any]] = [{"$sort": {"_id": 1}}, {"$limit": 1}, {"$project": {"_id": 1}}]
    found = pools.read_stored(pool.id, [{"$match": {"_id": ids}}, *first])
    return [row["_id"] for row in found]


def _miscount(pool: Pool) -> Iterator[Finding]:
    counted_at = pool.counted_at or pool.birth.generation_time  # there was none in it at first
    counted_lately = clock.now() - counted_at < _COUNTED_LATE
    there = pools.organizations_in(pool)
    if there != pool.organizations and not counted_lately:
        words = f"{there}, counted as {pool.organizations}"
        yield Finding(MISCOUNTED, pool.collection, words, repair=partial(_count, pool.id))


def _count(number: int) -> str | None:
    pools.count(Pool.objects.get(id=number))
    return "counted"


def _organizations(pool: Pool, **wanted: object) -> QuerySet:
    return Organization.objects(placement__pool=pool.id, **wanted)


def _actual_name(pool: Pool) -> str | None:
    return collections.names_of(database_of(pool), [pool.uuid]).get(pool.uuid)
