"""Creates, renames and drops tenant collections.

A collection is identified by its UUID; its name is only its current location. It is created in a
transaction. Every later command carries the UUID as ``collectionUUID``, so that the server rejects
it with code 361 where the name belongs to another collection. Renaming, dropping and counting are
idempotent and bounded in time: a repeated call has the same result. Other rejections of the server
(no permission, an index build) are raised as its OperationFailure.

Source: MongoDB manual, ``collectionUUID`` of renameCollection, drop and aggregate; verified on
6.0.5. An interrupted command (connection lost, primary gone, timeout) may have been executed; only
calling it again tells.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import pymongo
from bson import Binary
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from portal.tenants.fence import Moved, check_write, rejection

Result = TypeVar("Result")

MAX_TRIES = 20

_NO_OPTIONS: Mapping[str, Any] = {}
_FEW = 20
# A name that the portal may read in any database.
_PROBED = "portal_tenant_documents"

_STORAGE_FIGURES = ("storageStats.size", "storageStats.storageSize", "storageStats.indexSizes")
# One result for each shard; a replica set is one.
_STATISTICS: Sequence[Mapping[str, Any]] = (
    {"$collStats": {"count": {}, "storageStats": {}}},
    # The rest is ten kilobytes of WiredTiger internals.
    {
        "$project": {
            "count": 1,
            **dict.fromkeys(_STORAGE_FIGURES, 1),
            "table": "$storageStats.wiredTiger.uri",
        }
    },
    {"$group": {"_id": None, "shards": {"$push": "$$ROOT"}}},
)
_MAX_TABLES = 10_000
_NAMESPACE_EXISTS = 48
_INDEX_NOT_FOUND = 27
_LARGE_DEFINITIONS = 16 * 1024 * 1024
# NamespaceNotFound, QueryPlanKilled: the collection was renamed or dropped while the command ran.
_MOVED_MEANWHILE = (26, 175)
_ANY: Sequence[Mapping[str, Any]] = ({"$limit": 1}, {"$project": {"_id": 1}})
_UNDECIDED = (50, 64)  # MaxTimeMSExpired, WriteConcernTimeout


class CollectionError(Exception):
    """The base of errors about a tenant collection."""


@dataclass
class CollectionNameTaken(CollectionError):
    """Another collection has the name, and is untouched."""

    name: str


@dataclass
class CollectionMissing(CollectionError):
    """The collection is not in this database."""

    sought: UUID | str


@dataclass
class CollectionElsewhere(CollectionError):
    """The collection has another name than expected."""

    uuid: UUID
    actual_name: str


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries of a command whose result is unknown: each takes ``seconds``, and ``pauses`` are
    between them. DDL that waits for an open transaction blocks all writes to the collection."""

    seconds: float
    pauses: tuple[float, ...]


# The next follows immediately, since the server did the waiting.
AT_ONCE = Tries(0.5, (0,) * (MAX_TRIES - 1))


@dataclass(frozen=True, slots=True)
class Found:
    """A listed collection."""

    name: str
    uuid: UUID


@dataclass(frozen=True, slots=True)
class IndexFigure:
    """One index of a tenant collection."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a tenant's documents, sizes in bytes.

    Of a collection they are the server's statistics; the number of documents is its counter, which
    may be slightly off after a crash. Of documents in a shared collection they are counted:
    ``partial`` where there are more, and without what is the collection's.
    """

    documents: int
    size_bytes: int
    disk_bytes: int | None = None
    indexes: tuple[IndexFigure, ...] = ()
    partial: bool = False

    @property
    def index_bytes(self) -> int:
        return sum(index.size_bytes for index in self.indexes)


def create_collection(
    database: Database, name: str, options: Mapping[str, Any] = _NO_OPTIONS
) -> None:
    """Create the collection ``name`` in the caller's transaction: it exists once that is committed,
    and never otherwise, however late the command arrives.

    Raises OperationFailure where the server refuses.
    """
    database.command({"create": name, **options})


def uuid_of(database: Database, name: str) -> UUID | None:
    """The UUID of the collection ``name``, if it exists outside of open transactions."""
    return next((found.uuid for found in list_collections(database, name=name)), None)


def rename_collection(
    database: Database, uuid: UUID, name: str, new_name: str, tries: Tries = AT_ONCE
) -> None:
    """Make sure that the collection ``uuid`` has ``new_name``.

    In place whatever its size: documents, ``_id``s, indexes, options, validator and UUID stay.
    Acknowledged by a majority. Raises CollectionNameTaken, with nothing changed;
    CollectionMissing; CollectionElsewhere if it has neither name; PyMongoError where the result
    remains unknown.
    """
    if name == new_name:  # the server rejects that (code 20) whatever the UUID
        send(database, {"find": name, "limit": 1, "singleBatch": True}, uuid)
        return
    command = {
        "renameCollection": f"{database.name}.{name}",
        "to": f"{database.name}.{new_name}",
        "writeConcern": {"w": "majority"},
    }
    _until_known(lambda: _rename(database, command, uuid, new_name), tries)


