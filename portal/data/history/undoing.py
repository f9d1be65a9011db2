"""Undoing an edit, which is an edit too.

Each document of the edit is put back if it is as the edit left it, by a digest of its bytes, in the
reverse order of its changes. What was changed later keeps that; what can't be put back is refused,
with the reason. Documents go in batches, each a transaction; where the server refuses one, those of
its batch go one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from portal.data.access import DocumentAccess
from portal.data.document_ids import decoded
from portal.data.edit_events import tell_edits
from portal.data.edits import Change, Edit, EditKind, EditState, LeftAlone, Refusal
from portal.data.exact import read_among, read_one
from portal.data.handles import EXACT, documents_of
from portal.data.history.entries import AS_BEFORE, Entry, entry_of
from portal.data.history.errors import AlreadyUndone, EditNotFound, EditNotKept, EditRunning
from portal.data.history.working import carry_out, store_changes
from portal.data.masks.errors import WholeDocumentMasked
from portal.data.recording import (
    BATCH_BYTES,
    BATCH_DOCUMENTS,
    DIGEST_BYTES,
    MOST_FIELDS,
    append,
    assign_job,
    digest_of,
    documents_in,
    edits_of,
    elements_in,
    find_edit,
    ids_in,
    open_edit,
    prepare_recording,
    rows_between,
    trim,
)
from portal.data.works import access_of, while_reachable
from portal.database.kept_beside import BEFORE_IMAGES, EDITS, rows_in
from portal.database.write_records import CHANGED
from portal.documents.jobs import Job
from portal.jobs.errors import JobExists
from portal.jobs.managing import start_job
from portal.jobs.running import JobKind, Run
from portal.tenants.elements import field_of, id_of
from portal.web.errors import IdempotencyKeyReused

_AT_ONCE_IN_REQUEST = 1


@dataclass(frozen=True, slots=True)
class Undo:
    """An undo that is done, or has its ``job``; ``repeated`` where its request was sent before."""

    id: ObjectId
    job: Job | None = None
    repeated: bool = False


def undo_edit(access: DocumentAccess, edit_id: str, *, reason: str | None = None) -> Undo:
    """Undo the edit: at once where it is of one document, else by a job. One that is begun already
    is told again.

    Raises EditNotFound, EditNotKept, EditRunning, AlreadyUndone, IdempotencyKeyReused; FieldMasked
    where it puts back what the caller may not see.
    """
    organization = access.organization
    entry = entry_of(organization, edit_id)
    _check_mask(access, entry)
    prepare_recording(organization)
    handle = documents_of(organization)
    if entry.undo and _is_of_request(access, entry.undo):
        return Undo(entry.undo, repeated=True)
    if not (entry.undo and entry.undo_open):
        _check(entry)
    small = entry.rows <= _AT_ONCE_IN_REQUEST
    undo_id = handle.with_transaction(lambda handle: _open(handle, access, entry, reason).id)
    if small:
        _carry_out(handle, access, undo_id, entry.id)
        trim(organization)
        if access.audited:
            tell_edits(organization)
        return Undo(undo_id)
    try:
        job = start_job(
            KIND,
            f"{organization.id}/{undo_id}",
            f"Undo of an edit of {entry.documents} documents",
            access.context,
            organization=organization.id,
            total=entry.rows,
            parameters={"edit": undo_id, "undo_of": entry.id},
        )
    except JobExists as error:
        job = error.job
    assign_job(organization, undo_id, job.id)
    return Undo(undo_id, job)


def _check_mask(access: DocumentAccess, entry: Entry) -> None:
    """An edit of one document names all fields that it changed, unless they are too many; what was
    inserted is deleted. Of others it isn't known which values they put back."""
    if not access.mask or entry.kind == EditKind.INSERT:
        return
    if entry.kind != EditKind.CHANGE or not 0 < len(entry.fields) < MOST_FIELDS:
        raise WholeDocumentMasked("Undoing this")
    for field in entry.fields:
        access.mask.check_path(field)


def _is_of_request(access: DocumentAccess, undo_id: ObjectId) -> bool:
    """Tell whether this undo was begun by the same request. Raises IdempotencyKeyReused where that
    had other content."""
    key, organization = access.context.idempotency_key, access.organization
    if key is None:
        return False
    mine = {"_id": {"o": organization.id, "i": undo_id}, "request.id": key.id}
    row = edits_of(documents_of(organization)).find_one(mine, {"request": 1})
    if row is not None and row["request"]["mac"] not in key.macs:
        raise IdempotencyKeyReused
    return row is not None


