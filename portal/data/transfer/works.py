"""Parts of all works on files: who they work for, and what they wait for."""

from collections.abc import Iterator
from contextlib import contextmanager

from portal.data.access import DocumentAccess, mask_for
from portal.data.transfer.errors import FileGone, TransferNotFound
from portal.data.transfer.files import Purpose, StoredFile, find_file
from portal.database.errors import ClusterUnavailable
from portal.documents.audit import Origin
from portal.documents.jobs import Job
from portal.documents.organizations import Organization
from portal.errors import NotFound
from portal.jobs.running import JobFailed, NotNow, Run
from portal.organizations.access.errors import OrganizationMoving, OrganizationTrashed
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    OperationInProgress,
    TenantCollectionMissing,
)
from portal.web.context import AuditActor, RequestContext

_IN_TRASH_SECONDS, _SOON_SECONDS = 60, 5


def subject_of(organization: Organization, file: StoredFile) -> str:
    """The subject of jobs about a file."""
    return f"{organization.id}/{file.id}"


def file_of(run: Run, purpose: Purpose) -> tuple[DocumentAccess, StoredFile]:
    """The file that a job is about, and the access of who started it, by the masks of now."""
    job = run.job
    organization = Organization.objects(id=job.organization).first()
    if organization is None:
        raise NotFound
    file = find_file(organization, job.parameters["file"], purpose)
    mask = mask_for(organization, sees_all=job.parameters["sees_all"])
    return DocumentAccess(organization, mask, _context_of(job), recorded=True), file


@contextmanager
def waiting() -> Iterator[None]:
    """Turn what keeps a work from going on into an end of its job, or a later attempt."""
    try:
        yield
    except OrganizationTrashed as error:
        raise NotNow("the organization is in the trash", _IN_TRASH_SECONDS) from error
    except (OrganizationMoving, OperationInProgress) as error:
        raise NotNow("the organization is being moved or renamed", _SOON_SECONDS) from error
    except ClusterUnavailable as error:
        raise NotNow("the cluster of its documents does not answer", _SOON_SECONDS) from error
    except (FileGone, TransferNotFound) as error:
        raise JobFailed(error.words, {}) from error
    except (TenantCollectionMissing, CollectionNameConflict) as error:
        raise JobFailed(error.words, {}) from error
    except NotFound as error:
        raise JobFailed("The organization was purged.", {}) from error


def _context_of(job: Job) -> RequestContext:
    origin: Origin = job.origin
    actor = AuditActor(
        account=origin.account,
        email=origin.email,
        session=origin.session,
        kind=origin.actor_kind,
        id=origin.actor,
        name=origin.actor_name,
    )
    return RequestContext(actor, ip_address=origin.address, request_id=origin.request_id)
