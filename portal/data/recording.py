"""Recording of edits, by which they can be undone.

An edit is a row beside the documents, and has a row for each document that it changed: the document
as it was, and a digest of what it became. Both are written in the transaction of the change, so
there is neither a change without its row nor the reverse. An edit of many documents is appended to
batch by batch, each by compare-and-set; so a batch is done once, whoever does it.

Rows of a document are numbered in the order of the changes. One larger than PART_BYTES is in parts.
Insertions, of which nothing was before, share a row for each batch; so do deletions that stand
behind each other, as many as have PART_BYTES: a row is five entries in indexes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import groupby, islice
from typing import Any, Self

from bson import Binary, MaxKey, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument

from portal import clock
from portal.audit.deletions import Deletion, deleting
from portal.audit.errors import UnderHold
from portal.data.access import DocumentAccess
from portal.data.edits import Change, Edit, EditKind, EditState, LeftAlone
from portal.data.errors import EditOvertaken, EditTooLarge
from portal.data.handles import EXACT, documents_of, forbid_operators
from portal.data.patching import differences
from portal.database.kept_beside import (
    BEFORE_IMAGES,
    EDITS,
    Rows,
    rows_in,
    rows_of,
    server_time_in,
)
from portal.database.write_records import CHANGED
from portal.documents.organizations import Organization
from portal.tenants import Tenant
from portal.tenants.elements import elements_of, field_of, framed, id_of

KEPT = timedelta(days=30)
"""The time for which an edit can be undone."""

PART_BYTES = 8 * 1024 * 1024
BATCH_DOCUMENTS = 2000
BATCH_BYTES = 8 * 1024 * 1024
"""The number and size of the documents that a batch has: of larger ones each is alone."""

MOST_BYTES = 1024**3
"""The size of an organization's before-images: where there are more, the oldest go."""

SLACK_BYTES = 16 * 1024 * 1024
"""The size that a process records of an organization until it looks whether there is too much."""

MOST_FIELDS = 50
"""The number of fields that an edit names."""

DIGEST_BYTES = 16
_OBJECT_ID = 0x07
_recorded_bytes: Counter[ObjectId] = Counter()


@dataclass(frozen=True, slots=True)
class Insertions:
    """Insertions of many documents at once: their ids as values, and the digests of what they
    became, one behind the other."""

    ids: list[Any]
    digests: bytes

    @classmethod
    def of(cls, documents: Sequence[bytes]) -> Self:
        """The insertions of these documents."""
        digests = [sha256(document).digest()[:DIGEST_BYTES] for document in documents]
        return cls([value_of(id_of(document)) for document in documents], b"".join(digests))


def record_edit(
    handle: Any,
    access: DocumentAccess,
    kind: EditKind,
    changes: Sequence[Change],
    *,
    fields: Sequence[str] = (),
    reason: str | None = None,
) -> ObjectId | None:
    """Record, in the transaction of ``handle``, an edit that is done with these changes; its id.
    Nothing, and ``None``, where they change nothing."""
    made = [change for change in changes if not change.changes_nothing]
    if not made:
        return None
    edit = _insert(
        handle, access, kind, title=None, fields=fields, reason=reason,
        document=made[0].id if len(made) == 1 else None, has_event=access.audited,
    )  # fmt: skip
    append(handle, edit, made, state=EditState.DONE)
    return edit.id


def open_edit(
    handle: Any,
    access: DocumentAccess,
    kind: EditKind,
    *,
    title: str,
    fields: Sequence[str] = (),
    reason: str | None = None,
    document: bytes | None = None,
    job: ObjectId | None = None,
    undo_of: ObjectId | None = None,
    edit_id: ObjectId | None = None,
    position: Any = None,
    plan: bytes | None = None,
    has_event: bool = False,
) -> Edit:
    """Open an edit of many documents in the transaction of ``handle``. An ``edit_id`` that was
    chosen before, such as one in a job's parameters, has it opened once: it is found again as it
    is.

    ``plan`` is what its work goes by, kept here since it may have values of documents, and until
    it is done. With ``has_event`` it gets an event in the audit trail, where one with a job has
    those of that.
    """
    found = edit_id and find_edit(handle, access.organization.id, edit_id)
    if found:
        return found
    return _insert(
        handle, access, kind, title=title, fields=fields, reason=reason, document=document,
        job=job, undo_of=undo_of, edit_id=edit_id, position=position, plan=plan,
        has_event=has_event,
    )  # fmt: skip


