"""Pools: collections that many organizations share.

**Fence.** What keeps a writer that was suspended from writing for an organization that has been
trashed, or has moved away, is another name for the whole collection: every store is refused under
the old one, and reads its organization anew before it uses the new one. So a fence begins after the
organization's intent is committed, and is done when the collection has a name that was recorded
later. The next name is recorded before the rename: whoever reads the record in between knows both.

Names are never used again, so a rename that arrives late finds no collection under its old name,
and does nothing. Hence any number of processes may carry a fence out at once, and one fence serves
all that wait for one.

**Opening.** A pool is born under a name made of a random id, and gets its first name by a fence.
Its number is the record's ``_id``, whose uniqueness decides races; whoever finds one that is half
open carries on.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from bson.codec_options import DEFAULT_CODEC_OPTIONS
from bson.raw_bson import RawBSONDocument
from mongoengine.errors import NotUniqueError
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from portal.database.clusters import PROBE_SECONDS, database_of, kept_clusters
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Placement,
)
from portal.documents.pools import Pool
from portal.errors import PortalError, Unavailable
from portal.organizations.lifecycle.births import create_once
from portal.organizations.lifecycle.errors import PoolUnavailable
from portal.placement import capacity
from portal.tenants import collections
from portal.tenants.collections import (
    CollectionElsewhere,
    CollectionError,
    CollectionMissing,
    CollectionNameTaken,
    Tries,
)
from portal.tenants.placements.filters import Filters
from portal.tenants.placements.shared import Shared

log = structlog.get_logger()

# A fence has the stores of all organizations of a pool read their places anew; and a pool is
# copied, checked and lost as a whole.
MAX_ORGANIZATIONS = 10_000
MAX_BYTES = 32 * 2**30

# Until the next count there may be that many seconds' sign-ups more in a pool.
COUNTED_EVERY_SECONDS = 10
FULL_COUNTED_EVERY_SECONDS = 600

DELETED_AT_ONCE = 200
LONGEST_REST_SECONDS = 0.5

# The rename waits for open transactions, and every operation in the pool waits behind it. What
# isn't done by then, the engine reschedules.
BRIEFLY = Tries(0.2, (0.1, 0.2, 0.4, 0.8))


def pool_with_room(cluster: str) -> Pool:
    """A pool of the cluster with room for one more organization: the first that there is, else a
    new one. Raises PoolUnavailable where none can be opened in time."""
    while True:
        # First: one that is opened from here on has this number, and a second one can't.
        last = Pool.objects.order_by("-id").first()
        pools = Pool.objects(cluster=cluster).order_by("id")
        roomy = pools.filter(organizations__lt=MAX_ORGANIZATIONS, bytes__lt=MAX_BYTES)
        if found := roomy.filter(generation__gte=1, missing=None).first():
            return found
        half_open = pools.filter(generation=0).first()
        if half_open is None and last and last.cluster == cluster and not last.generation:
            continue  # it was half open when it was read, and may have room by now
        half_open = half_open or _insert(_number_after(last), cluster)
        if half_open:
            return _open(half_open)


def _open(pool: Pool) -> Pool:
    """Finish opening the pool, in time for a request to go on elsewhere. Raises PoolUnavailable."""
    elsewhere = pool.cluster != MAIN_CLUSTER
    try:
        with pymongo.timeout(PROBE_SECONDS) if elsewhere else nullcontext():
            return finish_opening(pool)
    except (Unavailable, CollectionError, PyMongoError) as error:
        if capacity.is_refusal(error):
            capacity.note_refusal(pool.cluster)
        log.warning("pool.not_opened", pool=pool.id, cluster=pool.cluster, error=repr(error))
        raise PoolUnavailable(pool.cluster) from error


def finish_opening(pool: Pool) -> Pool:
    """The pool, with a collection under its first name, whoever began to open it.

    Raises CollectionError or PyMongoError where that isn't done in time, ClusterUnavailable; it may
    be called again.
    """
    if pool.uuid is None:
        pool = _create_collection(pool)
    return _advance_to(1, pool, BRIEFLY)


def fence(number: int, tries: Tries = BRIEFLY) -> int:
    """Have every store read its organization anew before it goes on in the pool; the generation
    that its collection has reached, by a rename after the call.

    What was committed before the call is known to each operation that succeeds after it. Raises
    CollectionMissing where somebody dropped the pool's collection, PyMongoError where it can't be
    renamed in time, by these ``tries`` for each generation; it may be called again.
    """
    pool = _announce(number)
    # The next name may have been read already, along with an organization as it was.
    unread = (pool.next_generation or pool.generation) + 1
    pool.next_generation = pool.next_generation or unread
    return _advance_to(unread, pool, tries).generation


def delete_documents(number: int, organization: ObjectId) -> Iterator[None]:
    """Delete the organization's documents in small batches, between which it yields.

    After each it rests for as long as that took, so that neighbours have the server half of the
    time: their p99 then stays below 1.5 times what it is without, against 2.6 times. Raises
    CollectionMissing where the pool's record was lost, since the documents may still be there.
    """
    pool, wanted = find_pool(number), range_of(organization)
    database, name = database_of(pool), pool.collection
    while True:
        begun = time.monotonic()
        try:
            batch = collections.delete_some(database, pool.uuid, name, wanted, DELETED_AT_ONCE)
        except CollectionElsewhere as found:
            name = found.actual_name
        except CollectionMissing:
            log.error("pool.missing", pool=number)
            return
        else:
            if not batch:
                return
        time.sleep(min(time.monotonic() - begun, LONGEST_REST_SECONDS))
        yield


def find_pool(number: int) -> Pool:
    """The pool with this number. Raises CollectionMissing where there is no record of it, and so
    nobody knows its collection."""
    pool = Pool.objects(id=number).first()
    if pool is None:
        raise CollectionMissing(f"pool {number}")
    return pool


def record_anew(number: int, placement: Placement) -> Pool:
    """Record a pool whose record was lost, as its collection tells by its name. Raises
    CollectionMissing unless a single one has a name of this pool; NotUniqueError where it is
    recorded already."""
    named = {"$regex": rf"^shared_{number}_[0-9]+$"}
    found = list(collections.list_collections(database_of(placement), name=named))
    if len(found) != 1:
        raise CollectionMissing(f"pool {number}")
    generation = found[0].name.rpartition("_")[2]
    pool = Pool(id=number, cluster=placement.cluster, database=placement.database)
    pool.uuid, pool.generation = found[0].uuid, int(generation)
    return pool.save(force_insert=True)


def range_of(organization: ObjectId) -> dict[str, Any]:
    """The filter for the organization's documents in a pool, by the index on ``_id``."""
    return {"_id": Filters(organization).range}


