"""Changing, or deleting, all documents that match a filter, as one edit, by a job.

A preview tells what would be done, by the same functions that do it. What was confirmed is the
number of documents: if more match when it starts, nothing is changed.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import bson
import pymongo
from bson import ObjectId

from portal.data import plans
from portal.data.access import DocumentAccess
from portal.data.conditions import Condition
from portal.data.edits import Change, Edit, EditKind, EditState, LeftAlone, Refusal
from portal.data.errors import UnreadableDocumentId
from portal.data.exact import read_among
from portal.data.handles import documents_of
from portal.data.history.broken_rules import Breaking, would_break
from portal.data.history.entries import AS_BEFORE, shown_id
from portal.data.history.errors import EditNotFound, MoreMatch
from portal.data.history.field_changes import (
    Changes,
    FieldChanges,
    RenameField,
    changes_from,
    sibling,
)
from portal.data.history.working import carry_out, store_changes
from portal.data.idempotency import Answer, write_once
from portal.data.masks.masks import Mask
from portal.data.patching import differences, element_at, elements
from portal.data.queries import CODEC, beyond, cursor_of
from portal.data.reading import READ_SECONDS, text_paths
from portal.data.recording import (
    BATCH_BYTES,
    append,
    assign_job,
    edits_of,
    find_edit,
    open_edit,
    prepare_recording,
    trim,
)
from portal.data.server_errors import reading
from portal.data.works import access_of, while_reachable
from portal.documents.jobs import Job
from portal.jobs.errors import JobExists
from portal.jobs.managing import start_job
from portal.jobs.running import JobFailed, JobKind, Run
from portal.tenants.elements import framed_id, id_of
from portal.web.context import IdempotencyKey

_BY_ID = {"_id": 1}
_UNREADABLE = (
    "A document that matches has text in its _id that is no UTF-8, so no query can name it. Leave "
    "it out by the filter."
)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a document, and its value before and after as the BSON of ``{"": value}``;
    ``None`` where it is missing."""

    path: tuple[str | int, ...]
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A document that a preview shows: what changes in it, or why it is left alone."""

    id: bytes
    differences: tuple[Difference, ...] = ()
    refusal: Refusal | None = None

    @property
    def shown_id(self) -> str:
        """Its id, as Extended JSON."""
        return shown_id(self.id)


@dataclass(frozen=True, slots=True)
class Preview:
    """The effect that a change would have, told by a number and three documents. ``renamed`` tells
    for each field with a new name how many have it, and how many of these have the new name too;
    ``breaking`` how many would break a rule."""

    count: int
    pairs: tuple[Pair, ...]
    renamed: Mapping[str, tuple[int, int]]
    breaking: Breaking | None = None


@dataclass(frozen=True, slots=True)
class BulkEdit:
    """A change of many documents: those that match, what is done to each, and how many may match
    when it starts."""

    query: dict[str, Any]
    changes: Changes
    expected: int

    def stored(self) -> bytes:
        """The plan of the edit's job."""
        plan = {"filter": self.query, "changes": self.changes.stored(), "expected": self.expected}
        return bson.encode(plan, codec_options=CODEC)

    @classmethod
    def of(cls, plan: bytes) -> "BulkEdit":
        """From what was stored."""
        stored = bson.decode(plan, CODEC)
        return cls(stored["filter"], changes_from(stored["changes"]), stored["expected"])


def preview_change(
    access: DocumentAccess, query: dict[str, Any], changes: Changes, *, others: bool = False
) -> Preview:
    """The effect that the change would have, told by the first, the middle and the last document
    that match by ``_id``, or by three ``others``. Raises InvalidQuery, FieldMasked, IndexNeeded,
    QueryTooSlow."""
    _check(access, query, changes)
    handle = documents_of(access.organization)
    with reading(), pymongo.timeout(READ_SECONDS):
        count = handle.count_documents(query)
        documents = _drawn(handle, query) if others else _first_middle_last(handle, query, count)
        renamed = {
            change.field: _renamed(handle, query, change)
            for change in (changes.changes if isinstance(changes, FieldChanges) else ())
            if isinstance(change, RenameField)
        }
    pairs = tuple(_pair(each, changes, access.mask) for each in documents)
    breaking = would_break(access, query, changes) if isinstance(changes, FieldChanges) else None
    return Preview(count, pairs, renamed, breaking)