def find_edit(handle: Any, organization_id: ObjectId, edit_id: ObjectId) -> Edit | None:
    """The edit as far as it is, read in the transaction of ``handle``."""
    row = _edits(handle).find_one(
        {"_id": {"o": organization_id, "i": edit_id}}, session=handle.session
    )
    return None if row is None else Edit.of(row)


def append(
    handle: Any,
    edit: Edit,
    changes: Sequence[Change],
    *,
    inserted: Insertions | None = None,
    left_alone: Sequence[LeftAlone] = (),
    position: Any = None,
    counts: Mapping[str, int] | None = None,
    state: EditState = EditState.OPEN,
) -> Edit:
    """Append a batch to the edit in the transaction of its changes, which are in the order in which
    they were made, behind what it ``inserted``; the edit as it is then. ``counts`` are added.

    Raises EditOvertaken where this batch was appended already: read the edit again, and go on from
    its ``position``; EditTooLarge where its images would have more than MOST_BYTES. An undo goes on
    without images then.
    """
    made = [change for change in changes if not change.changes_nothing]
    rows = list(_rows(handle, edit, made, left_alone, inserted))
    documents = len(made) + len(inserted.ids if inserted else ())
    size_bytes = sum(len(row.get("before", b"")) + _ROW_BYTES for row in rows)
    if edit.size_bytes + size_bytes > MOST_BYTES:
        if edit.kind != EditKind.UNDO:
            raise EditTooLarge(documents + edit.documents)
        rows = [_without_image(row) for row in rows if row["_id"]["p"] == 0]
        size_bytes = 0
    _recorded_bytes[edit.organization] += size_bytes
    added = {
        "batch": 1,
        "documents": documents,
        "rows": documents + len(left_alone),
        "size": size_bytes,
        "rev": 1,
        **{f"counts.{name}": number for name, number in (counts or {}).items()},
    }
    row = _edits(handle).find_one_and_update(
        {"_id": edit.key, "batch": edit.batch, "state": EditState.OPEN},
        {
            "$inc": added,
            "$set": {"position": position, "state": state},
            **(_NO_PLAN if state == EditState.DONE else {}),
            **CHANGED,
        },
        return_document=ReturnDocument.AFTER,
        session=handle.session,
    )
    if row is None:
        raise EditOvertaken
    if rows:
        images = rows_in(handle.session.client, BEFORE_IMAGES)
        images.insert_many(rows, session=handle.session)
    return Edit.of(row)


def close_edit(organization: Organization, edit_id: ObjectId) -> None:
    """Close an edit of many, of which all batches are appended."""
    edits_of(documents_of(organization)).update_one(
        {"_id": {"o": organization.id, "i": edit_id}},
        {"$set": {"state": EditState.DONE}, "$inc": {"rev": 1}, **_NO_PLAN, **CHANGED},
    )


_NO_PLAN = {"$unset": {"plan": ""}}


def assign_job(organization: Organization, edit_id: ObjectId, job: ObjectId) -> None:
    """Note the job that works on the edit."""
    edits_of(documents_of(organization)).update_one(
        {"_id": {"o": organization.id, "i": edit_id}},
        {"$set": {"job": job}, "$inc": {"rev": 1}, **CHANGED},
    )


def prepare_recording(organization: Organization) -> None:
    """Have the collections there, which no transaction can index. Raises ClusterUnavailable."""
    edits_of(documents_of(organization))


def changed_fields(before: bytes, after: bytes) -> list[str]:
    """The fields that differ, for people; MOST_FIELDS of them."""
    paths = islice(differences(before, after), MOST_FIELDS)
    named = (".".join(map(str, path)) for path in paths)
    return [name.encode(errors="replace").decode() for name in named]


