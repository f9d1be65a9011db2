"""Writing an organization's documents, encoded as they were sent."""

from collections.abc import Callable, Sequence
from typing import Any

import pymongo
from bson.raw_bson import RawBSONDocument

from portal.data import plans
from portal.data.access import DocumentAccess
from portal.data.document_ids import decoded
from portal.data.errors import (
    DocumentNotFound,
    InvalidQuery,
    PartlyDone,
    PreconditionFailed,
    reading,
    writing,
)
from portal.data.etags import etag_of, matches
from portal.data.handles import RAW, documents_of
from portal.data.idempotency import Answer, Progress, records_beside, write_once
from portal.data.queries import beyond, cursor_of
from portal.data.reading import READ_SECONDS
from portal.database.write_records import CHANGED
from portal.errors import PortalError
from portal.tenants.elements import field_of, framed, framed_id, id_of, with_id
from portal.tenants.queries import check_update
from portal.web.context import IdempotencyKey

MOST_INSERTED = 1000
BATCH_DOCUMENTS = 500
_BY_ID = {"_id": 1}


def insert_documents(
    access: DocumentAccess, documents: Sequence[bytes], key: IdempotencyKey | None
) -> tuple[Answer, bool]:
    """Insert all of the documents, or none; their addresses and tags, and whether the key was used
    before. Raises InvalidQuery, DuplicateDocument, DocumentInvalid, WriteRefused."""
    if not 1 <= len(documents) <= MOST_INSERTED:
        raise InvalidQuery(f"Send 1 to {MOST_INSERTED} documents at once, or a stream of more.")
    whole = [with_id(document) for document in documents]

    def insert(handle: Any) -> Answer:
        with writing():
            handle.insert_many([RawBSONDocument(document, RAW) for document, _ in whole])
        return {"ids": [document_id for _, document_id in whole]}

    return write_once(access.organization, key, insert)


def replace_document(
    access: DocumentAccess,
    document_id: bytes,
    document: bytes,
    if_match: str | None,
    key: IdempotencyKey | None,
) -> tuple[Answer, bool]:
    """Replace the document with this ``_id``, which stays. Raises DocumentNotFound,
    PreconditionFailed, InvalidQuery, and what ``insert_documents`` raises."""
    if any(name.startswith("$") for name in RawBSONDocument(document, RAW)):
        raise InvalidQuery("A replacement has no field that begins with a dollar.")
    given = field_of(document, "_id")
    if given is not None and decoded(given) != decoded(document_id):
        raise InvalidQuery("The _id of a document stays: send the one in the path, or none.")
    if given is None:
        document = framed(document_id[4:5] + b"_id\0" + document_id[6:-1] + document[4:-1])

    def replace(handle: Any, by_id: dict[str, Any]) -> Any:
        return handle.replace_one(by_id, RawBSONDocument(document, RAW))

    return _write_one(access, document_id, if_match, key, replace)


def update_document(
    access: DocumentAccess,
    document_id: bytes,
    update: dict[str, Any] | list[dict[str, Any]],
    if_match: str | None,
    key: IdempotencyKey | None,
) -> tuple[Answer, bool]:
    """Update the document with this ``_id`` by the store's operators or stages. A missing one is
    not created. Otherwise like ``replace_document``."""
    with writing():
        check_update(update)

    def change(handle: Any, by_id: dict[str, Any]) -> Any:
        return handle.update_one(by_id, update)

    return _write_one(access, document_id, if_match, key, change)


def delete_document(
    access: DocumentAccess,
    document_id: bytes,
    if_match: str | None,
    key: IdempotencyKey | None,
) -> tuple[Answer, bool]:
    """Delete the document with this ``_id``. Raises DocumentNotFound, PreconditionFailed."""

    def delete(handle: Any) -> Answer:
        by_id = _by_id(document_id)
        _check_version(access, handle, by_id, if_match)
        handle.delete_one(by_id)
        return {"deleted": 1}

    with writing():
        return write_once(access.organization, key, delete)


