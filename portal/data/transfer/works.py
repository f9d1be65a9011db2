"""Parts of all works on files: the file that a job is about, and what it waits for."""

from collections.abc import Iterator
from contextlib import contextmanager

from portal.data.access import DocumentAccess
from portal.data.transfer.errors import FileGone, TransferNotFound
from portal.data.transfer.files import Purpose, StoredFile, find_file
from portal.data.works import access_of, while_reachable
from portal.documents.organizations import Organization
from portal.jobs.running import JobFailed, Run


def subject_of(organization: Organization, file: StoredFile) -> str:
    """The subject of jobs about a file."""
    return f"{organization.id}/{file.id}"


def file_of(run: Run, purpose: Purpose) -> tuple[DocumentAccess, StoredFile]:
    """The file that a job is about, and the access of who started it. Raises JobFailed,
    TransferNotFound."""
    parameters = run.job.parameters
    access = access_of(run.job, sees_all=parameters["sees_all"])
    return access, find_file(access.organization, parameters["file"], purpose)


@contextmanager
def while_kept() -> Iterator[None]:
    """Have a job wait while the documents and files can't be reached. Raises NotNow, JobFailed."""
    with while_reachable():
        try:
            yield
        except (FileGone, TransferNotFound) as error:
            raise JobFailed(error.words, {}) from error
