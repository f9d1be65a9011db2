"""An import as it is: its file, its last job, its edit, and by these the stage that it is at."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bson import ObjectId

from portal.data.edits import Edit, EditState
from portal.data.formats.detection import Detected
from portal.data.formats.dumps import Member
from portal.data.formats.examining import Examined
from portal.data.formats.options import ReadOptions
from portal.data.handles import documents_of
from portal.data.recording import edits_of
from portal.data.transfer import files
from portal.data.transfer.files import Purpose, StoredFile, find_file
from portal.data.transfer.passes import Reached
from portal.data.transfer.plans import (
    Plan,
    detection_of,
    examination_of,
    members_of,
    needs_mapping,
)
from portal.data.transfer.steps import KIND
from portal.data.transfer.works import subject_of
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Organization
from portal.jobs.managing import latest_job


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
    def draft(self) -> Mapping[str, Any] | None:
        """The mapping that was decided before the file was read otherwise."""
        return self.file.details.get("draft")

    @property
    def checked(self) -> Reached | None:
        """The progress of the check."""
        check = self.file.details.get("check")
        return Reached.of(check["reached"]) if check else None

    @property
    def written(self) -> Reached | None:
        """The progress of the write."""
        return Reached.of(self.edit.position) if self.edit else None


def find_import(organization: Organization, file_id: str | ObjectId) -> Import:
    """The organization's import of the file with this id. Raises TransferNotFound."""
    file = find_file(organization, file_id, Purpose.IMPORT)
    return _import_of(organization, file)


def imports_of(organization: Organization, most: int) -> list[Import]:
    """The organization's imports, newest first."""
    found = files.files_of(organization, Purpose.IMPORT, most)
    return [_import_of(organization, file) for file in found]


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