def start_change(
    access: DocumentAccess, edit: BulkEdit, edit_id: ObjectId, *, reason: str | None = None
) -> Job | None:
    """Have a job make the change; ``None`` where the edit of this id is done already. Raises
    MoreMatch where more documents match than expected, and what ``preview_change`` raises."""
    prepare_recording(access.organization)
    _check_start(access, edit)
    handle = documents_of(access.organization)
    begun: Edit = handle.with_transaction(
        lambda handle: _open(handle, access, edit, edit_id, reason)
    )
    return None if begun.state == EditState.DONE else _start_job(access, edit, edit_id)


def start_change_once(
    access: DocumentAccess,
    edit: BulkEdit,
    key: IdempotencyKey | None,
    *,
    reason: str | None = None,
) -> tuple[ObjectId, bool]:
    """Have a job make the change, once for a ``key``; the id of the edit, and whether the key was
    used before. Raises as ``start_change``, IdempotencyKeyReused, DuplicateRequest."""

    prepare_recording(access.organization)

    def begin(handle: Any) -> Answer:
        _check_start(access, edit)
        return {"edit": _open(handle, access, edit, ObjectId(), reason).id}

    answer, repeated = write_once(access.organization, key, begin)
    row = edits_of(documents_of(access.organization)).find_one(
        {"_id": {"o": access.organization.id, "i": answer["edit"]}}, {"state": 1}
    )
    if row is not None and row["state"] == EditState.OPEN:
        _start_job(access, edit, answer["edit"])
    return answer["edit"], repeated


def _check_start(access: DocumentAccess, edit: BulkEdit) -> None:
    _check(access, edit.query, edit.changes)
    with reading(), pymongo.timeout(READ_SECONDS):
        _check_count(documents_of(access.organization), edit)


def _open(
    handle: Any,
    access: DocumentAccess,
    edit: BulkEdit,
    edit_id: ObjectId,
    reason: str | None,
) -> Edit:
    return open_edit(
        handle, access, EditKind.BULK, title=edit.changes.title, fields=edit.changes.fields,
        reason=reason, edit_id=edit_id, plan=edit.stored(),
    )  # fmt: skip


def _start_job(access: DocumentAccess, edit: BulkEdit, edit_id: ObjectId) -> Job:
    organization = access.organization
    try:
        job = start_job(
            KIND,
            f"{organization.id}/{edit_id}",
            edit.changes.title_for(edit.expected),
            access.context,
            organization=organization.id,
            total=edit.expected,
            parameters={"edit": edit_id},
        )
    except JobExists as error:
        job = error.job
    assign_job(organization, edit_id, job.id)
    return job


def _check(access: DocumentAccess, query: dict[str, Any], changes: Changes) -> None:
    handle = documents_of(access.organization)
    access.mask.check_filter(query, lambda: text_paths(handle))
    changes.check(access.mask)
    with reading(), pymongo.timeout(READ_SECONDS):
        plans.check_find(access.organization, handle, query, _BY_ID)


def _check_count(handle: Any, edit: BulkEdit) -> None:
    count = handle.count_documents(edit.query, limit=edit.expected + 1)
    if count > edit.expected:
        raise MoreMatch(handle.count_documents(edit.query), edit.expected)


