"""Rows beside an organization's documents: in collections of the portal's own in the cluster
that the documents are in, so that one transaction may write both.

The ``_id`` of each row is a document that begins with ``o``, the organization's id. A row has
``changed``, by the server's clock, which each change sets anew, so that a move to another cluster
finds what it hasn't copied; and ``expires_at``, after which it is deleted unless a legal hold keeps
it: by the portal, since an index by which the server deletes asks nobody.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from portal import settings
from portal.database.clusters import client_of
from portal.database.portal_role import internal_database
from portal.database.write_records import COLLECTION as WRITE_RECORDS

EDITS = "edits"
"""Edits of documents: who did what and why, and how far an edit of many is."""

BEFORE_IMAGES = "before_images"
"""Documents as they were before an edit, and what became of each in an undo."""

FILES = "files"
FILE_CHUNKS = "file_chunks"
"""Files that are imported or were exported, and their content."""

COLLECTIONS = (EDITS, BEFORE_IMAGES, FILES, FILE_CHUNKS)
"""All of them: they move with the documents, and are purged with them."""

DELETED_AT_ONCE = 200

_EXPIRING = "expires_at_1"
_INDEX_NOT_FOUND = 27

Rows = Collection[dict[str, Any]]


def rows_in(client: MongoClient[dict[str, Any]], name: str) -> Rows:
    """The rows of the collection ``name`` in the cluster of a client, such as that of a
    transaction's session. Those of documents have their ids, which may be dates beyond Python's,
    and binaries that only say to be UUIDs."""
    any_id = client.codec_options.with_options(
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
        uuid_representation=UuidRepresentation.UNSPECIFIED,
    )
    database = client[internal_database(settings.current().tenant_db)]
    return database.get_collection(name, codec_options=any_id)


def rows_of(cluster: str, name: str) -> Rows:
    """The rows of the collection ``name`` in a cluster, with its indexes. Raises
    ClusterUnavailable."""
    rows = rows_in(client_of(cluster), name)
    prepare(rows.database)
    return rows


def server_time_in(session: ClientSession) -> datetime:
    """The server's time as the session last heard of it, for the ``changed`` of rows that are
    inserted: an insert takes no ``$currentDate``. It may lag a few seconds behind."""
    told = session.cluster_time
    if told is None:
        raise RuntimeError("the session has read nothing yet")
    time: datetime = told["clusterTime"].as_datetime()
    return time


@cache
def prepare(internal: Database) -> None:
    """Create the indexes, once in a process for each database."""
    for name in COLLECTIONS:
        internal[name].create_index(["_id.o", "changed"])
        _drop_expiring_index(internal[name])
        internal[name].create_index(["expires_at", "_id"])
    of_documents = {"document": {"$exists": True}}
    for name in (EDITS, BEFORE_IMAGES):
        internal[name].create_index(["_id.o", "document"], partialFilterExpression=of_documents)
    internal[EDITS].create_index("told", partialFilterExpression={"told": False})
    of_insertions = {"inserted": {"$exists": True}}
    internal[BEFORE_IMAGES].create_index(
        ["_id.o", "inserted"], partialFilterExpression=of_insertions
    )


def _drop_expiring_index(rows: Rows) -> None:
    """Drop the index by which the server deleted rows of earlier versions."""
    if _EXPIRING not in rows.index_information():
        return
    try:
        rows.drop_index(_EXPIRING)
    except OperationFailure as error:  # another process was faster
        if error.code != _INDEX_NOT_FOUND:
            raise


def delete_all(cluster: str, organization: ObjectId) -> Iterator[int]:
    """Delete all that is kept beside the organization's documents in the cluster, and the records
    of its idempotency keys, in small parts, after each of which it yields how many rows that were.
    May be run again. Raises ClusterUnavailable."""
    own: dict[str, dict[str, Any]] = {name: {"_id.o": organization} for name in COLLECTIONS}
    own[WRITE_RECORDS] = {"organization": organization}
    for name, which in own.items():
        rows = rows_of(cluster, name)
        while True:
            found = rows.find(which, {"_id": 1}).limit(DELETED_AT_ONCE)
            if not (ids := [row["_id"] for row in found]):
                break
            yield rows.delete_many({"_id": {"$in": ids}}).deleted_count
