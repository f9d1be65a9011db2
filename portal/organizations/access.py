"""Who may do what to which organization: the one place that answers it.

Views get an organization only from here, so nothing reaches another organization's data.
"""

from dataclasses import dataclass

import structlog
from bson import ObjectId

from portal.errors import Forbidden, NotFound
from portal.organizations.documents import (
    ACTIVE,
    ADMIN,
    CURRENT,
    OLD,
    OWNER,
    VIEWER,
    Membership,
    Organization,
    Slug,
)

PERMISSIONS = {
    "organization.view": frozenset({OWNER, ADMIN, VIEWER}),
    "organization.rename": frozenset({OWNER, ADMIN}),
    "organization.delete": frozenset({OWNER}),
    "slug.reclaim": frozenset({OWNER}),
}


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
        return self.role in PERMISSIONS[permission]

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