def _check(entry: Entry) -> None:
    if entry.given_up:
        raise EditNotKept
    if entry.running:
        raise EditRunning
    if not entry.can_be_undone:
        raise AlreadyUndone


def _open(handle: Any, access: DocumentAccess, entry: Entry, reason: str | None) -> Edit:
    """The open undo of the edit, begun unless it is."""
    edits = rows_in(handle.session.client, EDITS)
    key = {"o": access.organization.id, "i": entry.id}
    row = edits.find_one({"_id": key}, {"undo": 1}, session=handle.session)
    begun = row and row.get("undo")
    found = begun and find_edit(handle, access.organization.id, begun)
    if found and found.state == EditState.OPEN:
        return found
    opened = open_edit(
        handle, access, EditKind.UNDO, title=entry.words, fields=entry.fields, reason=reason,
        undo_of=entry.id, document=entry.document, position=entry.rows,
        has_event=access.audited and entry.rows <= _AT_ONCE_IN_REQUEST,
    )  # fmt: skip
    # Of two at a time one meets the other here.
    edits.update_one(
        {"_id": key, "undo": begun},
        {"$set": {"undo": opened.id}, "$inc": {"rev": 1}, **CHANGED},
        session=handle.session,
    )
    return opened


def _work(run: Run) -> dict[str, Any]:
    parameters, access = run.job.parameters, access_of(run.job)

    def tell(edit: Edit) -> None:
        run.check()
        run.report(run.job.progress.total - (edit.position or 0), "putting back")

    with while_reachable():
        assign_job(access.organization, parameters["edit"], run.job.id)
        handle = documents_of(access.organization)
        edit = _carry_out(handle, access, parameters["edit"], parameters["undo_of"], tell)
        trim(access.organization)
    return {"documents": edit.documents, "left": edit.rows - edit.documents}


KIND = JobKind("undo", goes_on="goes on by itself", work=_work)
"""The kind of jobs that undo edits of many documents."""


