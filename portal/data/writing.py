"""Writing an organization's documents, encoded as they were sent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymongo
from bson import ObjectId

from portal.data import plans
from portal.data.access import DocumentAccess
from portal.data.document_ids import is_same_id
from portal.data.edit_events import tell_edits
from portal.data.edits import Change, EditKind
from portal.data.errors import (
    DocumentNotFound,
    FieldTwice,
    IdReplaced,
    OperatorInReplacement,
    PartlyDone,
    PreconditionFailed,
    WrongNumberInserted,
)
from portal.data.etags import etag_of, matches
from portal.data.exact import (
    among,
    by_id,
    delete_exactly,
    insert_exactly,
    read_among,
    read_one,
    replace_exactly,
)
from portal.data.handles import documents_of
from portal.data.idempotency import Answer, Progress, records_beside, write_once
from portal.data.patching import elements, with_document_id
from portal.data.queries import beyond, cursor_of
from portal.data.reading import READ_SECONDS, Caller, text_paths
from portal.data.recording import (
    BATCH_BYTES,
    MOST_FIELDS,
    append,
    changed_fields,
    close_edit,
    open_edit,
    prepare_recording,
    record_edit,
    trim,
)
from portal.data.refused_writes import noting_refused
from portal.data.server_errors import reading, writing
from portal.database.write_records import CHANGED
from portal.errors import PortalError
from portal.tenants.elements import (
    field_of,
    framed_id,
    has_name_twice,
    id_of,
    with_id,
    with_id_in_front,
)
from portal.tenants.moving.places import in_batches
from portal.tenants.queries import UPDATE_OPERATORS, check_update
from portal.web.context import IdempotencyKey

MOST_INSERTED = 1000
BATCH_DOCUMENTS = 500
_BY_ID = {"_id": 1}


def insert_documents(
    access: DocumentAccess,
    documents: Sequence[bytes],
    key: IdempotencyKey | None,
    *,
    reason: str | None = None,
) -> tuple[Answer, bool]:
    """Insert all of the documents to the byte, or none; their addresses and tags, and whether the
    key was used before. Raises InvalidQuery, FieldMasked where one has a masked field,
    DuplicateDocument, DocumentInvalid, WriteRefused."""
    if not 1 <= len(documents) <= MOST_INSERTED:
        raise WrongNumberInserted(MOST_INSERTED)
    for document in documents:
        access.mask.check_insert(document)
    whole = [with_id_in_front(with_id(document)[0]) for document in documents]
    changes = [Change(id_of(document), None, document) for document in whole]

    def insert(handle: Any) -> Answer:
        with writing():
            for batch in in_batches(whole, MOST_INSERTED, BATCH_BYTES):
                insert_exactly(handle, batch)
        if access.recorded:
            record_edit(handle, access, EditKind.INSERT, changes, reason=reason)
        return {"ids": [change.id for change in changes]}

    return _write_once(access, key, insert)


def replace_document(
    access: DocumentAccess,
    document_id: bytes,
    document: bytes,
    if_match: str | None,
    key: IdempotencyKey | None,
    *,
    reason: str | None = None,
) -> tuple[Answer, bool]:
    """Replace the document with this ``_id``, which stays, by exactly these bytes. The same bytes
    write nothing. Fields named like update operators may stay, but not come. Masked fields have to
    be sent as they are shown, and stay. Raises DocumentNotFound, PreconditionFailed, InvalidQuery,
    FieldMasked, and what ``insert_documents`` raises."""
    given = field_of(document, "_id")

    def replace(handle: Any, stored: bytes) -> None:
        if given is not None and given != document_id and not is_same_id(given, id_of(stored)):
            raise IdReplaced
        # An equal number of another type is the same _id, and would change that of the document.
        whole = with_document_id(document, id_of(stored))
        _check_no_operators(stored, whole)
        merged = access.mask.merged(whole, stored)
        if stored != merged:
            replace_exactly(handle, [merged])

    return _write_one(access, document_id, if_match, key, replace, reason)


def update_document(
    access: DocumentAccess,
    document_id: bytes,
    update: dict[str, Any] | list[dict[str, Any]],
    if_match: str | None,
    key: IdempotencyKey | None,
    *,
    reason: str | None = None,
) -> tuple[Answer, bool]:
    """Update the document with this ``_id`` by the store's operators or stages. A missing one is
    not created. Otherwise like ``replace_document``; raises FieldTwice too."""
    with writing():
        check_update(update)
    access.mask.check_update(update)

    def change(handle: Any, stored: bytes) -> None:
        _check_no_field_twice([stored])
        handle.update_one(by_id(document_id), update)

    return _write_one(access, document_id, if_match, key, change, reason)


def delete_document(
    access: DocumentAccess,
    document_id: bytes,
    if_match: str | None,
    key: IdempotencyKey | None,
    *,
    reason: str | None = None,
) -> tuple[Answer, bool]:
    """Delete the document with this ``_id``. Raises DocumentNotFound, PreconditionFailed."""

    def delete(handle: Any) -> Answer:
        stored = _stored(access, handle, document_id, if_match)
        delete_exactly(handle, [document_id])
        if access.recorded:
            change = Change(id_of(stored), stored, None)
            record_edit(handle, access, EditKind.DELETE, [change], reason=reason)
        return {"deleted": 1}

    with writing():
        return _write_once(access, key, delete)


def update_many(
    access: DocumentAccess,
    query: dict[str, Any],
    update: dict[str, Any] | list[dict[str, Any]],
    key: IdempotencyKey | None,
    caller: Caller | None = None,
) -> tuple[Answer, bool]:
    """Update all documents that match, each once, in atomic batches. With a key a repeated call
    goes on after the last batch. Raises InvalidQuery, FieldMasked, FieldTwice, IndexNeeded,
    QueryCancelled once the ``caller`` hung up, and what writes raise."""
    with writing():
        check_update(update)
    access.mask.check_update(update)

    def change(handle: Any, among: dict[str, Any]) -> dict[str, int]:
        if not isinstance(update, Mapping):  # operators would take twice as long
            _check_no_field_twice(bytes(each.raw) for each in handle.find(among))
        result = handle.update_many(among, update)
        return {"matched": result.matched_count, "modified": result.modified_count}

    title = "Changed all that match a filter"
    many = _Many(access, query, change, caller or Caller(), title, updated_fields(update))
    return _write_many(many, key, {"matched": 0, "modified": 0})


def delete_many(
    access: DocumentAccess,
    query: dict[str, Any],
    key: IdempotencyKey | None,
    caller: Caller | None = None,
) -> tuple[Answer, bool]:
    """Delete all documents that match, in atomic batches, like ``update_many``."""

    def delete(handle: Any, among: dict[str, Any]) -> dict[str, int]:
        return {"deleted": handle.delete_many(among).deleted_count}

    many = _Many(access, query, delete, caller or Caller(), "Deleted all that match a filter")
    return _write_many(many, key, {"deleted": 0})


def updated_fields(update: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields that an update names, for people."""
    stages = [update] if isinstance(update, Mapping) else update
    named: dict[str, None] = {}
    for stage in stages:
        for body in stage.values():
            names = body if isinstance(body, Mapping | list | tuple) else [body]
            named |= {str(name): None for name in names}
    return list(named)[:MOST_FIELDS]