def drop_collection(database: Database, uuid: UUID, name: str) -> None:
    """Make sure that no collection has the UUID.

    UUIDs are never reused, so a repeated drop, however late, has no effect. Acknowledged by a
    majority. Raises CollectionElsewhere where it has another name; PyMongoError where the result
    remains unknown.
    """
    command = {"drop": name, "writeConcern": {"w": "majority"}}
    try:
        _drop_large_definitions(database, uuid, name)
        _until_known(lambda: send(database, command, uuid))
    except CollectionMissing:
        return


def read_documents(
    database: Database,
    uuid: UUID,
    name: str,
    pipeline: Sequence[Mapping[str, Any]],
    max_time_ms: int | None = None,
) -> list[RawBSONDocument]:
    """The result of ``pipeline``, whose first batch is all, not decoded. Raises CollectionMissing
    or CollectionElsewhere."""
    limit = {} if max_time_ms is None else {"maxTimeMS": max_time_ms}
    command = {"aggregate": name, "pipeline": list(pipeline), "cursor": {}, **limit}
    return list(send(database, command, uuid, _raw(database))["cursor"]["firstBatch"])


def delete_some(
    database: Database, uuid: UUID, name: str, query: Mapping[str, Any], size: int
) -> bool:
    """Delete the first ``size`` documents, by ``_id``, of those that match ``query``, which bounds
    ``_id``; ``False`` where there was none. Acknowledged by a majority. Raises CollectionMissing or
    CollectionElsewhere."""
    some = {"filter": query, "projection": {"_id": 1}, "sort": {"_id": 1}, "limit": size}
    try:
        found = send(database, {"find": name, **some, "singleBatch": True}, uuid, _raw(database))
        rows = found["cursor"]["firstBatch"]
        if not rows:
            return False
        # Not decoded: an id may be one that PyMongo can't make a value of.
        bounded = {"$and": [query, {"_id": {"$lte": rows[-1]["_id"]}}]}
        deletes = [{"q": bounded, "limit": 0}]
        command = {"delete": name, "deletes": deletes, "writeConcern": {"w": "majority"}}
        send(database, command, uuid)
    except OperationFailure as error:
        if error.code not in _MOVED_MEANWHILE:
            raise
    return True


def drop_index(database: Database, uuid: UUID, name: str, index: str) -> None:
    """Make sure that the collection has no such index. Raises CollectionMissing or
    CollectionElsewhere."""
    try:
        _until_known(lambda: send(database, {"dropIndexes": name, "index": index}, uuid))
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise


def collection_figures(database: Database, uuid: UUID, name: str) -> Figures:
    """The collection's statistics. Raises CollectionMissing or CollectionElsewhere."""
    return figures_and_documents(database, uuid, name)[0]


def figures_and_documents(
    database: Database, uuid: UUID, name: str, pipeline: Sequence[Mapping[str, Any]] = ()
) -> tuple[Figures, list[RawBSONDocument]]:
    """The collection's statistics, and the result of a ``pipeline`` in it, whose first batch is
    all, not decoded; of this collection alone, whatever is renamed meanwhile. One command, once the
    server's table of the collection is known. Raises CollectionMissing or CollectionElsewhere."""
    union = {"$unionWith": {"coll": name, "pipeline": list(_STATISTICS)}}
    together = [*pipeline, union] if pipeline else _STATISTICS
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            # The fence counts when the command starts, and $collStats looks its name up once more
            # when it counts. So its figures are believed if they are of the known table, or if the
            # next command finds the collection under the same name.
            *documents, statistics = read_documents(database, uuid, name, together)
            shards = statistics["shards"]
            tables = [shard.get("table") for shard in shards]
            if _tables.get(uuid) != tables:
                documents = read_documents(database, uuid, name, pipeline or _ANY)
                _remember_tables(uuid, tables)
            return _figures_of(shards), documents if pipeline else []
        except OperationFailure as error:
            if error.code not in _MOVED_MEANWHILE or not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def send(
    database: Database,
    command: dict[str, Any],
    uuid: UUID,
    codec_options: CodecOptions | None = None,
) -> dict[str, Any]:
    """The reply to a command on the collection ``uuid``, under the name in it. Raises
    CollectionMissing, CollectionElsewhere, the error of a write's only statement."""
    command["collectionUUID"] = uuid
    try:
        # Without options native UUIDs raise ValueError, and dates are naive.
        options = codec_options or database.client.codec_options
        reply = database.command(command, codec_options=options)
        check_write(reply, single=True)
    except Moved as moved:
        raise _elsewhere(uuid, moved) from moved
    except OperationFailure as error:
        if (rejected := rejection(error)) is None:
            raise
        raise _elsewhere(uuid, rejected) from error
    return reply


