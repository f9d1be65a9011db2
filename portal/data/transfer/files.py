"""Files that are imported, or were exported: in chunks beside the documents, so that any worker of
any portal has them.

A file is a row, and each of its chunks another; those of an upload have CHUNK_BYTES but for the
last. All are written in transactions of the documents' handle, so none is lost to a move. A chunk
that is sent again is the same chunk, so an upload goes on wherever it broke off, whoever takes the
next one.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from bson import Binary, MaxKey, ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from portal import clock
from portal.data.access import DocumentAccess
from portal.data.handles import documents_of, forbid_operators
from portal.data.transfer.errors import (
    ChunkRefused,
    FileGone,
    FileTooLarge,
    TooMuchKept,
    TransferNotFound,
    UploadIncomplete,
)
from portal.database.kept_beside import FILE_CHUNKS, FILES, Rows, rows_in, rows_of, server_time_in
from portal.database.write_records import CHANGED
from portal.display_names import visible_part
from portal.documents.organizations import Organization
from portal.organizations.access.restrictions import check_restriction
from portal.tenants import Tenant
from portal.web.context import IdempotencyKey, RequestContext
from portal.web.errors import IdempotencyKeyReused

CHUNK_BYTES = 1024 * 1024
LARGEST_BYTES = 4 * 1024**3
"""The most that a file may have."""

MOST_KEPT_BYTES = 16 * 1024**3
"""The most that all files of an organization have together."""

KEPT = timedelta(days=7)
ROW_KEPT = timedelta(days=37)
"""The time for which it is known what became of a file: longer than an import can be undone."""

UNFINISHED_KEPT = timedelta(days=1)
LONGEST_NAME = 200
_DELETED_AT_ONCE = 100


class Purpose(StrEnum):
    """The purposes of files."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, made by the origin ``by``, and ``complete`` once all of its chunks are there, which
    are kept until ``content_until``. ``details`` are those of its import or export."""

    organization: ObjectId
    id: ObjectId
    purpose: Purpose
    name: str
    at: datetime
    by: Mapping[str, Any] = field(repr=False)
    content_until: datetime
    size_bytes: int = 0
    chunks: int = 0
    complete: bool = False
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    mac: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From its row."""
        return cls(
            organization=row["_id"]["o"],
            id=row["_id"]["f"],
            purpose=Purpose(row["purpose"]),
            name=row["name"],
            at=row["at"],
            by=row["by"],
            content_until=row["content_until"],
            size_bytes=row["size"],
            chunks=row["chunks"],
            complete=row["complete"],
            details=row["details"],
            mac=row.get("mac"),
        )

    @property
    def key(self) -> dict[str, ObjectId]:
        """The ``_id`` of its row."""
        return {"o": self.organization, "f": self.id}

    @property
    def has_content(self) -> bool:
        """True while its content is kept."""
        return self.complete and self.content_until > clock.now()

    def belongs_to(self, context: RequestContext) -> bool:
        """Tell whether the actor of a request made it."""
        mine = context.actor.account or context.actor.id
        return mine is not None and mine in (self.by.get("account"), self.by.get("actor"))


def create_file(
    access: DocumentAccess,
    purpose: Purpose,
    name: str,
    *,
    size_bytes: int = 0,
    details: Mapping[str, Any] | None = None,
    key: IdempotencyKey | None = None,
) -> StoredFile:
    """Create a file without content; ``size_bytes`` is what will come, as far as that is known.
    Where it isn't completed it ends after UNFINISHED_KEPT. One that was created by this ``key`` is
    told again. Raises FileTooLarge, TooMuchKept, IdempotencyKeyReused."""
    if size_bytes > LARGEST_BYTES:
        raise FileTooLarge(LARGEST_BYTES)
    organization, now = access.organization, clock.now()
    handle = documents_of(organization)
    if size_bytes + _bytes_kept(handle) > MOST_KEPT_BYTES:
        raise TooMuchKept(MOST_KEPT_BYTES)
    row = {
        "_id": {"o": organization.id, "f": _id_by(key)},
        "purpose": purpose,
        "name": _clean(name),
        "at": now,
        "by": access.context.origin.to_mongo().to_dict(),
        "size": size_bytes,
        "chunks": 0,
        "complete": False,
        "content_until": now + KEPT,
        "details": dict(details or {}),
        "mac": key and key.macs[0],
        "expires_at": now + UNFINISHED_KEPT,
    }

    def insert(handle: Any) -> None:
        row["changed"] = server_time_in(handle.session)
        rows_in(handle.session.client, FILES).insert_one(row, session=handle.session)

    try:
        handle.with_transaction(insert)
    except DuplicateKeyError as error:  # by the same key
        found = find_file(organization, row["_id"]["f"], purpose)
        if key is None or found.mac not in key.macs:
            raise IdempotencyKeyReused from error
        return found
    return StoredFile.of(row)


