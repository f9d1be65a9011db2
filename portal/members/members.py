"""Members: what role they have, and how they stop being one."""

from bson import ObjectId

from portal.accounts.documents import Account
from portal.audit.documents import Origin
from portal.audit.trail import record
from portal.database import transaction
from portal.errors import InvalidRole
from portal.idempotency import claim_key
from portal.mail import outbox
from portal.members import ownership
from portal.members.documents import GIVEN
from portal.members.mails import MEMBER_REMOVED, ROLE_CHANGED
from portal.members.memberships import count_change, membership_of
from portal.organizations.access import Access, active_organization, still_allowed
from portal.organizations.directory import Member
from portal.organizations.documents import OWNER, Membership, Organization

CHANGE_ROLE, REMOVE = "change_role", "remove_member"


def change_role(access: Access, account_id: ObjectId, role: str, origin: Origin) -> Member:
    """Make a member viewer or admin; the member as it is then.

    Of owners only owners can. Raises InvalidRole, NotFound, Forbidden, LastOwner; then nothing
    was changed. The role that the member has is no change.
    """
    if role not in GIVEN:
        raise InvalidRole

    def body() -> Member:
        claim_key(origin.key, origin.request_id, access.organization.id, CHANGE_ROLE, account_id)
        organization, membership = _managed(access, account_id, origin)
        account = count_change(account_id)
        if membership.role != role:
            before = membership.role
            _end_role(organization, membership, origin)
            membership = Membership.objects(id=membership.id).modify(new=True, set__role=role)
            record(
                organization,
                "member.role_changed",
                origin,
                target=account.id,
                target_email=account.email,
                role_before=before,
                role=role,
            )
            if account_id != origin.account:
                _tell(ROLE_CHANGED, account, organization)
        return Member(account.id, account.email, membership.role, membership.since)

    return transaction(body)


def remove_member(access: Access, account_id: ObjectId, origin: Origin) -> Member:
    """End a membership, from the next request on; the member who it was.

    Of owners only owners can. Raises NotFound, Forbidden, LastOwner; then nothing was changed.
    """

    def body() -> Member:
        claim_key(origin.key, origin.request_id, access.organization.id, REMOVE, account_id)
        organization, membership = _managed(access, account_id, origin)
        account = _end(organization, membership, origin)
        record(
            organization,
            "member.removed",
            origin,
            target=account.id,
            target_email=account.email,
            role_before=membership.role,
        )
        _tell(MEMBER_REMOVED, account, organization)
        return Member(account.id, account.email, membership.role, membership.since)

    return transaction(body)


def leave(access: Access, account_id: ObjectId, origin: Origin) -> Member:
    """End one's own membership; the member who it was. Raises NotFound, LastOwner; then nothing
    was changed."""

    def body() -> Member:
        claim_key(origin.key, origin.request_id, access.organization.id, REMOVE, account_id)
        organization = active_organization(access.organization.id)
        membership = membership_of(organization.id, account_id)
        account = _end(organization, membership, origin)
        record(organization, "member.left", origin, role_before=membership.role)
        return Member(account.id, account.email, membership.role, membership.since)

    return transaction(body)


def permission_over(role: str) -> str:
    """The permission that it takes to change or remove a member of this role."""
    return "owners.manage" if role == OWNER else "members.manage"


def _managed(
    access: Access, account_id: ObjectId, origin: Origin
) -> tuple[Organization, Membership]:
    membership = membership_of(access.organization.id, account_id)
    permission = permission_over(membership.role)
    access.require(permission)
    return still_allowed(access, origin, permission), membership


def _end(organization: Organization, membership: Membership, origin: Origin) -> Account:
    _end_role(organization, membership, origin)
    Membership.objects(id=membership.id).delete()
    return count_change(membership.account)


def _end_role(organization: Organization, membership: Membership, origin: Origin) -> None:
    if membership.role == OWNER:
        ownership.end_ownership(organization, membership.account, origin)


def _tell(kind: outbox.Kind, account: Account, organization: Organization) -> None:
    outbox.put(kind, account.email, organization=organization.id, account=account.id)