def update_many(
    access: DocumentAccess,
    query: dict[str, Any],
    update: dict[str, Any] | list[dict[str, Any]],
    key: IdempotencyKey | None,
) -> tuple[Answer, bool]:
    """Update all documents that match, each once, in atomic batches. With a key a repeated call
    goes on after the last batch. Raises InvalidQuery, IndexNeeded, and what writes raise."""
    with writing():
        check_update(update)

    def change(handle: Any, among: dict[str, Any]) -> dict[str, int]:
        result = handle.update_many(among, update)
        return {"matched": result.matched_count, "modified": result.modified_count}

    return _write_many(access, query, key, change, {"matched": 0, "modified": 0})


def delete_many(
    access: DocumentAccess, query: dict[str, Any], key: IdempotencyKey | None
) -> tuple[Answer, bool]:
    """Delete all documents that match, in atomic batches, like ``update_many``."""

    def delete(handle: Any, among: dict[str, Any]) -> dict[str, int]:
        return {"deleted": handle.delete_many(among).deleted_count}

    return _write_many(access, query, key, delete, {"deleted": 0})


def _write_one(
    access: DocumentAccess,
    document_id: bytes,
    if_match: str | None,
    key: IdempotencyKey | None,
    write: Callable[[Any, dict[str, Any]], Any],
) -> tuple[Answer, bool]:
    def check_and_write(handle: Any) -> Answer:
        by_id = _by_id(document_id)
        _check_version(access, handle, by_id, if_match)
        with writing():
            result = write(handle, by_id)
        if not result.matched_count:
            raise DocumentNotFound
        stored = bytes(next(iter(handle.find(by_id, limit=1))).raw)
        return {"modified": result.modified_count, "etag": etag_of(access.organization.id, stored)}

    return write_once(access.organization, key, check_and_write)


def _check_version(
    access: DocumentAccess, handle: Any, by_id: dict[str, Any], if_match: str | None
) -> None:
    stored = next(iter(handle.find(by_id, limit=1)), None)
    if stored is None:
        raise DocumentNotFound
    if if_match is not None and not matches(if_match, access.organization.id, bytes(stored.raw)):
        raise PreconditionFailed


def _by_id(document_id: bytes) -> dict[str, Any]:
    return {"_id": {"$eq": decoded(document_id)}}


def _write_many(
    access: DocumentAccess,
    query: dict[str, Any],
    key: IdempotencyKey | None,
    write: Callable[[Any, dict[str, Any]], dict[str, int]],
    counts: dict[str, int],
) -> tuple[Answer, bool]:
    handle = documents_of(access.organization)
    progress = Progress.of(handle, key, counts)
    if progress.answer is not None:
        return progress.answer, True
    with reading(), pymongo.timeout(READ_SECONDS):
        plans.check_find(access.organization, handle, query, {"_id": 1})
    try:
        while ids := _ids_after(handle, query, progress.after):
            progress = _write_batch(handle, access, query, ids, key, write, progress)
    except PortalError as error:
        if not any(progress.counts.values()):
            raise
        raise PartlyDone(max(progress.counts.values()), error.api_words) from error
    if key is not None:
        done = {"$set": {"answer": progress.counts}, **CHANGED}
        records_beside(handle).update_one({"_id": key.id}, done, upsert=False)
    return progress.counts, False


def _write_batch(
    handle: Any,
    access: DocumentAccess,
    query: dict[str, Any],
    ids: list[bytes],
    key: IdempotencyKey | None,
    write: Callable[[Any, dict[str, Any]], dict[str, int]],
    progress: Progress,
) -> Progress:
    among = {"$and": [query, {"_id": {"$in": [decoded(each) for each in ids]}}]}

    def write_and_record(handle: Any) -> Progress:
        with writing():
            done = write(handle, among)
        counts = {name: progress.counts[name] + done[name] for name in done}
        advanced = Progress(progress.batch + 1, ids[-1], counts)
        if key is not None:
            progress.advance(access.organization, key, advanced, handle.session)
        return advanced

    return handle.with_transaction(write_and_record)


def _ids_after(handle: Any, query: dict[str, Any], after: bytes | None) -> list[bytes]:
    cursor = None if after is None else cursor_of(framed_id(after), _BY_ID)
    with reading(), pymongo.timeout(READ_SECONDS):
        found = handle.find(
            beyond(query, _BY_ID, cursor), {"_id": 1}, sort=[("_id", 1)], limit=BATCH_DOCUMENTS
        )
        return [id_of(bytes(document.raw)) for document in found]
