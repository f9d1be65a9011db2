"""Who may do what to which organization: the one place that answers it.

A principal is an account by a session, or an organization's key. Views get an organization only
from here, so nothing reaches another organization's data.
"""

from dataclasses import dataclass, replace
from typing import Any

import structlog
from bson import ObjectId

from portal import clock
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.slugs import Slug, SlugState
from portal.errors import NotFound
from portal.identity.sessions.principals import (
    AccountPrincipal,
    OrganizationKey,
    ProvisioningPrincipal,
)
from portal.organizations.access.errors import (
    Forbidden,
    NotInTrash,
    OrganizationPurged,
    SecondFactorRequired,
)
from portal.permissions import ALL, ROLES, WITHOUT_FACTOR


@dataclass(frozen=True, slots=True)
class Access:
    """A principal's way into an organization: what it may do there, and the slug it came by.

    A member has a ``role``, a key may have permissions alone.
    """

    organization: Organization
    role: str | None
    slug: str
    permissions: frozenset[str]

    @property
    def by_old_slug(self) -> bool:
        """Whether the slug asked for has been renamed away."""
        return self.slug != self.organization.slug

    def can(self, permission: str) -> bool:
        """Whether the permission was given to who asks."""
        if permission not in ALL:
            raise KeyError(permission)
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raise Forbidden unless the permission was given to who asks."""
        if not self.can(permission):
            raise Forbidden(permission, self.organization.id, self.role, self.slug)


def access_to(
    slug: str, principal: AccountPrincipal | OrganizationKey, permission: str | None = None
) -> Access:
    """The principal's access to the organization that the slug leads to, for what takes the
    ``permission``, if it takes one; one read.

    An old slug leads its organization's members and keys there too. Raises NotFound alike where
    there is no such organization, where it is in the trash, and where it is another's;
    SecondFactorRequired where the organization holds the account out, unless it is to leave;
    Forbidden.
    """
    by_key = isinstance(principal, OrganizationKey)
    way = _of_key(slug, principal) if by_key else _of_member(slug, principal.account_id)
    found = next(Slug._get_collection().aggregate(way), None)
    if found is None:
        raise NotFound(slug)
    organization = Organization._from_son(found["organization"])
    structlog.contextvars.bind_contextvars(organization=str(organization.id))
    if by_key:
        access = Access(organization, principal.role, slug, principal.permissions)
    else:
        access = Access(organization, found["role"], slug, ROLES[found["role"]])
    if found["organization"].get("locked_out"):
        access = replace(access, permissions=access.permissions & WITHOUT_FACTOR)
        if permission not in access.permissions:
            raise SecondFactorRequired(organization.name, organization.slug)
    if permission:
        access.require(permission)
    return access


def with_mfa_lockout(account_id: ObjectId) -> list[dict[str, Any]]:
    """The stages of an aggregation over organizations that set ``locked_out``: whether they require
    a second factor by now and the account has none."""
    able = {
        "from": Account._get_collection_name(),
        "as": "able",
        # It asks nothing of the organization, so the server looks it up once for all of them.
        "pipeline": [
            {"$match": {"_id": account_id, "has_second_factor": True}},
            {"$project": {"_id": 1}},
        ],
    }
    begins = "$second_factor_from"
    begun = {"$and": [{"$gt": [begins, None]}, {"$lte": [begins, clock.now()]}]}
    return [
        {"$lookup": able},
        {"$set": {"locked_out": {"$and": [begun, {"$eq": ["$able", []]}]}}},
        {"$unset": "able"},
    ]


def parse_object_id(text: str) -> ObjectId:
    """The id that stands in an address. Raises NotFound for what is none."""
    if not ObjectId.is_valid(text):
        raise NotFound(text)
    return ObjectId(text)


def access_to_trashed(organization_id: str, account_id: ObjectId) -> Access:
    """The account's access to an organization in the trash, which is for owners only; three reads.

    Raises NotFound alike where there is no such organization and where the account is no owner
    of it; to owners NotInTrash where it was restored, OrganizationPurged where it is no more,
    SecondFactorRequired.
    """
    organization = Organization.objects(id=parse_object_id(organization_id)).first()
    if organization is None:
        raise NotFound(organization_id)
    if organization.state == OrganizationState.PURGED and account_id in (organization.owners or ()):
        raise OrganizationPurged(organization.name, organization.purged_at)
    membership = Membership.objects(organization=organization.id, account=account_id).first()
    if membership is None or membership.role != Role.OWNER:
        raise NotFound(organization_id)
    structlog.contextvars.bind_contextvars(organization=organization_id)
    _check_second_factor(organization.id, account_id)
    if organization.state == OrganizationState.ACTIVE:
        raise NotInTrash(organization.name, organization.slug)
    role = membership.role
    return Access(organization, role, organization.slug, ROLES[role])


def check_may_replay(
    organization_id: ObjectId, principal: AccountPrincipal | OrganizationKey | ProvisioningPrincipal
) -> None:
    """Raise NotFound unless the principal, who changed the organization before, may still know of
    it: a member, who owned it until it was purged, a key of it, or what signed it up;
    SecondFactorRequired where it holds the account out."""
    if isinstance(principal, ProvisioningPrincipal):
        return
    if isinstance(principal, OrganizationKey):
        if principal.organization_id != organization_id:
            raise NotFound(str(organization_id))
        return
    if not _belongs_to(organization_id, principal.account_id):
        raise NotFound(str(organization_id))
    _check_second_factor(organization_id, principal.account_id)


def _belongs_to(organization_id: ObjectId, account_id: ObjectId) -> bool:
    if Membership.objects(organization=organization_id, account=account_id).first():
        return True
    return Organization.objects(id=organization_id, owners=account_id).first() is not None


def slug_for_member(organization_id: ObjectId, account_id: ObjectId | None) -> str | None:
    """The current slug of an organization by its id; ``None`` unless the account is a member of
    it and it is active."""
    if not Membership.objects(organization=organization_id, account=account_id).first():
        return None
    organization = (
        Organization.objects(id=organization_id, state=OrganizationState.ACTIVE)
        .only("slug")
        .first()
    )
    return organization and organization.slug


def _check_second_factor(organization_id: ObjectId, account_id: ObjectId) -> None:
    living = Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED)
    for found in living.aggregate(with_mfa_lockout(account_id)):
        if found["locked_out"]:
            raise SecondFactorRequired(found["name"])


def _of_member(slug: str, account_id: ObjectId) -> list[dict[str, Any]]:
    membership = {
        "from": Membership._get_collection_name(),
        "localField": "organization._id",
        "foreignField": "organization",
        "as": "membership",
        "pipeline": [{"$match": {"account": account_id}}],
    }
    return [
        *_from_slug(slug, with_mfa_lockout(account_id)),
        {"$lookup": membership},
        {"$unwind": "$membership"},
        {"$project": {"organization": 1, "role": "$membership.role"}},
    ]


def _of_key(slug: str, key: OrganizationKey) -> list[dict[str, Any]]:
    return [*_from_slug(slug, []), {"$match": {"organization._id": key.organization_id}}]


def _from_slug(slug: str, marks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"$match": {"_id": slug, "state": {"$in": [SlugState.CURRENT, SlugState.OLD]}}},
        {
            "$lookup": {
                "from": Organization._get_collection_name(),
                "localField": "organization",
                "foreignField": "_id",
                "as": "organization",
                "pipeline": [{"$match": {"state": OrganizationState.ACTIVE}}, *marks],
            }
        },
        {"$unwind": "$organization"},
    ]