def _first_middle_last(handle: Any, query: dict[str, Any], count: int) -> list[bytes]:
    asked = [(1, 0)] if count == 1 else [(1, 0), (-1, 0)]
    if count > 2:
        asked.insert(1, (1, count // 2))
    found = [
        next(iter(handle.find(query, sort=[("_id", way)], skip=skip, limit=1)), None)
        for way, skip in asked
    ]
    return [bytes(document.raw) for document in found if document is not None]


def _drawn(handle: Any, query: dict[str, Any]) -> list[bytes]:
    found = handle.aggregate([{"$match": query}, {"$sample": {"size": _SHOWN}}])
    return sorted((bytes(document.raw) for document in found), key=id_of)


def _renamed(handle: Any, query: dict[str, Any], change: RenameField) -> tuple[int, int]:
    has = Condition(change.field, "present").filter
    both = {"$and": [query, has, Condition(sibling(change.field, change.name), "present").filter]}
    return handle.count_documents({"$and": [query, has]}), handle.count_documents(both)


def _pair(document: bytes, changes: Changes, mask: Mask) -> Pair:
    """The changes, told as whoever asks may read them: a list counts as one value."""
    changed = changes.applied(document)
    shown = mask.hide(document)
    if isinstance(changed, Refusal):
        return Pair(id_of(document), refusal=changed)
    if changed is None:
        told = tuple(
            Difference((each.name,), each.value, None)
            for each in elements(shown)
            if each.name != "_id"
        )
        return Pair(id_of(document), told)
    shown_then = mask.hide(changed)
    told = tuple(
        Difference(path, _value(shown, path), _value(shown_then, path))
        for path in differences(shown, shown_then)
    )
    return Pair(id_of(document), told)


def _value(document: bytes, path: tuple[str | int, ...]) -> bytes | None:
    found = element_at(document, path)
    return None if found is None else found.value


def _work(run: Run) -> dict[str, Any]:
    edit_id = run.job.parameters["edit"]
    access = access_of(run.job)
    with while_reachable():
        assign_job(access.organization, edit_id, run.job.id)
        edit = _carry_out(run, access, edit_id)
        trim(access.organization)
    return {"documents": edit.documents, "left": edit.rows - edit.documents}


KIND = JobKind("bulk edit", goes_on="goes on by itself", work=_work)
"""The kind of jobs that change many documents."""


def _carry_out(run: Run, access: DocumentAccess, edit_id: ObjectId) -> Edit:
    handle, organization = documents_of(access.organization), access.organization.id
    row = edits_of(handle).find_one({"_id": {"o": organization, "i": edit_id}})
    if row is None:
        raise EditNotFound
    begun = Edit.of(row)
    if begun.state == EditState.DONE:
        return begun
    if "plan" not in row:  # an erasure came between
        raise JobFailed("A document was erased for good meanwhile. Start the change again.", {})
    bulk = BulkEdit.of(row["plan"])
    if begun.batch == 0:
        try:
            _check_count(handle, bulk)
        except MoreMatch as error:
            raise JobFailed(error.words, {}) from error
    matching = _Matching(handle, bulk.query, begun.position and begun.position["after"])

    def step(handle: Any, most: int, refused: LeftAlone | None) -> Edit:
        edit = find_edit(handle, organization, edit_id)
        if edit is None:
            raise EditNotFound
        if edit.state == EditState.DONE:
            return edit
        seen = edit.position["seen"] if edit.position else 0
        ids = matching.first(min(most, bulk.expected - seen))
        documents, ids = _bounded(read_among(handle, ids, bulk.query, most_bytes=BATCH_BYTES), ids)
        changes, left = _changes(documents, bulk.changes)
        if refused:
            changes, left = [], [LeftAlone(change.id, refused.refusal, refused.detail)
                                 for change in changes]  # fmt: skip
        store_changes(handle, changes)
        seen += len(ids)
        done = not ids or seen >= bulk.expected
        return append(
            handle, edit, changes, left_alone=left,
            position={"after": ids[-1] if ids else None, "seen": seen},
            counts={AS_BEFORE: len(documents) - len(changes) - len(left)},
            state=EditState.DONE if done else EditState.OPEN,
        )  # fmt: skip

    def tell(edit: Edit) -> None:
        matching.drop_to(edit.position["after"])
        run.check()
        run.report(edit.position["seen"], "changing")

    try:
        return carry_out(handle, step, tell)
    except UnreadableDocumentId as error:
        raise JobFailed(_UNREADABLE, {}) from error


class _Matching:
    """The ids of the documents that match, in their order, read ahead."""

    def __init__(self, handle: Any, query: dict[str, Any], after: bytes | None) -> None:
        cursor = None if after is None else cursor_of(framed_id(after), _BY_ID)
        found = handle.find(beyond(query, _BY_ID, cursor), _BY_ID, sort=[("_id", 1)])
        self._found: Iterator[bytes] = (id_of(bytes(document.raw)) for document in found)
        self._ahead: deque[bytes] = deque()

    def first(self, most: int) -> list[bytes]:
        """The next ones, which stay the next ones."""
        self._ahead.extend(islice(self._found, max(most - len(self._ahead), 0)))
        return list(islice(self._ahead, most))

    def drop_to(self, document_id: bytes | None) -> None:
        """Go on behind this one."""
        while self._ahead and document_id is not None:
            if self._ahead.popleft() == document_id:
                return


def _bounded(documents: Mapping[bytes, bytes], ids: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The first documents, as many as one transaction takes, and the ids up to the last of them."""
    taken: list[bytes] = []
    size_bytes = 0
    for document_id, document in documents.items():
        size_bytes += len(document)
        if taken and size_bytes > BATCH_BYTES:
            return taken, ids[: ids.index(document_id)]
        taken.append(document)
    return taken, ids


def _changes(documents: list[bytes], changes: Changes) -> tuple[list[Change], list[LeftAlone]]:
    """The changes of the documents, and those that can't be changed; of the others neither."""
    made: list[Change] = []
    left: list[LeftAlone] = []
    for document in documents:
        changed = changes.applied(document)
        if isinstance(changed, Refusal):
            left.append(LeftAlone(id_of(document), changed))
        elif changed != document:
            made.append(Change(id_of(document), document, changed))
    return made, left