def _write_once(
    access: DocumentAccess, key: IdempotencyKey | None, write: Callable[[Any], Answer]
) -> tuple[Answer, bool]:
    if access.recorded:
        prepare_recording(access.organization)
    with noting_refused(access.organization.id):
        done = write_once(access.organization, key, write)
    if access.recorded:
        trim(access.organization)
        if access.audited:
            tell_edits(access.organization)
    return done


def _write_one(
    access: DocumentAccess,
    document_id: bytes,
    if_match: str | None,
    key: IdempotencyKey | None,
    write: Callable[[Any, bytes], None],
    reason: str | None,
) -> tuple[Answer, bool]:
    def check_and_write(handle: Any) -> Answer:
        before = _stored(access, handle, document_id, if_match)
        with writing():
            write(handle, before)
        after = read_one(handle, document_id)
        if after is None:
            raise DocumentNotFound
        change = Change(id_of(before), before, after)
        if access.recorded:
            fields = changed_fields(before, after)
            record_edit(handle, access, EditKind.CHANGE, [change], fields=fields, reason=reason)
        etag = etag_of(access.organization.id, after)
        return {"modified": int(not change.changes_nothing), "etag": etag}

    return _write_once(access, key, check_and_write)


def _check_no_operators(stored: bytes, document: bytes) -> None:
    """Raise InvalidQuery for an update that was sent as a replacement."""
    there = {each.name for each in elements(stored)}
    for each in elements(document):
        if each.name in UPDATE_OPERATORS and each.name not in there:
            raise OperatorInReplacement(each.name)


