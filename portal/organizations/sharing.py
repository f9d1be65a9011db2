"""The owners' switch that lets viewers read documents."""

from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access, begin_change
from portal.web.context import RequestContext

SHARED = "documents_shared"


@transactional
def let_viewers_read(access: Access, context: RequestContext, *, allowed: bool) -> Organization:
    """Have viewers read documents from the next request on, or no longer; a no-op where it is so
    already.

    Raises NotFound where the organization is no longer active, Forbidden for who is no longer an
    owner, DuplicateRequest.
    """
    organization = begin_change(
        access, context, SHARED, access.organization.id, permission="documents.share"
    )
    if bool(organization.viewers_read_documents) == allowed:
        return organization
    organization.update(set__viewers_read_documents=allowed)
    organization.viewers_read_documents = allowed
    action = "organization.documents_shared" if allowed else "organization.documents_hidden"
    record(organization, action, context.origin)
    return organization
