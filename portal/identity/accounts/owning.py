"""Organizations that depend on one owner: nobody else who can log in owns them."""

from collections.abc import Collection

from bson import ObjectId

from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, OrganizationState

_ALIVE = (OrganizationState.ACTIVE, OrganizationState.TRASHED)


def without_other_owner(organizations: Collection[ObjectId], account_id: ObjectId) -> set[ObjectId]:
    """The organizations among these that have no owner but the account who can log in: nobody acts
    for them by an account that is blocked, or gone."""
    others = Membership.objects(
        organization__in=list(organizations), role=Role.OWNER, account__ne=account_id
    )
    pairs = list(others.scalar("organization", "account"))
    owners = {owner for _, owner in pairs}
    able = set(Account.objects(id__in=owners, closed_at=None, blocked_at=None).scalar("id"))
    return set(organizations) - {organization for organization, owner in pairs if owner in able}


def solely_owned(account_id: ObjectId) -> list[Organization]:
    """The organizations, in the trash or not, that the account owns and nobody else who can log in;
    by name."""
    owned = Membership.objects(account=account_id, role=Role.OWNER).scalar("organization")
    alone = without_other_owner(list(owned), account_id)
    alive = Organization.objects(id__in=alone, state__in=_ALIVE)
    return list(alive.only("name", "restricted").order_by("name"))
