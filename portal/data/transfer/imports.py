"""Imports: a file is uploaded, it is decided how it is read, all of it is checked, and written.

Each step is a job that any worker may do, and any may go on with. What was decided stands in the
file's row; a decision is refused once the import is being written.
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from portal.data import plans as query_plans
from portal.data.access import DocumentAccess
from portal.data.formats.detection import HEAD_BYTES, detect
from portal.data.formats.mapping import check_mapping
from portal.data.formats.options import Format, ReadOptions
from portal.data.handles import documents_of
from portal.data.server_errors import reading
from portal.data.transfer import files
from portal.data.transfer.errors import (
    FileEmpty,
    FileUnreadable,
    FormatUnknown,
    ImportBegun,
    ImportNotReady,
    ImportRuns,
    KeyNotChosen,
    MappingRefused,
    MemberNotChosen,
    TransferNotFound,
    UploadIncomplete,
)
from portal.data.transfer.files import (
    Purpose,
    StoredFile,
    change_details,
    complete_file,
    create_file,
    delete_file,
)
from portal.data.transfer.plans import (
    Existing,
    Plan,
    detected_as,
    needs_mapping,
    reading_chosen,
    stored_detection,
)
from portal.data.transfer.stages import Import, Stage, find_import
from portal.data.transfer.steps import KIND, Step, start_step
from portal.data.transfer.works import subject_of
from portal.documents.organizations import Organization
from portal.jobs.managing import cancel_job, open_job
from portal.web.context import IdempotencyKey


def begin_upload(
    access: DocumentAccess,
    name: str,
    *,
    size_bytes: int = 0,
    zone: str = "",
    key: IdempotencyKey | None = None,
) -> StoredFile:
    """Begin the upload of a file, once for a ``key``; ``zone`` is the time zone proposed for dates
    without one. Raises FileTooLarge, TooMuchKept, IdempotencyKeyReused."""
    details = {"zone": zone or "UTC"}
    return create_file(
        access, Purpose.IMPORT, name, size_bytes=size_bytes, details=details, key=key
    )


def finish_upload(access: DocumentAccess, file: StoredFile, size_bytes: int) -> Import:
    """Finish an upload of so many bytes, and begin to examine it where nothing has to be asked
    first; once, however often. Raises UploadIncomplete; FileUnreadable, and then the file is gone.
    """
    if file.complete:
        return find_import(access.organization, file.id)
    if not size_bytes:
        delete_file(access.organization, file)
        raise FileEmpty
    files.check_whole(access.organization, file, size_bytes)
    found = detect(_head(access.organization, file, size_bytes), file.name)
    if found.options is None:
        delete_file(access.organization, file)
        raise FileUnreadable(found.refusal) if found.refusal else FormatUnknown
    asks = found.candidates or found.dialects or found.is_heading_doubtful
    details = {
        "detected": stored_detection(found),
        "options": None if asks else found.options.stored(),
    }
    completed = complete_file(access, file, size_bytes, details)
    _examine_if_needed(access, completed)
    return find_import(access.organization, file.id)


def choose_reading(
    access: DocumentAccess,
    chosen: Import,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    heading: str | None = None,
    member: str | None = None,
    draft: Mapping[str, Any] | None = None,
) -> Import:
    """Decide how the file is read, and examine it where it has columns; anew where it was, by the
    answers given before but for these. The ``draft`` of its mapping is kept. Raises
    UploadIncomplete, ImportBegun, ImportRuns, MappingRefused for a choice that can't be made."""
    organization = access.organization
    _check_still_open(organization, chosen)
    if member is not None:
        offered = {each.name: each.options for each in chosen.members if not each.refusal}
        options = offered.get(member)
        if options is None:
            raise MemberNotChosen
    else:
        given = {"encoding": encoding, "delimiter": delimiter, "heading": heading}
        told = {name: answer for name, answer in given.items() if answer}
        before = reading_chosen(chosen.options) if chosen.file.details["options"] else {}
        answers = dict.fromkeys(given) | before | told
        options = detected_as(chosen.detected, **answers)
    dropped = {"examined": None, "plan": None, "check": None, "draft": draft}
    file = change_details(organization, chosen.file, {"options": options.stored(), **dropped})
    _examine_if_needed(access, file)
    return find_import(organization, file.id)


