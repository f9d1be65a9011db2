"""Members: changing their roles, removing them, leaving."""

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import GRANTABLE_ROLES, Membership, Role
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.members import memberships, ownership
from portal.organizations.members.errors import InvalidRole
from portal.organizations.members.inviting import withdraw_sent_by
from portal.organizations.members.listing import Member
from portal.organizations.members.mails import MEMBER_REMOVED, ROLE_CHANGED
from portal.permissions import ROLES
from portal.web import rate_limits
from portal.web.context import RequestContext

CHANGE_ROLE, REMOVE = "change_role", "remove_member"


def change_role(access: Access, account_id: ObjectId, role: str, context: RequestContext) -> Member:
    """Make a member viewer or admin; the updated member. The current role is no change.

    Only owners can change an owner, and no API key makes a viewer an admin. A member who may no
    longer invite loses their open invitations. Raises InvalidRole, TooManyAttempts, NotFound,
    Forbidden, LastOwner.
    """
    if role not in GRANTABLE_ROLES:
        raise InvalidRole
    if role == Role.ADMIN:  # taking a role away has no limit
        rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))

    @transactional
    def update_role() -> Member:
        organization, membership = _begin_managing(access, context, CHANGE_ROLE, account_id)
        account = memberships.register_membership_change(account_id)
        if membership.role != role:
            before = membership.role
            # No API key may invite or create keys: a removed member who kept one can't make a
            # second account an admin.
            access.require_all(ROLES[Role(role)] - ROLES[before])
            if before == Role.OWNER:
                ownership.end_ownership(organization, account_id, context)
            if "invitations.manage" not in ROLES[role]:
                withdraw_sent_by(account, organization, context)
            membership = Membership.objects(id=membership.id).modify(new=True, set__role=role)
            roles = {"role_before": before, "role": role}
            memberships.record_about(account, organization, "member.role_changed", context, **roles)
            if account_id != context.account:
                memberships.mail_member(ROLE_CHANGED, account, organization)
        return Member(account.id, account.email, membership.role, membership.since)

    return update_role()


@transactional
def remove_member(access: Access, account_id: ObjectId, context: RequestContext) -> Member:
    """End a membership, effective from the next request; the former member.

    Only owners can remove an owner. Raises NotFound, Forbidden, LastOwner.
    """
    organization, membership = _begin_managing(access, context, REMOVE, account_id)
    account = _end_membership(organization, membership, context)
    memberships.record_about(
        account, organization, "member.removed", context, role_before=membership.role
    )
    memberships.mail_member(MEMBER_REMOVED, account, organization)
    return Member(account.id, account.email, membership.role, membership.since)


@transactional
def leave(access: Access, account_id: ObjectId, context: RequestContext) -> Member:
    """End the caller's own membership; the former member. Raises NotFound, LastOwner."""
    organization = begin_change(access, context, REMOVE, account_id)
    membership = memberships.membership_of(organization.id, account_id)
    account = _end_membership(organization, membership, context)
    record(organization, "member.left", context.origin, role_before=membership.role)
    return Member(account.id, account.email, membership.role, membership.since)


def permission_over(role: Role) -> str:
    """The permission needed to change or remove a member with this role."""
    return "owners.manage" if role == Role.OWNER else "members.manage"


@within_transaction
def _begin_managing(
    access: Access, context: RequestContext, kind: str, account_id: ObjectId
) -> tuple[Organization, Membership]:
    """Begin a change of a membership by a principal who may manage members with its role."""
    membership = memberships.membership_of(access.organization.id, account_id)
    permission = permission_over(membership.role)
    access.require(permission)
    organization = begin_change(access, context, kind, account_id, permission=permission)
    return organization, membership


@within_transaction
def _end_membership(
    organization: Organization, membership: Membership, context: RequestContext
) -> Account:
    account = memberships.register_membership_change(membership.account)
    if membership.role == Role.OWNER:
        ownership.end_ownership(organization, membership.account, context)
    withdraw_sent_by(account, organization, context)
    Membership.objects(id=membership.id).delete()
    return account