def _check_no_field_twice(documents: Iterable[bytes]) -> None:
    """Raise FieldTwice where one of the documents that an update will change has a field twice.

    Before 6.0.9 a pipeline may abort the server then (SERVER-76934). By operators the primary
    changes one of the two, and secondaries, which are told a name, both.

    The documents are read in the transaction of the update, which so changes them as they were
    seen, or is repeated. Stages make no field twice where there was none.
    """
    if any(map(has_name_twice, documents)):
        raise FieldTwice


def _stored(access: DocumentAccess, handle: Any, document_id: bytes, if_match: str | None) -> bytes:
    stored = read_one(handle, document_id)
    if stored is None:
        raise DocumentNotFound
    if if_match is not None and not matches(if_match, access.organization.id, stored):
        raise PreconditionFailed
    return stored


@dataclass(frozen=True, slots=True)
class _Many:
    """A write of all documents that match a filter, and what it is recorded as."""

    access: DocumentAccess
    query: dict[str, Any]
    write: Callable[[Any, dict[str, Any]], dict[str, int]]
    caller: Caller
    title: str
    fields: Sequence[str] = ()


def _write_many(
    many: _Many, key: IdempotencyKey | None, counts: dict[str, int]
) -> tuple[Answer, bool]:
    organization = many.access.organization
    handle = documents_of(organization)
    progress = Progress.of(handle, key, counts)
    if progress.answer is not None:
        return progress.answer, True
    if many.access.recorded:
        prepare_recording(organization)
    with reading(), pymongo.timeout(READ_SECONDS):
        many.access.mask.check_filter(many.query, lambda: text_paths(handle))
        plans.check_find(organization, handle, many.query, {"_id": 1})
    try:
        while ids := _ids_after(handle, many, progress.after):
            with noting_refused(organization.id):
                progress = _write_batch(handle, many, ids, key, progress)
    except PortalError as error:
        if not any(progress.counts.values()):
            raise
        raise PartlyDone(max(progress.counts.values()), error.api_words) from error
    if key is not None:
        done = {"$set": {"answer": progress.counts}, **CHANGED}
        records_beside(handle).update_one({"_id": key.id}, done, upsert=False)
    if progress.edit is not None:
        close_edit(organization, progress.edit)
        trim(organization)
    return progress.counts, False


def _write_batch(
    handle: Any, many: _Many, ids: list[bytes], key: IdempotencyKey | None, progress: Progress
) -> Progress:
    def write_and_record(handle: Any) -> Progress:
        many.caller.session = handle.session.session_id["id"].as_uuid()
        many.caller.check()  # who left before this ended nothing
        chosen, edit_id = ids, progress.edit
        if many.access.recorded:
            before, chosen = _before(handle, many.query, ids)
        with writing():
            done = many.write(handle, among(chosen, many.query))
        if many.access.recorded and before:
            edit_id = edit_id or ObjectId()
            edit = open_edit(
                handle, many.access, EditKind.BULK,
                title=many.title, fields=many.fields, edit_id=edit_id,
            )  # fmt: skip
            after = read_among(handle, before)
            changes = [Change(each, was, after.get(each)) for each, was in before.items()]
            append(handle, edit, changes)
        counts = {name: progress.counts[name] + done[name] for name in done}
        advanced = Progress(progress.batch + 1, chosen[-1], counts, edit=edit_id)
        if key is not None:
            progress.advance(many.access.organization, key, advanced, handle.session)
        return advanced

    try:
        return handle.with_transaction(write_and_record)
    finally:
        many.caller.session = None  # the next to have it may be another request


def _before(
    handle: Any, query: dict[str, Any], ids: list[bytes]
) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The documents among these ids that match, and the ids up to the last of them: as many as are
    kept at once."""
    before: dict[bytes, bytes] = {}
    size_bytes = 0
    found = read_among(handle, ids, query, most_bytes=BATCH_BYTES)
    for document_id, document in found.items():
        if before and size_bytes + len(document) > BATCH_BYTES:
            return before, ids[: ids.index(next(reversed(before))) + 1]
        before[document_id] = document
        size_bytes += len(document)
    return before, ids


def _ids_after(handle: Any, many: _Many, after: bytes | None) -> list[bytes]:
    cursor = None if after is None else cursor_of(framed_id(after), _BY_ID)
    with reading(), pymongo.timeout(READ_SECONDS):
        found = handle.find(
            beyond(many.query, _BY_ID, cursor),
            {"_id": 1},
            sort=[("_id", 1)],
            limit=BATCH_DOCUMENTS,
            comment=many.caller.comment,
        )
        return [id_of(bytes(document.raw)) for document in found]