def put_chunk(access: DocumentAccess, file: StoredFile, number: int, data: bytes) -> None:
    """Store a chunk; one that is there already stays, if it is the same. What is more than was
    announced counts from now on. Raises ChunkRefused, FileTooLarge, TooMuchKept, TransferNotFound.
    """
    if not data or len(data) > CHUNK_BYTES or file.complete:
        raise ChunkRefused(number)
    end = number * CHUNK_BYTES + len(data)
    if end > LARGEST_BYTES:
        raise FileTooLarge(LARGEST_BYTES)
    tenant = documents_of(access.organization)
    if end > file.size_bytes and _bytes_kept(tenant, but=file) + end > MOST_KEPT_BYTES:
        raise TooMuchKept(MOST_KEPT_BYTES)

    def put(handle: Any) -> None:
        open_file = {"_id": file.key, "complete": False}
        files = rows_in(handle.session.client, FILES)
        # Written, so that it meets who completes or discards the file at the same time.
        grown = {**CHANGED, "$max": {"stored": end}}
        if not files.update_one(open_file, grown, session=handle.session).matched_count:
            raise TransferNotFound
        put_piece(handle, file, file.id, number, data)

    tenant.with_transaction(put)


def put_piece(handle: Any, file: StoredFile, content: ObjectId, number: int, data: bytes) -> None:
    """Store a chunk, in the transaction of ``handle``, of the file's own ``content`` or of another
    one that belongs to it, such as its errors. It is kept as long as the file's."""
    row = {
        "_id": {"o": file.organization, "f": content, "n": number},
        "size": len(data),
        "data": Binary(data),
        "expires_at": file.content_until,
        "changed": server_time_in(handle.session),
    }
    chunks = rows_in(handle.session.client, FILE_CHUNKS)
    chunks.replace_one({"_id": row["_id"]}, row, upsert=True, session=handle.session)


def put_stream(access: DocumentAccess, file: StoredFile, parts: Iterable[bytes]) -> int:
    """Store a whole content from its parts, of any size; the number of its bytes. Raises
    FileTooLarge."""
    number, waiting, size_bytes = 0, bytearray(), 0
    for part in parts:
        waiting += part
        while len(waiting) >= CHUNK_BYTES:
            put_chunk(access, file, number, bytes(waiting[:CHUNK_BYTES]))
            del waiting[:CHUNK_BYTES]
            number, size_bytes = number + 1, size_bytes + CHUNK_BYTES
    if waiting:
        put_chunk(access, file, number, bytes(waiting))
    return size_bytes + len(waiting)