def read_documents(
    number: int,
    organization: ObjectId,
    pipeline: Sequence[Mapping[str, Any]],
    max_time_ms: int | None = None,
) -> list[RawBSONDocument]:
    """The result of ``pipeline`` on the organization's documents, as they would be in a collection
    of its own, whatever its state; the first batch is all, not decoded. Raises CollectionMissing.
    """
    command = Shared(organization).command(
        "aggregate", {"pipeline": pipeline}, DEFAULT_CODEC_OPTIONS
    )
    return read_stored(number, command["pipeline"], max_time_ms)


def read_stored(
    number: int, pipeline: Sequence[Mapping[str, Any]], max_time_ms: int | None = None
) -> list[RawBSONDocument]:
    """The result of ``pipeline`` on all that is in the pool, as it is stored; otherwise like
    ``read_documents``."""
    pool = find_pool(number)
    database = database_of(pool)
    return collections.at_its_name(
        pool.collection,
        lambda name: collections.read_documents(database, pool.uuid, name, pipeline, max_time_ms),
    )


def count_due() -> int:
    """Count each pool that wasn't counted lately, by whichever portal comes first; how many there
    were."""
    counted = 0
    while pool := _claim_count():
        counted += 1
        try:
            count(pool)
        except (CollectionError, PyMongoError, PortalError) as error:
            # It was renamed just now, or its cluster is away: the others must not wait for it.
            log.warning("pool.not_counted", pool=pool.id, error=repr(error))
    return counted


def count(pool: Pool) -> None:
    """Record how much is in the pool. After the fact: a counter in the transaction of each sign-up
    would have them wait for one another."""
    Pool.objects(id=pool.id).update_one(set__organizations=organizations_in(pool))
    try:
        figures = collections.collection_figures(database_of(pool), pool.uuid, pool.collection)
    except CollectionMissing:
        Pool.objects(id=pool.id).update_one(set__missing=True)
        raise
    Pool.objects(id=pool.id).update_one(set__bytes=figures.size_bytes, unset__missing=True)


def organizations_in(pool: Pool) -> int:
    """The number of organizations that have their documents in the pool; by an index alone."""
    kept = OrganizationState.ACTIVE, OrganizationState.TRASHED
    return Organization.objects(placement__pool=pool.id, state__in=kept).count()