def _carry_out(
    handle: Any,
    access: DocumentAccess,
    undo_id: ObjectId,
    undone_id: ObjectId,
    tell: Callable[[Edit], None] = lambda edit: None,
) -> Edit:
    """Undo from where the undo is, batch by batch, to the end."""
    organization, fitting = access.organization.id, BATCH_DOCUMENTS

    def step(handle: Any, most: int, refused: LeftAlone | None) -> Edit:
        nonlocal fitting
        undo = find_edit(handle, organization, undo_id)
        if undo is None:
            raise EditNotFound
        if undo.state == EditState.DONE:
            return undo
        while True:  # the documents that were inserted may be larger than one transaction takes
            number = min(most, fitting)
            images, end = _images_before(handle, organization, undone_id, undo.position, number)
            stored = read_among(handle, {image.id for image in images}, most_bytes=BATCH_BYTES)
            size_bytes = sum(map(len, stored.values()))
            if stored:
                fitting = max(BATCH_BYTES * len(stored) // (2 * size_bytes), 1)
            if size_bytes <= BATCH_BYTES or len(images) == 1:
                break
        images = _without_erased(handle, organization, undone_id, images)
        changes, left = _compare(handle, images, stored)
        if refused:
            changes, left = [], [*left, replace(refused, id=changes[0].id)]
        store_changes(handle, changes)
        state = EditState.OPEN if end else EditState.DONE
        ids = {image.id for image in images}
        counts = {AS_BEFORE: len(ids) - len(changes) - len(left)}
        return append(
            handle, undo, changes, left_alone=left, position=end, counts=counts, state=state
        )

    return carry_out(handle, step, tell)


@dataclass(frozen=True, slots=True)
class _Image:
    """A document of the edit: before, and the digest after."""

    id: bytes
    before: bytes | None
    after: bytes | None
    refusal: Refusal | None = None


def _without_erased(
    handle: Any, organization: ObjectId, edit_id: ObjectId, images: Sequence[_Image]
) -> list[_Image]:
    """The images, those refused whose documents were erased since the edit. An erasure writes the
    same row of the edit: so of the two one sees what the other did."""
    edits = rows_in(handle.session.client, EDITS)
    edit = edits.find_one_and_update(
        {"_id": {"o": organization, "i": edit_id}},
        {"$inc": {"rev": 1}, **CHANGED},
        session=handle.session,
    )
    if edit is None:
        raise EditNotFound
    ids = [decoded(image.id) for image in images]
    of_these = {"_id.o": organization, "document": {"$in": ids}, "kind": EditKind.ERASE}
    found = edits.find(
        {**of_these, "at": {"$gte": edit["at"]}}, {"document": 1}, session=handle.session
    )
    erased = [row["document"] for row in found]
    return [
        replace(image, refusal=Refusal.ERASED) if value in erased else image
        for image, value in zip(images, ids, strict=True)
    ]


def _compare(
    handle: Any, images: Sequence[_Image], stored: dict[bytes, bytes]
) -> tuple[list[Change], list[LeftAlone]]:
    """The changes that put documents back, which are stored so, and those that stay as they are. A
    document may have several images, the latest first."""
    ids = list(dict.fromkeys(image.id for image in images))
    begun = {each: stored[each] if each in stored else _stored_otherwise(handle, each, stored)
             for each in ids}  # fmt: skip
    now, left = dict(begun), dict[bytes, LeftAlone]()
    for image in images:
        refusal = image.refusal or _refusal_of(image, now[image.id])
        if refusal:
            left.setdefault(image.id, LeftAlone(image.id, refusal))
        elif image.id not in left and digest_of(now[image.id]) == image.after:
            now[image.id] = image.before
    changes = [
        Change(id_of(was) if was else each, was, now[each])
        for each, was in begun.items()
        if was != now[each]
    ]
    return changes, list(left.values())


def _stored_otherwise(handle: Any, document_id: bytes, stored: dict[bytes, bytes]) -> bytes | None:
    """The document of this id where it is stored with another type of number, which is equal."""
    return read_one(handle, document_id) if document_id[4] in _NUMBERS else None


_NUMBERS = (0x01, 0x10, 0x12, 0x13)


def _refusal_of(image: _Image, now: bytes | None) -> Refusal | None:
    if digest_of(now) == image.after or now == image.before:
        return None
    return Refusal.DELETED_LATER if now is None else Refusal.CHANGED_LATER


def _images_before(
    handle: Any, organization: ObjectId, edit_id: ObjectId, end: int, most: int
) -> tuple[list[_Image], int]:
    """The images with numbers before ``end``, backwards, as many as are put back at once, and the
    number of the last of them."""
    rows = rows_in(handle.session.client, BEFORE_IMAGES).with_options(codec_options=EXACT)
    wanted = rows_between(organization, edit_id, 0, end)
    images: list[_Image] = []
    parts: list[bytes] = []
    size_bytes = 0
    found = rows.find(wanted, session=handle.session, batch_size=most).sort("_id", -1)
    for row in found:
        number = row["_id"]["n"]
        if "inserted" in row:
            some = _insertions(row, end - number, most - len(images))
            images += some
            end -= len(some)
        elif "deleted" in row:
            some = _deletions(row, end - number, most - len(images))
            images += some
            size_bytes += sum(len(image.before or b"") for image in some)
            end -= len(some)
        elif "refusal" in row:
            end = number
        else:
            parts.append(row.get("before", b""))
            size_bytes += len(parts[-1])
            if row["_id"]["p"]:
                continue
            images.append(_image_of(row, b"".join(reversed(parts))))
            parts.clear()
            end = number
        if len(images) >= most or size_bytes >= BATCH_BYTES:
            return images, end
    return images, 0


def _image_of(row: RawBSONDocument, before: bytes) -> _Image:
    refusal = None
    if row.get("erased"):
        refusal = Refusal.ERASED
    elif not row.get("parts"):
        refusal = Refusal.NOT_KEPT
    return _Image(field_of(bytes(row.raw), "document") or b"", before, row.get("after"), refusal)


def _insertions(row: RawBSONDocument, end: int, most: int) -> list[_Image]:
    """The last ``most`` of a row's first ``end`` insertions, backwards."""
    first = max(end - most, 0)
    ids = elements_in(field_of(bytes(row.raw), "ids") or b"", first, end)
    erased, after = set(row.get("erased", ())), row["after"]
    images = [
        _Image(
            document_id,
            None,
            after[n * DIGEST_BYTES : (n + 1) * DIGEST_BYTES],
            Refusal.ERASED if n in erased else None,
        )
        for n, document_id in enumerate(ids, first)
    ]
    return images[::-1]


def _deletions(row: RawBSONDocument, end: int, most: int) -> list[_Image]:
    """The last ``most`` of a row's first ``end`` deletions, backwards."""
    first = max(end - most, 0)
    ids, before = ids_in(row), list(documents_in(row.get("before", b"")))
    erased, images = set(row.get("erased", ())), []
    for n in range(end - 1, first - 1, -1):
        refusal = Refusal.ERASED if n in erased else None if before else Refusal.NOT_KEPT
        images.append(_Image(ids[n], before[n] if before else b"", None, refusal))
    return images
