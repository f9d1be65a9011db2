"""Who may do what to which organization: the one place that answers it.

Views get an organization only from here, so nothing reaches another organization's data.
"""

from dataclasses import dataclass

import structlog
from bson import ObjectId

from portal.errors import Forbidden, NotFound, NotInTrash, OrganizationPurged
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
    is no such organization, where it is in the trash, and where the account is no member.
    """
    found = next(Slug._get_collection().aggregate(_way_from_slug(slug, account_id)), None)
    if found is None:
        raise NotFound(slug)
    organization = Organization._from_son(found["organization"])
    structlog.contextvars.bind_contextvars(organization=str(organization.id))
    return Access(organization, found["role"], slug)


def active_organization(organization_id: ObjectId) -> Organization:
    """The organization as it is now, for the inside of a transaction. Raises NotFound where it is
    no longer active."""
    organization = Organization.objects(id=organization_id, state=ACTIVE).first()
    if organization is None:
        raise NotFound(str(organization_id))
    return organization


def object_id(text: str) -> ObjectId:
    """The id that stands in an address. Raises NotFound for what is none."""
    if not ObjectId.is_valid(text):
        raise NotFound(text)
    return ObjectId(text)


def access_to_trashed(organization_id: str, account_id: ObjectId) -> Access:
    """The account's access to an organization in the trash, which is for owners only; two reads.

    Raises NotFound alike where there is no such organization and where the account is no owner
    of it; to owners NotInTrash where it was restored, OrganizationPurged where it is no more.
    """
    organization = Organization.objects(id=object_id(organization_id)).first()
    if organization is None:
        raise NotFound(organization_id)
    if organization.state == PURGED and account_id in (organization.owners or ()):
        raise OrganizationPurged(organization.name, organization.purged_at)
    membership = Membership.objects(organization=organization.id, account=account_id).first()
    if membership is None or membership.role != OWNER:
        raise NotFound(organization_id)
    structlog.contextvars.bind_contextvars(organization=organization_id)
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
        {"$project": {"organization": 1, "role": "$membership.role"}},
    ]
