"""How every change of an organization begins."""

from bson import ObjectId

from portal.database.transactions import within_transaction
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState
from portal.errors import NotFound
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import Access
from portal.permissions import ROLES
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key


@within_transaction
def begin_change(
    access: Access,
    context: RequestContext,
    kind: str,
    target: ObjectId,
    *,
    permission: str | None = None,
) -> Organization:
    """Claim the request's idempotency key for a change of the organization, and check again that it
    is active and that the ``permission`` still holds, which may have been revoked since the request
    began; the organization as it is now.

    Raises DuplicateRequest; NotFound where the organization is no longer active or the account no
    longer a member; Forbidden where the member's role no longer allows it.
    """
    claim_key(context, access.organization.id, kind, target)
    organization = Organization.objects(
        id=access.organization.id, state=OrganizationState.ACTIVE
    ).first()
    if organization is None:
        raise NotFound(str(access.organization.id))
    if permission and context.account:
        own = Membership.objects(organization=organization.id, account=context.account).first()
        if own is None:
            raise NotFound(access.slug)
        if permission not in ROLES[own.role]:
            raise Forbidden(permission, organization.id, own.role, organization.slug)
    return organization
