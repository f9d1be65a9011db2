"""Members: what role they have, and how they stop being one."""

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.invitations import GRANTABLE_ROLES
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.mail import outbox
from portal.organizations.access.changes import begin_change
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import Access
from portal.organizations.members import ownership
from portal.organizations.members.errors import InvalidRole
from portal.organizations.members.listing import Member
from portal.organizations.members.mails import MEMBER_REMOVED, ROLE_CHANGED
from portal.organizations.members.memberships import membership_of, register_membership_change
from portal.organizations.members.withdrawing import withdraw_sent_by
from portal.permissions import ROLES
from portal.web import rate_limits
from portal.web.context import RequestContext

CHANGE_ROLE, REMOVE = "change_role", "remove_member"


def change_role(access: Access, account_id: ObjectId, role: str, context: RequestContext) -> Member:
    """Make a member viewer or admin; the member as it is then.

    Of owners only owners can, and no key makes a viewer an admin. The open invitations of who may
    not invite any more are withdrawn. Raises InvalidRole, TooManyAttempts, NotFound,
    Forbidden, LastOwner; then nothing was changed. The role that the member has is no change.
    """
    if role not in GRANTABLE_ROLES:
        raise InvalidRole
    if role == Role.ADMIN:  # what takes a role away is never too much
        rate_limits.count_try(rate_limits.MEMBER_CHANGES, str(access.organization.id))

    def body() -> Member:
        organization, membership = _begin_managing(access, context, CHANGE_ROLE, account_id)
        account = register_membership_change(account_id)
        if membership.role != role:
            before = membership.role
            _check_rise(access, before, role)
            _end_role(organization, membership, context)
            if "invitations.manage" not in ROLES[role]:
                withdraw_sent_by(account, organization, context)
            membership = Membership.objects(id=membership.id).modify(new=True, set__role=role)
            record(
                organization,
                "member.role_changed",
                context.origin,
                target=account.id,
                target_email=account.email,
                role_before=before,
                role=role,
            )
            if account_id != context.account:
                _tell(ROLE_CHANGED, account, organization)
        return Member(account.id, account.email, membership.role, membership.since)

    return transaction(body)


def remove_member(access: Access, account_id: ObjectId, context: RequestContext) -> Member:
    """End a membership, from the next request on; the member who it was.

    Of owners only owners can. Raises NotFound, Forbidden, LastOwner; then nothing was changed.
    """

    def body() -> Member:
        organization, membership = _begin_managing(access, context, REMOVE, account_id)
        account = _end(organization, membership, context)
        record(
            organization,
            "member.removed",
            context.origin,
            target=account.id,
            target_email=account.email,
            role_before=membership.role,
        )
        _tell(MEMBER_REMOVED, account, organization)
        return Member(account.id, account.email, membership.role, membership.since)

    return transaction(body)


def leave(access: Access, account_id: ObjectId, context: RequestContext) -> Member:
    """End one's own membership; the member who it was. Raises NotFound, LastOwner; then nothing
    was changed."""

    def body() -> Member:
        organization = begin_change(access, context, REMOVE, account_id)
        membership = membership_of(organization.id, account_id)
        account = _end(organization, membership, context)
        record(organization, "member.left", context.origin, role_before=membership.role)
        return Member(account.id, account.email, membership.role, membership.since)

    return transaction(body)


def permission_over(role: str) -> str:
    """The permission that it takes to change or remove a member of this role."""
    return "owners.manage" if role == Role.OWNER else "members.manage"


def _check_rise(access: Access, before: str, role: str) -> None:
    """Raise Forbidden where somebody would get what who asks may not do. No key may invite or make
    keys; so who was removed doesn't come back by a key that they kept, as another admin."""
    beyond = ROLES[role] - ROLES[before] - access.permissions
    if beyond:
        raise Forbidden(min(beyond), access.organization.id, access.role, access.slug)


def _begin_managing(
    access: Access, context: RequestContext, kind: str, account_id: ObjectId
) -> tuple[Organization, Membership]:
    """Begin a change of a membership, by whoever may manage members of its role."""
    membership = membership_of(access.organization.id, account_id)
    permission = permission_over(membership.role)
    access.require(permission)
    organization = begin_change(access, context, kind, account_id, permission=permission)
    return organization, membership


def _end(organization: Organization, membership: Membership, context: RequestContext) -> Account:
    account = register_membership_change(membership.account)
    _end_role(organization, membership, context)
    withdraw_sent_by(account, organization, context)
    Membership.objects(id=membership.id).delete()
    return account


def _end_role(organization: Organization, membership: Membership, context: RequestContext) -> None:
    if membership.role == Role.OWNER:
        ownership.end_ownership(organization, membership.account, context)


def _tell(kind: outbox.MailKind, account: Account, organization: Organization) -> None:
    outbox.enqueue(kind, account.email, organization=organization.id, account=account.id)
