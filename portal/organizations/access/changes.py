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
    is active and that the ``permission`` still holds; the organization as it is now.

    Raises DuplicateRequest, and what ``reauthorize`` raises.
    """
    claim_key(context, access.organization.id, kind, target)
    if permission:
        return reauthorize(access, context, permission)
    return current_organization(access.organization.id)


@within_transaction
def current_organization(organization_id: ObjectId) -> Organization:
    """The organization as it is now. Raises NotFound where it is no longer active."""
    organization = Organization.objects(id=organization_id, state=OrganizationState.ACTIVE).first()
    if organization is None:
        raise NotFound(str(organization_id))
    return organization


@within_transaction
def reauthorize(access: Access, context: RequestContext, permission: str) -> Organization:
    """The organization as it is now, if the ``permission`` still holds: it may have been revoked
    since the request began.

    Raises NotFound where it is no longer active or the account no longer a member, Forbidden where
    the member's role no longer allows it.
    """
    organization = current_organization(access.organization.id)
    if context.account:
        own = Membership.objects(organization=organization.id, account=context.account).first()
        if own is None:
            raise NotFound(access.slug)
        if permission not in ROLES[own.role]:
            raise Forbidden(permission, organization.id, own.role, organization.slug)
    return organization
