"""Pages that an operator opens by a support grant, recorded in the organization's audit trail."""

from collections.abc import Iterator
from contextlib import contextmanager

from bson import ObjectId
from mongoengine import QuerySet
from pymongo.errors import OperationFailure

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.organizations import Organization
from portal.documents.support import GrantState, SupportGrant
from portal.organizations.access.errors import GrantOver
from portal.organizations.access.lookup import Access
from portal.web.context import RequestContext

SEEN = "support.seen"
_REFUSED = (13, 18)  # of a MongoDB user that was just dropped


@transactional
def record_page(access: Access, grant_id: ObjectId, page: str, context: RequestContext) -> None:
    """Record that an operator opens a ``page``, whose query is part of it. Raises GrantOver where
    the grant ended meanwhile: of the two one comes first."""
    if not _in_force(grant_id).update_one(inc__pages=1, set__seen_at=clock.now()):
        raise GrantOver
    organization = Organization.objects.get(id=access.organization.id)
    record(organization, SEEN, context.origin, target=grant_id, page=page)


@contextmanager
def while_in_force(grant_id: ObjectId) -> Iterator[None]:
    """Answer with what the body makes only if the grant is still in force at its end, and else
    raise GrantOver: also where MongoDB refused its user in between."""
    try:
        yield
    except OperationFailure as error:
        if error.code in _REFUSED and not _in_force(grant_id).first():
            raise GrantOver from error
        raise
    if not _in_force(grant_id).first():
        raise GrantOver


def _in_force(grant_id: ObjectId) -> QuerySet:
    return SupportGrant.objects(id=grant_id, state=GrantState.GRANTED, ends_at__gt=clock.now())