def _number_after(last: Pool | None) -> int:
    """A number after those of all pools; also of one whose record was lost, as organizations still
    name that."""
    named = Organization.objects(placement__pool__exists=True).order_by("-placement.pool")
    highest = named.scalar("placement").first()
    return max(last.id if last else 0, highest.pool if highest else 0) + 1


def _insert(number: int, cluster: str) -> Pool | None:
    """A record for one more pool, whose collection is not yet there; ``None`` where another process
    was faster."""
    try:
        return Pool(id=number, cluster=cluster, next_generation=1).insert()
    except NotUniqueError:
        return None


def _create_collection(pool: Pool) -> Pool:
    database, name = database_of(pool), pool.collection
    create_once(database, name, pool.birth)
    without = Pool.objects(id=pool.id, birth=pool.birth, uuid=None)
    if uuid := collections.uuid_of(database, name):
        without.update_one(set__uuid=uuid)
    elif without.update_one(set__birth=ObjectId()):  # dropped by hand just now: the next will do
        raise CollectionMissing(name)
    return Pool.objects.get(id=pool.id)


def _announce(number: int) -> Pool:
    """Record the pool's next generation, if none is; the record before.

    Also where nothing changes this is a write, which a majority acknowledges: unlike a read, a
    primary that was replaced can't answer it.
    """
    following = {"$add": ["$generation", 1]}
    before = Pool._get_collection().find_one_and_update(
        {"_id": number},
        [{"$set": {"next_generation": {"$ifNull": ["$next_generation", following]}}}],
    )
    if before is None:
        raise CollectionMissing(f"pool {number}")
    return Pool._from_son(before)


def _advance_to(generation: int, pool: Pool, tries: Tries) -> Pool:
    """The pool once it has reached this generation."""
    while pool.generation < generation:
        pool = _advance(pool, tries)
    return pool


def _advance(pool: Pool, tries: Tries = BRIEFLY) -> Pool:
    """The pool's record after one more step towards its next generation, whoever took it."""
    if pool.next_generation is None:
        return _changed(pool, next_generation=pool.generation + 1)
    try:
        _rename(pool, pool.collection, tries)
    except CollectionNameTaken:  # by a stranger's: names are many
        return _changed(pool, next_generation=pool.next_generation + 1)
    except CollectionElsewhere as found:
        # Another process is further; else somebody renamed it in the database, or a rename to a
        # name that was taken came late.
        current = _changed(pool, next_generation=pool.next_generation)
        if _generations(current) == _generations(pool):
            _rename(pool, found.actual_name, tries)
        return current
    return _changed(pool, generation=pool.next_generation, next_generation=None)


def _rename(pool: Pool, name: str, tries: Tries) -> None:
    new_name = pool.name_of(pool.next_generation)
    collections.rename_collection(database_of(pool), pool.uuid, name, new_name, tries)


def _changed(pool: Pool, **changes: int | None) -> Pool:
    """The pool's record, with these changes if it was as in ``pool``. A write in any case, for the
    reason of ``_announce``."""
    unset = {name: True for name, value in changes.items() if value is None}
    given = {name: value for name, value in changes.items() if value is not None}
    as_read = dict(zip(("generation", "next_generation"), _generations(pool), strict=True))
    changed = Pool._get_collection().find_one_and_update(
        {"_id": pool.id, **as_read},
        {**({"$set": given} if given else {}), **({"$unset": unset} if unset else {})},
        return_document=ReturnDocument.AFTER,
    )
    return Pool._from_son(changed) if changed else Pool.objects.get(id=pool.id)


def _generations(pool: Pool) -> tuple[int, int | None]:
    return pool.generation, pool.next_generation


def _claim_count() -> Pool | None:
    """A pool that is due to be counted, which no other process then counts; of clusters that were
    removed, or given up, none."""
    full = [{"$gte": ["$organizations", MAX_ORGANIZATIONS]}, {"$gte": ["$bytes", MAX_BYTES]}]
    seconds = {"$cond": [{"$or": full}, FULL_COUNTED_EVERY_SECONDS, COUNTED_EVERY_SECONDS]}
    since = {"$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": seconds}}
    claimed = Pool._get_collection().find_one_and_update(
        {
            "generation": {"$gte": 1},
            "cluster": {"$in": kept_clusters()},
            "$expr": {"$lt": ["$counted_at", since]},
        },
        [{"$set": {"counted_at": "$$NOW"}}],
        return_document=ReturnDocument.AFTER,
    )
    return Pool._from_son(claimed) if claimed else None