def trim(organization: Organization) -> None:
    """Give up the oldest before-images of an organization that has more than MOST_BYTES of them.
    Each process looks after it has recorded SLACK_BYTES."""
    if _recorded_bytes[organization.id] < SLACK_BYTES:
        return
    del _recorded_bytes[organization.id]
    edits = edits_of(documents_of(organization))
    own = {"_id.o": organization.id, "size": {"$gt": 0}}
    kept_bytes = 0
    for row in edits.find(own, {"size": 1}).sort("_id", -1):
        kept_bytes += row["size"]
        if kept_bytes > MOST_BYTES:
            try:
                with deleting(organization.id, Deletion.ROOM):
                    _give_up(edits, row["_id"])
            except UnderHold:  # they take the room
                return


def _give_up(edits: Rows, key: Mapping[str, Any]) -> None:
    given_up = {"$set": {"given_up": True, "size": 0}, "$inc": {"rev": 1}, **CHANGED}
    edits.update_one({"_id": key}, given_up)
    images = edits.database[BEFORE_IMAGES]
    images.delete_many(rows_between(key["o"], key["i"], 0, None))


def rows_between(
    organization: ObjectId, edit: ObjectId, first: int, end: int | None
) -> dict[str, Any]:
    """The filter for an edit's rows from the number ``first`` to before ``end``, or all behind."""
    of_edit = {"o": organization, "e": edit}
    bound = MaxKey() if end is None else end
    return {"_id": {"$gte": {**of_edit, "n": first}, "$lt": {**of_edit, "n": bound}}}


def edits_of(handle: Tenant) -> Rows:
    """The rows of edits in the cluster that the documents are in, as far as their handle knows.
    Raises ClusterUnavailable; KeptBeside for an operator, whose grant doesn't reach there."""
    forbid_operators()
    return rows_of(handle.place.locate().entry.cluster, EDITS)


def ids_in(row: RawBSONDocument) -> list[bytes]:
    """The documents of a row that isn't one of insertions, each by the BSON of ``{"": _id}``."""
    found = field_of(bytes(row.raw), "document")
    if found is None:
        return []
    return elements_in(found) if "deleted" in row else [found]


def elements_in(values: bytes, first: int = 0, end: int | None = None) -> list[bytes]:
    """The elements of a list, each as the BSON of ``{"": value}``, as is the list; those from the
    number ``first`` to before ``end``."""
    inside = values[6:-1]
    return [
        framed(bytes((kind, 0)) + inside[start:stop])
        for kind, _, start, stop in islice(elements_of(inside), first, end)
    ]


def documents_in(content: bytes) -> Iterator[bytes]:
    """The documents that stand in the bytes, one behind the other."""
    start = 0
    while start < len(content):
        end = start + int.from_bytes(content[start : start + 4], "little")
        yield content[start:end]
        start = end


def digest_of(document: bytes | None) -> bytes | None:
    """The digest by which a document is known to be the same."""
    if document is None:
        return None
    return sha256(document).digest()[:DIGEST_BYTES]


# What a row takes beside a document.
_ROW_BYTES = 200


def _insert(
    handle: Any,
    access: DocumentAccess,
    kind: EditKind,
    *,
    title: str | None,
    fields: Sequence[str],
    reason: str | None,
    document: bytes | None = None,
    job: ObjectId | None = None,
    undo_of: ObjectId | None = None,
    edit_id: ObjectId | None = None,
    position: Any = None,
    plan: bytes | None = None,
    has_event: bool = False,
) -> Edit:
    now = clock.now()
    row = {
        "_id": {"o": access.organization.id, "i": edit_id or ObjectId()},
        "kind": kind,
        "at": now,
        "origin": access.context.origin.to_mongo().to_dict(),
        "title": title,
        "fields": list(fields),
        "reason": reason or None,
        "state": EditState.OPEN,
        "batch": 0,
        "documents": 0,
        "rows": 0,
        "size": 0,
        "rev": 0,
        "expires_at": now + KEPT,
        "changed": server_time_in(handle.session),
    }
    row |= {"document": value_of(document)} if document else {}
    key = access.context.idempotency_key
    row |= {"request": {"id": key.id, "mac": key.macs[0]}} if key else {}
    row |= {"job": job} if job else {}
    row |= {"undo_of": undo_of} if undo_of else {}
    row |= {"position": position} if position is not None else {}
    row |= {"plan": Binary(plan)} if plan is not None else {}
    row |= {"told": False} if has_event else {}
    _edits(handle).insert_one(row, session=handle.session)
    return Edit.of(row)


