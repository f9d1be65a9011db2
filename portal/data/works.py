"""Parts of all jobs on an organization's documents: who they work for, and what they wait for."""

from collections.abc import Iterator
from contextlib import contextmanager

from portal.audit.errors import UnderHold
from portal.data.access import DocumentAccess, mask_for
from portal.database.errors import ClusterLost, ClusterUnavailable
from portal.documents.jobs import Job
from portal.documents.organizations import Organization
from portal.errors import NotFound
from portal.jobs.running import JobFailed, NotNow
from portal.organizations.access.errors import (
    OrganizationHidden,
    OrganizationMoving,
    OrganizationSuspended,
    OrganizationTrashed,
)
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    OperationInProgress,
    TenantCollectionMissing,
)
from portal.organizations.usage.errors import OperationsLimited, StorageLimited
from portal.web.context import AuditActor, RequestContext

_IN_TRASH_SECONDS, _UNREACHABLE_SECONDS, _SOON_SECONDS = 60, 5, 1
_FULL_SECONDS = 60


def access_of(job: Job, *, sees_all: bool = True) -> DocumentAccess:
    """The access of who started the job, by the masks of now unless they see all. Raises JobFailed
    where the organization is no more."""
    organization = Organization.objects(id=job.organization).first()
    if organization is None:
        raise JobFailed(_NO_MORE, {})
    origin = job.origin
    actor = AuditActor(
        account=origin.account,
        email=origin.email,
        session=origin.session,
        kind=origin.actor_kind,
        id=origin.actor,
        name=origin.actor_name,
    )
    context = RequestContext(actor, ip_address=origin.address, request_id=origin.request_id)
    mask = mask_for(organization, sees_all=sees_all)
    return DocumentAccess(organization, mask, context, recorded=True)


@contextmanager
def while_reachable() -> Iterator[None]:
    """Have a job wait while the organization's documents can't be reached. Raises NotNow; JobFailed
    where they never will be."""
    try:
        yield
    except OrganizationTrashed as error:
        raise NotNow("the organization is in the trash", _IN_TRASH_SECONDS) from error
    except UnderHold as error:
        raise NotNow("the organization is under a legal hold", _IN_TRASH_SECONDS) from error
    except (OrganizationSuspended, OrganizationHidden) as error:
        raise NotNow("the organization is suspended", _IN_TRASH_SECONDS) from error
    except OperationsLimited as error:
        raise NotNow("the organization’s limit of operations", error.wait_seconds) from error
    except StorageLimited as error:
        reason = f"the organization keeps {error.used:,} of {error.allowed:,} {error.kind}"
        raise NotNow(reason, _FULL_SECONDS) from error
    except OrganizationMoving as error:
        raise NotNow("the organization is being moved", _SOON_SECONDS) from error
    except OperationInProgress as error:
        raise NotNow("another operation on the organization", _SOON_SECONDS) from error
    except ClusterLost as error:
        raise JobFailed(error.words, {}) from error
    except ClusterUnavailable as error:
        raise NotNow("its cluster does not answer", _UNREACHABLE_SECONDS) from error
    except (TenantCollectionMissing, CollectionNameConflict) as error:
        raise JobFailed(error.words, {}) from error
    except NotFound as error:
        raise JobFailed(_NO_MORE, {}) from error


_NO_MORE = "The organization is no more."