def decide(access: DocumentAccess, decided: Import, plan: Plan) -> Import:
    """Decide how the file is imported, and check all of it by that. Raises UploadIncomplete,
    ImportBegun, ImportRuns, MappingRefused, IndexNeeded, FieldMasked."""
    organization = access.organization
    _check_still_open(organization, decided)
    if plan.options.format == Format.CSV:
        for fault in check_mapping(plan.options.columns):
            raise MappingRefused(fault.reason)
    if plan.existing != Existing.INSERT:
        _check_key(access, plan.key)
    change = {
        "plan": plan.stored(),
        "edit": ObjectId(),
        "write_errors": ObjectId(),
        "check": {
            "errors": ObjectId(),
            "digests": ObjectId(),
            "batch": 0,
            "done": False,
            "reached": None,
        },
    }
    try:
        file = change_details(organization, decided.file, change, {"writing": {"$exists": False}})
    except TransferNotFound as error:
        raise ImportBegun from error
    start_step(access, file, Step.CHECK)
    return find_import(organization, file.id)


def start_write(access: DocumentAccess, ready: Import) -> Import:
    """Write the checked file, or go on with a write that failed or was cancelled. Raises
    ImportNotReady, ImportRuns."""
    if ready.stage not in (Stage.READY, Stage.WRITE):
        raise ImportNotReady
    condition = {"edit": ready.file.details["edit"], "check.done": True}
    try:
        change = {"writing": ready.file.details["edit"]}
        file = change_details(access.organization, ready.file, change, condition)
    except TransferNotFound as error:
        raise ImportNotReady from error
    start_step(access, file, Step.WRITE)
    return find_import(access.organization, file.id)


def cancel_import(access: DocumentAccess, running: Import) -> Import:
    """End the job that works on it, behind what is in hand. What is written stays. Raises
    JobEnded."""
    if running.job is not None:
        cancel_job(str(running.job.id), access.context)
    return find_import(access.organization, running.file.id)


def discard_import(access: DocumentAccess, discarded: Import) -> None:
    """Delete the file and its errors; what was written stays, and can still be undone. Raises
    ImportRuns."""
    if discarded.is_running:
        raise ImportRuns(discarded.job)
    details = discarded.file.details
    check = details.get("check") or {}
    others = [details.get("write_errors"), check.get("errors"), check.get("digests")]
    delete_file(access.organization, discarded.file, *(each for each in others if each))


def _examine_if_needed(access: DocumentAccess, file: StoredFile) -> None:
    stored = file.details["options"]
    if stored is None:
        return
    options = ReadOptions.of(stored)
    dump = file.details["detected"]["is_dump"] and not options.member
    if dump or needs_mapping(options):
        start_step(access, file, Step.EXAMINE)


def _check_still_open(organization: Organization, chosen: Import) -> None:
    if chosen.stage == Stage.UPLOAD:
        raise UploadIncomplete(0)
    if "writing" in chosen.file.details:
        raise ImportBegun
    running = open_job(KIND, subject_of(organization, chosen.file))
    if running is not None:
        raise ImportRuns(running)


def _check_key(access: DocumentAccess, key: str) -> None:
    """Raise MappingRefused, IndexNeeded or FieldMasked where documents can't be found by a key."""
    if not key or key.startswith("$") or len(key) > files.LONGEST_NAME or "\0" in key:
        raise KeyNotChosen
    query = {key: {"$in": ["", 0]}}
    access.mask.check_filter(query)
    with reading():
        handle = documents_of(access.organization)
        query_plans.check_find(access.organization, handle, query, {"_id": 1})


def _head(organization: Organization, file: StoredFile, size_bytes: int) -> bytes:
    head, chunks = b"", -(-min(size_bytes, HEAD_BYTES) // files.CHUNK_BYTES)
    for piece in files.pieces_of(organization, file.id, 0, chunks):
        head += piece
    return head[:HEAD_BYTES]
