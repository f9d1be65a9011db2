"""The time that reads take those who stay, while others are moved."""

import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from math import ceil
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from portal.database.clusters import database_of
from portal.documents.moves import Move
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.organizations.lifecycle.pools import find_pool
from portal.tenants.collections import CollectionMissing

MOST_WATCHED = 20
READS_AT_ONCE = 10
WINDOW = 200
_LONGEST_READ_SECONDS = 2


class Neighbours:
    """Some organizations on a cluster that stay there, and what a read took them lately."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self._watched = list(_watched(cluster))
        self._taken_ms: deque[float] = deque(maxlen=WINDOW)
        self._next = 0

    def look(self) -> float | None:
        """The p99 of the last WINDOW reads in milliseconds, READS_AT_ONCE more of which are made
        now, or fewer where one fails, which counts as the longest; ``None`` without neighbours."""
        for _ in range(READS_AT_ONCE if self._watched else 0):
            self._taken_ms.append(_read_ms(self._watched[self._next % len(self._watched)]))
            self._next += 1
            if self._taken_ms[-1] >= _LONGEST_READ_SECONDS * 1000:
                break
        if not self._taken_ms:
            return None
        slowest = sorted(self._taken_ms)
        return slowest[ceil(len(slowest) * 0.99) - 1]

    def forget(self) -> None:
        """Forget the reads so far, which were at another pace of what is moved."""
        self._taken_ms.clear()


def _read_ms(collection: Collection) -> float:
    begun = time.perf_counter()
    try:
        with pymongo.timeout(_LONGEST_READ_SECONDS):
            collection.find_one({}, {"_id": 1})
    except PyMongoError:
        return _LONGEST_READ_SECONDS * 1000
    return (time.perf_counter() - begun) * 1000


def _watched(cluster: str) -> Iterable[Collection]:
    moving = Move.objects(open=True, way_back_of=None).distinct("organization")
    here = [cluster, None] if cluster == MAIN_CLUSTER else [cluster]
    wanted: dict[str, Any] = {
        "placement.cluster": {"$in": here},
        "state": OrganizationState.ACTIVE,
        "operation": None,
        "_id": {"$nin": moving},
    }
    found = Organization._get_collection().aggregate(
        [{"$match": wanted}, {"$sample": {"size": MOST_WATCHED}}, {"$project": {"placement": 1}}]
    )
    for row in found:
        with suppress(CollectionMissing):  # the doctor tells of pools that nobody knows
            yield _collection_of(Placement._from_son(row["placement"]))


def _collection_of(placement: Placement) -> Collection:
    if placement.strategy == Strategy.SHARED:
        pool = find_pool(placement.pool)
        return database_of(pool)[pool.collection]
    return database_of(placement)[placement.collection]
