"""The steps of an import that are jobs."""

from enum import StrEnum
from typing import Any

from portal.data.access import DocumentAccess
from portal.data.transfer.checking import check_file
from portal.data.transfer.errors import ImportRuns
from portal.data.transfer.examining import examine_file
from portal.data.transfer.files import Purpose, StoredFile
from portal.data.transfer.importing import write_file
from portal.data.transfer.passes import Reached
from portal.data.transfer.works import file_of, subject_of, while_kept
from portal.jobs.errors import JobExists
from portal.jobs.managing import start_job
from portal.jobs.running import JobKind, Run


class Step(StrEnum):
    """A step: its work is a job that any worker may do, and any may go on with."""

    EXAMINE = "examine"
    CHECK = "check"
    WRITE = "write"


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


def start_step(access: DocumentAccess, file: StoredFile, step: Step) -> None:
    """Have a job do the step. Raises ImportRuns."""
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