def value_of(document_id: bytes) -> Any:
    """The value in the BSON of ``{"": _id}``, for a row: what it was encoded from is what is
    stored."""
    if document_id[4] == _OBJECT_ID:  # as nearly all are, by the million
        return ObjectId(document_id[6:18])
    return RawBSONDocument(document_id, EXACT)[""]


def _edits(handle: Any) -> Rows:
    return rows_in(handle.session.client, EDITS)


def _without_image(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: row[name] for name in row if name != "before"}, "parts": 0}


def _rows(
    handle: Any,
    edit: Edit,
    changes: Sequence[Change],
    left_alone: Sequence[LeftAlone],
    first: Insertions | None,
) -> Iterator[dict[str, Any]]:
    common = {"changed": server_time_in(handle.session), "expires_at": edit.expires_at}
    number = edit.rows

    def key(number: int, part: int = 0) -> dict[str, Any]:
        return {"_id": {"o": edit.organization, "e": edit.id, "n": number, "p": part}, **common}

    if first and first.ids:
        yield key(number) | _insertion(first)
        number += len(first.ids)
    for kind, together in _together(changes):
        if kind == _INSERTED:
            yield key(number) | _insertion(Insertions.of([each.after or b"" for each in together]))
        elif kind == _DELETED and len(together) > 1:
            yield key(number) | _deletion(together)
        else:
            for part, row in enumerate(_parts(together[0])):
                yield key(number, part) | row
        number += len(together)
    for left in left_alone:
        row = key(number) | {"document": value_of(left.id), "refusal": left.refusal}
        yield row | ({"detail": left.detail} if left.detail else {})
        number += 1


_INSERTED, _DELETED, _REPLACED = "inserted", "deleted", "replaced"


def _together(changes: Sequence[Change]) -> Iterator[tuple[str, list[Change]]]:
    """The changes in their order, those that share a row together."""
    for kind, group in groupby(changes, _kind_of):
        if kind == _REPLACED:
            yield from ((kind, [change]) for change in group)
            continue
        waiting, size_bytes = list[Change](), 0
        for change in group:
            # Ids stand there once more. Nothing is kept of what wasn't there.
            size_bytes += len(change.before) + len(change.id) if change.before else 0
            if waiting and size_bytes > PART_BYTES:
                yield kind, waiting
                waiting, size_bytes = [], len(change.before or b"") + len(change.id)
            waiting.append(change)
        yield kind, waiting


def _kind_of(change: Change) -> str:
    if change.before is None:
        return _INSERTED
    return _DELETED if change.after is None else _REPLACED


def _insertion(made: Insertions) -> dict[str, Any]:
    return {"inserted": len(made.ids), "ids": made.ids, "after": Binary(made.digests)}


def _deletion(changes: Sequence[Change]) -> dict[str, Any]:
    """A row of documents that stand in ``before`` one behind the other."""
    return {
        "deleted": len(changes),
        "document": [value_of(change.id) for change in changes],
        "before": Binary(b"".join(change.before or b"" for change in changes)),
        "parts": 1,
    }


def _parts(change: Change) -> Iterator[dict[str, Any]]:
    before, document = change.before or b"", value_of(change.id)
    parts = range(0, len(before), PART_BYTES)
    for part, start in enumerate(parts):
        row = {"document": document, "before": Binary(before[start : start + PART_BYTES])}
        if part == 0:
            row |= {"parts": len(parts), "after": digest_of(change.after)}
        yield row
