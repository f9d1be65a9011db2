"""Acting by a support grant: an operator's session becomes one that sees one organization, and
back. Each time it gets another id, so that no copy of a cookie, and no page of before, goes on."""

from bson import ObjectId

from portal import clock
from portal.database.transactions import transactional
from portal.documents.organizations import Organization, OrganizationState, Strategy
from portal.documents.support import SupportGrant
from portal.errors import NotFound
from portal.identity.sessions import sessions
from portal.identity.sessions.errors import NotAuthenticated
from portal.identity.sessions.principals import AccountPrincipal, SupportPrincipal
from portal.organizations.access.errors import GrantOver
from portal.organizations.access.restrictions import check_restriction
from portal.organizations.support import errors, reading
from portal.organizations.support.grants import record_event
from portal.web.context import RequestContext


def enter(
    organization_id: ObjectId,
    grant_id: ObjectId,
    principal: AccountPrincipal,
    context: RequestContext,
) -> tuple[SupportPrincipal, Organization]:
    """Have the operator's browser act by the grant; the principal that it is from now on, and the
    organization. A user who reads the documents is made before.

    Raises GrantNotFound, GrantOver, NotFound where the organization isn't active or is hidden,
    OrganizationLocked, NotAuthenticated, and what ``ensure_user`` raises; then the session is as it
    was.
    """
    grant = SupportGrant.objects(id=grant_id, organization=organization_id).first()
    if grant is None or grant.operator not in (None, principal.account_id):
        raise errors.GrantNotFound
    organization = _active(organization_id)
    if grant.with_documents and organization.placement.strategy != Strategy.SHARED:
        reading.ensure_user(grant.id)

    @transactional
    def exchange() -> str:
        current = SupportGrant.objects(id=grant_id).first()
        if current is None or not current.is_in_force(clock.now()):
            raise GrantOver
        record_event(_active(organization_id), "support.entered", current, context)
        return sessions.exchange_session(principal, grant_id)

    entered = sessions.find_principal(exchange())
    if not isinstance(entered, SupportPrincipal):
        raise NotAuthenticated
    return entered, organization


def leave(principal: SupportPrincipal, context: RequestContext) -> AccountPrincipal:
    """Have the operator's browser be itself again, also once the grant is over. Raises
    NotAuthenticated where the session has ended."""

    @transactional
    def exchange() -> str:
        grant = SupportGrant.objects(id=principal.grant_id).first()
        organization = Organization.objects(id=principal.organization_id).first()
        if grant and organization:
            record_event(organization, "support.left", grant, context)
        return sessions.exchange_session(principal, None)

    left = sessions.find_principal(exchange())
    if not isinstance(left, AccountPrincipal):
        raise NotAuthenticated
    return left


def _active(organization_id: ObjectId) -> Organization:
    organization = Organization.objects(id=organization_id, state=OrganizationState.ACTIVE).first()
    if organization is None:
        raise NotFound(str(organization_id))
    check_restriction(organization, None)
    return organization
