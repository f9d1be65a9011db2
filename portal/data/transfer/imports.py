"""Imports: a file is uploaded, it is decided how it is read, all of it is checked, and written.

Each step is a job that any worker may do, and any may go on with. What was decided stands in the
file's row; a decision is refused once the import is being written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bson import ObjectId

from portal.data import plans as query_plans
from portal.data.access import DocumentAccess
from portal.data.edits import Edit, EditState
from portal.data.formats.detection import HEAD_BYTES, Detected, detect
from portal.data.formats.dumps import Member
from portal.data.formats.examining import Examined
from portal.data.formats.mapping import check_mapping
from portal.data.formats.options import Format, ReadOptions
from portal.data.handles import documents_of
from portal.data.recording import edits_of
from portal.data.server_errors import reading
from portal.data.transfer import files
from portal.data.transfer.checking import check_file
from portal.data.transfer.errors import (
    FileUnreadable,
    ImportBegun,
    ImportNotReady,
    ImportRuns,
    MappingRefused,
    TransferNotFound,
    UploadIncomplete,
)
from portal.data.transfer.examining import examine_file
from portal.data.transfer.files import (
    Purpose,
    StoredFile,
    change_details,
    complete_file,
    create_file,
    delete_file,
    find_file,
)
from portal.data.transfer.importing import write_file
from portal.data.transfer.passes import Reached
from portal.data.transfer.plans import (
    Existing,
    Plan,
    detection_of,
    examination_of,
    members_of,
    needs_mapping,
    stored_detection,
)
from portal.data.transfer.works import file_of, subject_of, while_kept
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Organization
from portal.jobs.errors import JobExists
from portal.jobs.managing import cancel_job, latest_job, open_job, start_job
from portal.jobs.running import JobKind, Run
from portal.web.context import IdempotencyKey


class Step(StrEnum):
    """The steps of an import that are jobs."""

    EXAMINE = "examine"
    CHECK = "check"
    WRITE = "write"


class Stage(StrEnum):
    """The stage that an import is at: what runs, or what is awaited."""

    UPLOAD = "upload"
    READING = "reading"
    """It must be said how the file is read: its encoding, its delimiter, which file of a dump."""
    EXAMINE = "examine"
    DECIDE = "decide"
    """It must be said which column becomes which field, and what becomes of existing documents."""
    CHECK = "check"
    READY = "ready"
    WRITE = "write"
    DONE = "done"


_WORKS = {Step.EXAMINE: examine_file, Step.CHECK: check_file, Step.WRITE: write_file}
_TITLES = {
    Step.EXAMINE: "Examination of {name}",
    Step.CHECK: "Check of {name}",
    Step.WRITE: "Import of {name}",
}


def _work(run: Run) -> dict[str, Any]:
    with while_kept():
        access, file = file_of(run, Purpose.IMPORT)
        return _WORKS[Step(run.job.parameters["step"])](run, access, file)


KIND = JobKind("import", goes_on="goes on by itself", work=_work)


@dataclass(frozen=True, slots=True)
class Import:
    """An import: its file, its last job, and the edit that it writes, once it does."""

    file: StoredFile
    job: Job | None
    edit: Edit | None

    @property
    def is_running(self) -> bool:
        """True while a job works on it."""
        return self.job is not None and self.job.state in (JobState.RUNNING, JobState.PAUSED)

    @property
    def stage(self) -> Stage:
        """The stage that it is at."""
        if not self.file.complete:
            return Stage.UPLOAD
        if "writing" in self.file.details:
            done = self.edit is not None and self.edit.state == EditState.DONE
            return Stage.DONE if done else Stage.WRITE
        if self.job is not None and self.is_running:
            return Stage(self.job.parameters["step"])
        return self._awaited

    @property
    def _awaited(self) -> Stage:
        details = self.file.details
        if details.get("check"):
            return Stage.READY if details["check"]["done"] else Stage.CHECK
        if details["options"] is None or self.needs_member:
            return Stage.READING
        if needs_mapping(self.options) and not details.get("examined"):
            return Stage.EXAMINE
        return Stage.DECIDE

    @property
    def needs_member(self) -> bool:
        """True where one of the files in a dump must be chosen."""
        return "members" in self.file.details and not self.options.member

    @property
    def detected(self) -> Detected:
        """The kind of the file, by its first bytes."""
        return detection_of(self.file.details["detected"])

    @property
    def options(self) -> ReadOptions:
        """The options by which it is read, as far as they are decided."""
        return ReadOptions.of(self.file.details["options"])

    @property
    def members(self) -> list[Member]:
        """The files in a dump."""
        return members_of(self.file.details.get("members", ()))

    @property
    def examined(self) -> Examined | None:
        """The findings in all rows, if it was examined."""
        stored = self.file.details.get("examined")
        return stored and examination_of(stored)

    @property
    def plan(self) -> Plan | None:
        """The plan that was decided."""
        stored = self.file.details.get("plan")
        return stored and Plan.of(stored)

    @property
    def checked(self) -> Reached | None:
        """The progress of the check."""
        check = self.file.details.get("check")
        return Reached.of(check["reached"]) if check else None

    @property
    def written(self) -> Reached | None:
        """The progress of the write."""
        return Reached.of(self.edit.position) if self.edit else None


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
        raise FileUnreadable("The file is empty.")
    files.check_whole(access.organization, file, size_bytes)
    found = detect(_head(access.organization, file, size_bytes), file.name)
    if found.options is None:
        delete_file(access.organization, file)
        raise FileUnreadable(found.refusal or "It is of no known format.")
    asks = found.candidates or found.dialects or found.is_heading_doubtful
    details = {
        "detected": stored_detection(found),
        "options": None if asks else found.options.stored(),
    }
    completed = complete_file(access, file, size_bytes, details)
    _examine_if_needed(access, completed)
    return find_import(access.organization, file.id)


def find_import(organization: Organization, file_id: str | ObjectId) -> Import:
    """The organization's import of the file with this id. Raises TransferNotFound."""
    file = find_file(organization, file_id, Purpose.IMPORT)
    return _import_of(organization, file)


