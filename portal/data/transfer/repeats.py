"""Keys that a file has more than once, in whatever batches of its check, without all of them in
memory: digests of the keys of each batch are kept beside the documents, and the server counts them.
Where any is there twice the file is read again, and keys of these digests alone are compared.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import pymongo
from bson import Int64, MaxKey, ObjectId

from portal.data.handles import documents_of
from portal.data.recording import edits_of
from portal.data.transfer.files import StoredFile
from portal.data.transfer.lookups import KeyValue
from portal.database.kept_beside import FILE_CHUNKS, Rows, rows_in, server_time_in
from portal.documents.organizations import Organization

_DIGEST_BYTES = 8
_COUNTING_SECONDS = 600


def digest_of(key: KeyValue) -> int:
    """A number that is the same for equal keys, in every process."""
    value = key.comparable
    # Equal numbers of whatever types have one hash, which is not seeded.
    told = value if isinstance(value, bytes) else f"{value[0]} {_hash_of(value[1])}".encode()
    digest = hashlib.blake2b(told, digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest, "little", signed=True)


def keep_digests(
    handle: Any, file: StoredFile, content: ObjectId, batch: int, digests: Iterable[int]
) -> None:
    """Keep the digests of a batch, in the transaction of ``handle``, as long as the file."""
    row = {
        "_id": {"o": file.organization, "f": content, "n": batch},
        "digests": [Int64(each) for each in digests],
        "expires_at": file.content_until,
        "changed": server_time_in(handle.session),
    }
    rows = rows_in(handle.session.client, FILE_CHUNKS)
    rows.replace_one({"_id": row["_id"]}, row, upsert=True, session=handle.session)


def repeated(organization: Organization, content: ObjectId, most: int) -> set[int]:
    """The digests that several batches have, ``most`` of them."""
    found = _grouped(organization, content, [{"$limit": most}])
    return {each["_id"] for each in found}


def count_repeats(organization: Organization, content: ObjectId) -> int:
    """The number of keys that another batch has before."""
    more = {"$sum": {"$subtract": ["$batches", 1]}}
    found = _grouped(organization, content, [{"$group": {"_id": None, "more": more}}])
    return next((int(each["more"]) for each in found), 0)


def digests_in(organization: Organization, content: ObjectId, batch: int) -> set[int]:
    """The digests of a batch."""
    key = {"o": organization.id, "f": content, "n": batch}
    row = _rows(organization).find_one({"_id": key}, {"digests": 1})
    return set(row["digests"]) if row else set()


def forget_digests(organization: Organization, content: ObjectId) -> None:
    """Delete all of them."""
    _rows(organization).delete_many(_of(organization, content))


def _grouped(
    organization: Organization, content: ObjectId, stages: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    several: list[dict[str, Any]] = [
        {"$match": _of(organization, content)},
        {"$unwind": "$digests"},
        {"$group": {"_id": "$digests", "batches": {"$sum": 1}}},
        {"$match": {"batches": {"$gt": 1}}},
    ]
    with pymongo.timeout(_COUNTING_SECONDS):
        return list(_rows(organization).aggregate([*several, *stages], allowDiskUse=True))


def _of(organization: Organization, content: ObjectId) -> dict[str, Any]:
    own = {"o": organization.id, "f": content}
    return {"_id": {"$gte": own, "$lte": {**own, "n": MaxKey()}}}


def _rows(organization: Organization) -> Rows:
    return edits_of(documents_of(organization)).database[FILE_CHUNKS]


def _hash_of(number: Any) -> Any:
    return number if isinstance(number, str) else hash(number)
