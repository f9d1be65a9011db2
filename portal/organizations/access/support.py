"""What an operator looks at by a support grant, recorded in the organization's audit trail."""

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.organizations import Organization
from portal.documents.support import GrantState, SupportGrant
from portal.organizations.access.errors import GrantOver
from portal.organizations.access.lookup import Access
from portal.web.context import RequestContext

SEEN = "support.seen"


@transactional
def record_page(access: Access, grant_id: ObjectId, page: str, context: RequestContext) -> None:
    """Record that an operator opens a ``page``, whose query is part of it. Raises GrantOver where
    the grant ended meanwhile: of the two one comes first."""
    now = clock.now()
    in_force = SupportGrant.objects(id=grant_id, state=GrantState.GRANTED, ends_at__gt=now)
    if not in_force.update_one(inc__pages=1, set__seen_at=now):
        raise GrantOver
    organization = Organization.objects.get(id=access.organization.id)
    record(organization, SEEN, context.origin, target=grant_id, page=page)
