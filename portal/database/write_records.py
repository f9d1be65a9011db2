"""Records of documents' idempotency keys: a collection in each cluster, beside the documents.

A record is written in the transaction of the write that its key is for. Each change of it also sets
``changed``, by the server's clock, so that a move to another cluster finds what it hasn't copied.
"""

from datetime import timedelta
from functools import cache
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from portal import settings
from portal.database.clusters import client_of
from portal.database.portal_role import internal_database

KEPT = timedelta(hours=24)
COLLECTION = "document_idempotency"

CHANGED = {"$currentDate": {"changed": True}}
"""The part of an update that each has."""


def records_of(cluster: str) -> Collection[dict[str, Any]]:
    """The records of writes in a cluster. Raises ClusterUnavailable."""
    return records_in(client_of(cluster))


def records_in(client: MongoClient[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """The records of writes in the cluster of a client."""
    return client[internal_database(settings.current().tenant_db)][COLLECTION]


@cache
def prepare_records(internal: Database) -> None:
    """Create the indexes: one that deletes records after KEPT, and one to find an organization's
    latest. Once in a process for each database."""
    records = internal[COLLECTION]
    records.create_index("at", expireAfterSeconds=int(KEPT.total_seconds()))
    records.create_index(["organization", "changed"])