def imports_of(organization: Organization, most: int) -> list[Import]:
    """The organization's imports, newest first."""
    found = files.files_of(organization, Purpose.IMPORT, most)
    return [_import_of(organization, file) for file in found]


def choose_reading(
    access: DocumentAccess,
    chosen: Import,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    heading: str | None = None,
    member: str | None = None,
) -> Import:
    """Decide how the file is read, and examine it where it has columns. Raises UploadIncomplete,
    ImportBegun, ImportRuns, MappingRefused for a choice that wasn't offered."""
    organization = access.organization
    _check_still_open(organization, chosen)
    if member is not None:
        offered = {each.name: each.options for each in chosen.members if not each.refusal}
        options = offered.get(member)
        if options is None:
            raise MappingRefused("Choose one of the collections in the dump.")
    else:
        options = detected_as(chosen.detected, encoding, delimiter, heading)
    dropped = {"examined": None, "plan": None, "check": None}
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
        "check": {"errors": ObjectId(), "batch": 0, "done": False, "reached": None},
    }
    try:
        file = change_details(organization, decided.file, change, {"writing": {"$exists": False}})
    except TransferNotFound as error:
        raise ImportBegun from error
    _start(access, file, Step.CHECK)
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
    _start(access, file, Step.WRITE)
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
    errors = [details[name] for name in ("write_errors",) if name in details]
    errors += [details["check"]["errors"]] if details.get("check") else []
    delete_file(access.organization, discarded.file, *errors)


def detected_as(
    found: Detected, encoding: str | None, delimiter: str | None, heading: str | None
) -> ReadOptions:
    """The options that were detected, by these answers. Raises MappingRefused for a question
    without one of its answers."""
    options = found.options
    if options is None:
        raise FileUnreadable(found.refusal or "It is of no known format.")
    if found.candidates:
        if encoding not in {each.encoding for each in found.candidates}:
            raise MappingRefused("Choose the encoding: the file is not UTF-8.")
        options = replace(options, encoding=encoding)
    if found.dialects:
        if delimiter not in found.dialects:
            raise MappingRefused("Choose what separates the columns.")
        options = replace(options, dialect=replace(options.dialect, delimiter=delimiter))
    if found.is_heading_doubtful:
        if heading not in ("yes", "no"):
            raise MappingRefused("Say whether the first row is the heading.")
        options = replace(options, dialect=replace(options.dialect, header=heading == "yes"))
    return options


def _examine_if_needed(access: DocumentAccess, file: StoredFile) -> None:
    stored = file.details["options"]
    if stored is None:
        return
    options = ReadOptions.of(stored)
    dump = file.details["detected"]["is_dump"] and not options.member
    if dump or needs_mapping(options):
        _start(access, file, Step.EXAMINE)


def _start(access: DocumentAccess, file: StoredFile, step: Step) -> None:
    total = file.size_bytes
    if step == Step.WRITE:
        total = Reached.of(file.details["check"]["reached"]).records
    try:
        start_job(
            KIND,
            subject_of(access.organization, file),
            _TITLES[step].format(name=file.name),
            access.context,
            organization=access.organization.id,
            total=total,
            parameters={"file": file.id, "step": step.value, "sees_all": not access.mask},
        )
    except JobExists as error:
        raise ImportRuns(error.job) from error


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
        raise MappingRefused("Choose the field by which documents are known to be the same.")
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


def _import_of(organization: Organization, file: StoredFile) -> Import:
    job = latest_job(KIND, subject_of(organization, file))
    edit = _edit_of(organization, file.details)
    return Import(file, job, edit)


def _edit_of(organization: Organization, details: Mapping[str, Any]) -> Edit | None:
    if "writing" not in details:
        return None
    key = {"o": organization.id, "i": details["writing"]}
    row = edits_of(documents_of(organization)).find_one({"_id": key})
    return None if row is None else Edit.of(row)