def complete_file(
    access: DocumentAccess,
    file: StoredFile,
    size_bytes: int,
    details: Mapping[str, Any] | None = None,
) -> StoredFile:
    """Complete the upload, of which the row is kept for ROW_KEPT. Raises UploadIncomplete,
    TransferNotFound."""
    check_whole(access.organization, file, size_bytes)
    change = {f"details.{name}": value for name, value in (details or {}).items()}
    change |= {
        "complete": True,
        "size": size_bytes,
        "chunks": -(-size_bytes // CHUNK_BYTES),
        "expires_at": file.at + ROW_KEPT,
    }
    return documents_of(access.organization).with_transaction(
        lambda handle: change_in(handle, file, {"complete": False}, change)
    )


def check_whole(organization: Organization, file: StoredFile, size_bytes: int) -> None:
    """Raise UploadIncomplete with the first chunk that is missing of so many bytes."""
    missing = first_missing(organization, file, size_bytes)
    if missing is not None:
        raise UploadIncomplete(missing)


def first_missing(organization: Organization, file: StoredFile, size_bytes: int) -> int | None:
    """The number of the first chunk that a content of so many bytes lacks; ``None`` where all are
    there."""
    chunks = _rows(documents_of(organization), FILE_CHUNKS)
    number = 0
    for row in chunks.find(_chunks_of(file), {"size": 1}).sort("_id", 1):
        last = (number + 1) * CHUNK_BYTES >= size_bytes
        expected = size_bytes - number * CHUNK_BYTES if last else CHUNK_BYTES
        if row["_id"]["n"] != number or row["size"] != expected:
            return number
        number += 1
    return None if number * CHUNK_BYTES >= size_bytes else number


def content_of(organization: Organization, file: StoredFile, first: int = 0) -> Iterator[bytes]:
    """The content of an upload from byte ``first`` on, in parts. Raises FileGone."""
    number, skipped = divmod(first, CHUNK_BYTES)
    for part in pieces_of(organization, file.id, number, file.chunks):
        yield part[skipped:]
        skipped = 0


def pieces_of(
    organization: Organization, content: ObjectId, first: int, count: int
) -> Iterator[bytes]:
    """The chunks of a content, from number ``first`` to the last of ``count``. Raises FileGone
    where one isn't there any more, and what ``check_restriction`` raises once nobody may read the
    organization's documents."""
    handle = documents_of(organization)
    for number in range(first, count):
        check_restriction(_fresh(organization), "documents.read")
        key = {"o": organization.id, "f": content, "n": number}
        data = _chunk(handle, key)
        if data is None:  # it may have moved along since
            handle = documents_of(_fresh(organization))
            data = _chunk(handle, key)
        if data is None:
            raise FileGone
        yield data


def find_file(organization: Organization, file_id: str | ObjectId, purpose: Purpose) -> StoredFile:
    """The organization's file with this id. Raises TransferNotFound."""
    if ObjectId.is_valid(file_id):
        files = _rows(documents_of(organization), FILES)
        row = files.find_one({"_id": {"o": organization.id, "f": ObjectId(file_id)}})
        if row is not None and row["purpose"] == purpose:
            return StoredFile.of(row)
    raise TransferNotFound


def files_of(organization: Organization, purpose: Purpose, most: int) -> list[StoredFile]:
    """The organization's files, newest first."""
    files = _rows(documents_of(organization), FILES)
    found = files.find({"_id": _range({"o": organization.id}, "f"), "purpose": purpose})
    return [StoredFile.of(row) for row in found.sort("_id", -1).limit(most)]


def change_details(
    organization: Organization,
    file: StoredFile,
    change: Mapping[str, Any],
    condition: Mapping[str, Any] | None = None,
) -> StoredFile:
    """Change details of the file, both by their names. Raises TransferNotFound where it doesn't
    fulfil the ``condition``, or not any more."""
    named, changed = (
        {f"details.{name}": value for name, value in of.items()} for of in (condition or {}, change)
    )
    return documents_of(organization).with_transaction(
        lambda handle: change_in(handle, file, named, changed)
    )


def change_in(
    handle: Any, file: StoredFile, condition: Mapping[str, Any], change: Mapping[str, Any]
) -> StoredFile:
    """Change the row of a file that fulfils the ``condition``, in the transaction of ``handle``.
    Raises TransferNotFound."""
    row = rows_in(handle.session.client, FILES).find_one_and_update(
        {"_id": file.key, **condition},
        {"$set": change, **CHANGED},
        return_document=ReturnDocument.AFTER,
        session=handle.session,
    )
    if row is None:
        raise TransferNotFound
    return StoredFile.of(row)


def delete_file(organization: Organization, file: StoredFile, *others: ObjectId) -> None:
    """Delete the file, its content, and ``others`` that belong to it."""
    handle = documents_of(organization)
    _rows(handle, FILES).delete_one({"_id": file.key})
    chunks = _rows(handle, FILE_CHUNKS)
    for content in (file.id, *others):
        own = {"_id": _range({"o": organization.id, "f": content}, "n")}
        while ids := [row["_id"] for row in chunks.find(own, {"_id": 1}).limit(_DELETED_AT_ONCE)]:
            chunks.delete_many({"_id": {"$in": ids}})


def _bytes_kept(handle: Tenant, *, but: StoredFile | None = None) -> int:
    files = _rows(handle, FILES)
    own: dict[str, Any] = {
        "_id": _range({"o": handle.id}, "f"),
        "content_until": {"$gt": clock.now()},
    }
    if but is not None:
        own["_id"] |= {"$ne": but.key}
    counted = {"$max": ["$size", "$stored"]}  # what was announced, or more that came
    total = {"$group": {"_id": None, "size": {"$sum": counted}}}
    return sum(int(row["size"]) for row in files.aggregate([{"$match": own}, total]))


def _chunk(handle: Tenant, key: Mapping[str, Any]) -> bytes | None:
    row = _rows(handle, FILE_CHUNKS).find_one({"_id": key}, {"data": 1})
    return None if row is None else bytes(row["data"])


def _chunks_of(file: StoredFile) -> dict[str, Any]:
    return {"_id": _range(file.key, "n")}


def _range(begin: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The ids that begin so, and go on with this field."""
    return {"$gte": dict(begin), "$lte": {**begin, name: MaxKey()}}


def _rows(handle: Tenant, name: str) -> Rows:
    forbid_operators()
    return rows_of(handle.place.locate().entry.cluster, name)


def _fresh(organization: Organization) -> Organization:
    found = Organization.objects(id=organization.id).first()
    if found is None:
        raise FileGone
    return found


def _id_by(key: IdempotencyKey | None) -> ObjectId:
    """An id, which for a key is always the same."""
    return ObjectId() if key is None else ObjectId(hashlib.sha256(key.id.encode()).digest()[:12])


def _clean(name: str) -> str:
    """The last part of a path, without what can't be seen."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = visible_part(last).strip()
    return shown[:LONGEST_NAME] or "file"
