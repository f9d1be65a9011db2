"""Checks of memberships in the transactions that change them.

Each of those also writes the head of the organization's audit chain, so of two concurrent ones on
one organization one is retried.
"""

from bson import ObjectId

from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.errors import NotFound
from portal.organizations.members.errors import LastOwner


def membership_of(organization_id: ObjectId, account_id: ObjectId) -> Membership:
    """The account's membership. Raises NotFound where it has none."""
    membership = Membership.objects(organization=organization_id, account=account_id).first()
    if membership is None:
        raise NotFound(str(account_id))
    return membership


@within_transaction
def register_membership_change(account_id: ObjectId) -> Account:
    """Count a change of the account's memberships, which conflicts with every other transaction
    that depends on them; the account. Raises NotFound where there is none."""
    account = Account.objects(id=account_id).modify(new=True, inc__membership_changes=1)
    if account is None:
        raise NotFound(str(account_id))
    return account


@within_transaction
def check_other_owner(organization: Organization, account_id: ObjectId) -> None:
    """Raise LastOwner unless the organization has an owner besides the account."""
    owners = Membership.objects(
        organization=organization.id, role=Role.OWNER, account__ne=account_id
    )
    if owners.first() is None:
        raise LastOwner(organization.name, organization.slug)
