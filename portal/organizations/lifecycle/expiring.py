"""Expiry of what is kept beside organizations' documents: edits, before-images, files.

It is deleted by the portal and not by an index, which asks for no legal hold.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from portal.audit.deletions import Deletion, deleting
from portal.audit.errors import UnderHold
from portal.database.clusters import is_available, known_clusters
from portal.database.connection import server_time
from portal.database.errors import ClusterUnavailable
from portal.database.kept_beside import COLLECTIONS, DELETED_AT_ONCE, Rows, rows_of
from portal.database.write_records import CHANGED

log = structlog.get_logger()

HELD_FOR = timedelta(days=1)
"""The time for which what a hold keeps isn't looked at again."""

MAX_BATCHES = 50


def delete_expired() -> int:
    """Delete what has expired in every cluster that answers; how many rows, MAX_BATCHES batches of
    each collection at most."""
    deleted = 0
    for cluster in known_clusters():
        if cluster.lost_at is None and is_available(cluster.name):
            try:
                deleted += sum(_delete_expired_in(cluster.name, name) for name in COLLECTIONS)
            except (PyMongoError, ClusterUnavailable) as error:  # the others must not wait for it
                log.warning("expiry.put_off", cluster=cluster.name, error=str(error))
    return deleted


def _delete_expired_in(cluster: str, name: str) -> int:
    rows, now, deleted = rows_of(cluster, name), server_time(), 0
    for _ in range(MAX_BATCHES):
        ids = _expired_ids(rows, now)
        if not ids:
            break
        for organization, own in ids.items():
            deleted += _delete(rows, organization, own, now)
    return deleted


def _expired_ids(rows: Rows, now: datetime) -> dict[ObjectId, list[dict[str, Any]]]:
    """The ids of some rows that have expired, by organization."""
    found = rows.find({"expires_at": {"$lte": now}}, {"_id": 1}).sort("expires_at", 1)
    ids: dict[ObjectId, list[dict[str, Any]]] = defaultdict(list)
    for row in found.limit(DELETED_AT_ONCE):
        ids[row["_id"]["o"]].append(row["_id"])
    return ids


def _delete(rows: Rows, organization: ObjectId, ids: list[dict[str, Any]], now: datetime) -> int:
    expired = {"_id": {"$in": ids}, "expires_at": {"$lte": now}}
    try:
        with deleting(organization, Deletion.EXPIRY):
            return rows.delete_many(expired).deleted_count
    except UnderHold:
        rows.update_many(expired, {"$set": {"expires_at": now + HELD_FOR}, **CHANGED})
        return 0