def list_collections(database: Database, **wanted: Any) -> Iterator[Found]:
    """All collections, or those whose listing matches ``wanted``; no views, which have no UUID."""
    for listed in database.list_collections(filter=wanted):
        uuid: Binary | None = listed["info"].get("uuid")  # whatever the client's options
        if uuid is not None and not listed["name"].startswith("system."):
            yield Found(listed["name"], uuid.as_uuid())


def names_of(database: Database, uuids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of those ``uuids`` that exist."""
    sought = set(uuids)
    if len(sought) <= _FEW:  # one by one, since a listing scans all collections
        names = {uuid: _name_of(database, uuid) for uuid in sought}
        return {uuid: name for uuid, name in names.items() if name}
    binaries = [Binary.from_uuid(uuid) for uuid in sought]
    found = list_collections(database, **{"info.uuid": {"$in": binaries}})
    return {collection.uuid: collection.name for collection in found}


def _drop_large_definitions(database: Database, uuid: UUID, name: str) -> None:
    """Drop the indexes one by one if their definitions are so large that the server can't drop all
    at once: it has all of them in memory once for each (code 388 at 63 of 45 KB)."""
    options = CodecOptions(document_class=RawBSONDocument)
    try:
        found = list(database.cursor_command({"listIndexes": name}, codec_options=options))
    except OperationFailure as error:
        if error.code not in _MOVED_MEANWHILE:
            raise
        return
    if len(found) * sum(len(each.raw) for each in found) > _LARGE_DEFINITIONS:
        for each in found:
            if each["name"] != "_id_":
                drop_index(database, uuid, name, each["name"])


_tables: dict[UUID, list[str]] = {}
"""The tables in which the server keeps a collection: the same whatever it is called, those of no
other collection ever, and others on another server."""


def _remember_tables(uuid: UUID, tables: list[str | None]) -> None:
    """Remember the tables of the collection, where the storage engine tells them."""
    if len(_tables) >= _MAX_TABLES:
        _tables.clear()
    _tables[uuid] = [table for table in tables if table is not None]


def _figures_of(shards: Sequence[Mapping[str, Any]]) -> Figures:
    sizes: dict[str, int] = {}
    for shard in shards:
        for index, size in shard["storageStats"]["indexSizes"].items():
            sizes[index] = sizes.get(index, 0) + size
    return Figures(
        documents=sum(shard["count"] for shard in shards),
        size_bytes=sum(shard["storageStats"]["size"] for shard in shards),
        disk_bytes=sum(shard["storageStats"]["storageSize"] for shard in shards),
        indexes=tuple(IndexFigure(name, size) for name, size in sizes.items()),
    )


def _raw(database: Database) -> CodecOptions[RawBSONDocument]:
    return database.client.codec_options.with_options(document_class=RawBSONDocument)


def _name_of(database: Database, uuid: UUID) -> str | None:
    try:
        send(database, {"find": _PROBED, "limit": 1, "singleBatch": True}, uuid)
    except CollectionElsewhere as elsewhere:
        return elsewhere.actual_name
    except CollectionMissing:
        return None
    return _PROBED


def _rename(database: Database, command: dict[str, Any], uuid: UUID, new_name: str) -> None:
    try:
        send(database.client.admin, command, uuid)
    except CollectionElsewhere as elsewhere:
        if elsewhere.actual_name != new_name:
            raise
    except OperationFailure as error:
        if error.code == _NAMESPACE_EXISTS:
            raise CollectionNameTaken(new_name) from error
        raise


def _elsewhere(uuid: UUID, moved: Moved) -> CollectionError:
    return CollectionMissing(uuid) if moved.name is None else CollectionElsewhere(uuid, moved.name)


def at_its_name(name: str, read: Callable[[str], Result]) -> Result:
    """The result of ``read`` of a collection under whichever name it has, first under this one.
    Raises CollectionElsewhere where it is renamed again and again."""
    for tries_left in reversed(range(MAX_TRIES)):
        try:
            return read(name)
        except CollectionElsewhere as found:
            if not tries_left:
                raise
            name = found.actual_name
    raise AssertionError("the last try returns or raises")


def _until_known(attempt: Callable[[], object], tries: Tries = AT_ONCE) -> None:
    """Call ``attempt`` again while its result is unknown, within the caller's time limit."""
    for pause in (*tries.pauses, None):
        try:
            with pymongo.timeout(tries.seconds):
                attempt()
            return
        except PyMongoError as error:
            if not _undecided(error) or pause is None:
                raise
            time.sleep(pause)


def _undecided(error: PyMongoError) -> bool:
    code = error.code if isinstance(error, OperationFailure) else None
    return error.timeout or isinstance(error, ConnectionFailure) or code in _UNDECIDED
