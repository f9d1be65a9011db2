"""Who may do what to which organization: the one place that answers it.

Views get an organization only from here, so nothing reaches another organization's data.
"""

from dataclasses import dataclass

import structlog
from bson import ObjectId

from portal import clock
from portal.accounts.documents import Account
from portal.errors import (
    Forbidden,
    NotFound,
    NotInTrash,
    OrganizationPurged,
    SecondFactorRequired,
)
from portal.organizations.documents import (
    ACTIVE,
    CURRENT,
    OLD,
    OWNER,
    PURGED,
    Membership,
    Organization,
    Slug,
)
from portal.organizations.permissions import ALL, ROLES


@dataclass(frozen=True, slots=True)
class Access:
    """An account's way into an organization: its role, and the slug it came by."""

    organization: Organization
    role: str
    slug: str

    @property
    def by_old_slug(self) -> bool:
        """Whether the slug asked for has been renamed away."""
        return self.slug != self.organization.slug

    def can(self, permission: str) -> bool:
        """Whether the role has the permission."""
        if permission not in ALL:
            raise KeyError(permission)
        return permission in ROLES[self.role]

    def require(self, permission: str) -> None:
        """Raise Forbidden unless the role has the permission."""
        if not self.can(permission):
            raise Forbidden(permission)


def access_to(slug: str, account_id: ObjectId) -> Access:
    """The account's access to the organization that the slug leads to; one read.

    An old slug leads its organization's members there too. Raises NotFound alike where there
    is no such organization, where it is in the trash, and where the account is no member;
    SecondFactorRequired where the organization requires one that the account hasn't.
    """
    found = next(Slug._get_collection().aggregate(_way_from_slug(slug, account_id)), None)
    if found is None:
        raise NotFound(slug)
    organization = Organization._from_son(found["organization"])
    structlog.contextvars.bind_contextvars(organization=str(organization.id))
    _require_second_factor(organization, has_one=found.get("has_second_factor", False))
    return Access(organization, found["role"], slug)


def access_to_trashed(organization_id: str, account_id: ObjectId) -> Access:
    """The account's access to an organization in the trash, which is for owners only; two reads.

    Raises NotFound alike where there is no such organization and where the account is no owner
    of it; to owners NotInTrash where it was restored, OrganizationPurged where it is no more,
    SecondFactorRequired.
    """
    if not ObjectId.is_valid(organization_id):
        raise NotFound(organization_id)
    organization = Organization.objects(id=organization_id).first()
    if organization is None:
        raise NotFound(organization_id)
    if organization.state == PURGED and account_id in (organization.owners or ()):
        raise OrganizationPurged(organization.name, organization.purged_at)
    membership = Membership.objects(organization=organization.id, account=account_id).first()
    if membership is None or membership.role != OWNER:
        raise NotFound(organization_id)
    structlog.contextvars.bind_contextvars(organization=organization_id)
    if organization.second_factor_from:
        account = Account.objects(id=account_id).only("has_second_factor").first()
        _require_second_factor(organization, has_one=bool(account and account.has_second_factor))
    if organization.state == ACTIVE:
        raise NotInTrash(organization.name, organization.slug)
    return Access(organization, membership.role, organization.slug)


def belongs_to(organization_id: ObjectId, account_id: ObjectId) -> bool:
    """Whether the account is a member of the organization, or owned it until it was purged."""
    if Membership.objects(organization=organization_id, account=account_id).first():
        return True
    return Organization.objects(id=organization_id, owners=account_id).first() is not None


def slug_for_member(organization_id: ObjectId, account_id: ObjectId | None) -> str | None:
    """The current slug of an organization by its id; ``None`` unless the account is a member of
    it and it is active."""
    if not Membership.objects(organization=organization_id, account=account_id).first():
        return None
    organization = Organization.objects(id=organization_id, state=ACTIVE).only("slug").first()
    return organization and organization.slug


def _require_second_factor(organization: Organization, *, has_one: bool) -> None:
    begins = organization.second_factor_from
    if begins and begins <= clock.now() and not has_one:
        raise SecondFactorRequired(organization.name)


def _way_from_slug(slug: str, account_id: ObjectId) -> list[dict[str, object]]:
    return [
        {"$match": {"_id": slug, "state": {"$in": [CURRENT, OLD]}}},
        {
            "$lookup": {
                "from": Organization._get_collection_name(),
                "localField": "organization",
                "foreignField": "_id",
                "as": "organization",
                "pipeline": [{"$match": {"state": ACTIVE}}],
            }
        },
        {"$unwind": "$organization"},
        {
            "$lookup": {
                "from": Membership._get_collection_name(),
                "localField": "organization._id",
                "foreignField": "organization",
                "as": "membership",
                "pipeline": [{"$match": {"account": account_id}}],
            }
        },
        {"$unwind": "$membership"},
        {
            "$lookup": {
                "from": Account._get_collection_name(),
                "localField": "membership.account",
                "foreignField": "_id",
                "as": "account",
                "pipeline": [{"$project": {"has_second_factor": 1}}],
            }
        },
        {
            "$project": {
                "organization": 1,
                "role": "$membership.role",
                "has_second_factor": {"$first": "$account.has_second_factor"},
            }
        },
    ]
