"""Authorization: the only way from a principal to an organization.

A principal is an account by a session, or an organization's API key. Views get an organization only
from here, so nothing reaches another organization's data.
"""

from dataclasses import dataclass, replace
from typing import Any

import structlog
from bson import ObjectId

from portal import clock
from portal.database.paging import join
from portal.database.transactions import within_transaction
from portal.display_names import InvalidName, clean_words, comparable
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import SLUG, Organization, OrganizationState, Slug, SlugState
from portal.errors import NotFound
from portal.identity.sessions.principals import (
    AccountPrincipal,
    OrganizationKey,
    ProvisioningPrincipal,
)
from portal.organizations.access import errors
from portal.permissions import ALL, ROLES, WITHOUT_SECOND_FACTOR
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key


@dataclass(frozen=True, slots=True)
class Access:
    """A principal's permissions in an organization, and the requested slug.

    A member has a ``role``; an API key may have permissions alone.
    """

    organization: Organization
    role: Role | None
    slug: str
    permissions: frozenset[str]

    @property
    def by_old_slug(self) -> bool:
        """True for a request by an old slug."""
        return self.slug != self.organization.slug

    def can(self, permission: str) -> bool:
        """True if the principal has the permission. Raises KeyError for an unknown one."""
        if permission not in ALL:
            raise KeyError(permission)
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raise Forbidden unless the principal has the permission."""
        if not self.can(permission):
            raise errors.Forbidden(permission, self.organization.id, self.role, self.slug)

    def require_all(self, permissions: frozenset[str]) -> None:
        """Raise Forbidden unless the principal has all of these permissions."""
        beyond = permissions - self.permissions
        if beyond:
            self.require(min(beyond))


def access_to(
    slug: str, principal: AccountPrincipal | OrganizationKey, permission: str | None = None
) -> Access:
    """The principal's access to the organization with this slug, current or old; one read.

    Raises NotFound alike where there is no such organization, where it is in the trash, and where
    the principal doesn't belong to it; SecondFactorRequired where the account is locked out, unless
    the ``permission`` is to leave; Forbidden without the ``permission``.
    """
    key = principal if isinstance(principal, OrganizationKey) else None
    pipeline = _by_key(slug, key) if key else _by_member(slug, principal.account_id)
    found = next(Slug._get_collection().aggregate(pipeline), None)
    if found is None:
        raise NotFound(slug)
    organization = Organization._from_son(found["organization"])
    structlog.contextvars.bind_contextvars(organization=str(organization.id))
    if key:
        role = Role(key.role) if key.role else None
        access = Access(organization, role, slug, key.permissions)
    else:
        role = Role(found["role"])
        access = Access(organization, role, slug, ROLES[role])
    if found["organization"].get("locked_out"):
        access = replace(access, permissions=access.permissions & WITHOUT_SECOND_FACTOR)
        if permission not in access.permissions:
            raise errors.SecondFactorRequired(organization.name, organization.slug)
    if permission:
        access.require(permission)
    return access


def access_by_name(
    text: str, principal: AccountPrincipal | OrganizationKey, permission: str
) -> Access:
    """The principal's access to the organization with this slug; else to its organization with this
    name, compared without case, or with this name before it was renamed.

    Raises AmbiguousName where several have the name; otherwise like ``access_to``.
    """
    if SLUG.fullmatch(text):
        try:
            return access_to(text, principal, permission)
        except NotFound:
            return access_to(_slug_of_named(text, principal), principal, permission)
    return access_to(_slug_of_named(text, principal), principal, permission)


def _slug_of_named(text: str, principal: AccountPrincipal | OrganizationKey) -> str:
    """Never transcribes the name: another name may have the same slug."""
    try:
        wanted = comparable(clean_words(text))
    except InvalidName as error:
        raise NotFound(text) from error
    own = _organizations_of(principal)
    current = Organization.objects(id__in=own, state=OrganizationState.ACTIVE)
    old = Slug.objects(organization__in=own, state=SlugState.OLD, name__exists=True)
    for named in (current.scalar("name", "slug"), old.scalar("name", "id")):
        slugs = sorted(slug for name, slug in named if comparable(name) == wanted)
        if len(slugs) > 1:
            raise errors.AmbiguousName(slugs)
        if slugs:
            return slugs[0]
    raise NotFound(text)


def _organizations_of(principal: AccountPrincipal | OrganizationKey) -> list[ObjectId]:
    if isinstance(principal, OrganizationKey):
        return [principal.organization_id]
    return list(Membership.objects(account=principal.account_id).scalar("organization"))


def parse_object_id(text: str) -> ObjectId:
    """The id in a URL. Raises NotFound for anything that is no id."""
    if not ObjectId.is_valid(text):
        raise NotFound(text)
    return ObjectId(text)


def access_to_trashed(organization_id: str, account_id: ObjectId) -> Access:
    """The account's access to an organization in the trash, for owners only; three reads.

    Raises NotFound alike where there is no such organization and where the account is no owner
    of it; for owners NotInTrash where it was restored, OrganizationPurged, SecondFactorRequired.
    """
    organization = Organization.objects(id=parse_object_id(organization_id)).first()
    if organization is None:
        raise NotFound(organization_id)
    if organization.state == OrganizationState.PURGED and account_id in (organization.owners or ()):
        raise errors.OrganizationPurged(organization.name, organization.purged_at)
    membership = Membership.objects(organization=organization.id, account=account_id).first()
    if membership is None or membership.role != Role.OWNER:
        raise NotFound(organization_id)
    structlog.contextvars.bind_contextvars(organization=organization_id)
    _check_second_factor(organization.id, account_id)
    if organization.state == OrganizationState.ACTIVE:
        raise errors.NotInTrash(organization.name, organization.slug)
    return Access(organization, Role.OWNER, organization.slug, ROLES[Role.OWNER])


@within_transaction
def begin_change(
    access: Access,
    context: RequestContext,
    kind: str,
    target: ObjectId,
    *,
    permission: str | None = None,
) -> Organization:
    """Claim the request's idempotency key for a change of the organization, and check again that it
    is active and that the ``permission`` still holds, which may have been revoked since the request
    began; the organization as it is now.

    Raises DuplicateRequest; NotFound where the organization is no longer active or the account no
    longer a member; Forbidden where the member's role no longer allows it.
    """
    claim_key(context, access.organization.id, kind, target)
    organization = Organization.objects(
        id=access.organization.id, state=OrganizationState.ACTIVE
    ).first()
    if organization is None:
        raise NotFound(str(access.organization.id))
    if permission and context.account:
        own = Membership.objects(organization=organization.id, account=context.account).first()
        if own is None:
            raise NotFound(access.slug)
        if permission not in ROLES[own.role]:
            raise errors.Forbidden(permission, organization.id, own.role, organization.slug)
    return organization


def check_may_replay(
    organization_id: ObjectId, principal: AccountPrincipal | OrganizationKey | ProvisioningPrincipal
) -> None:
    """Raise NotFound unless the principal, who changed the organization before, may still see it: a
    member, an owner until its purge, an API key of it, or a provisioning key;
    SecondFactorRequired where the account is locked out."""
    if isinstance(principal, ProvisioningPrincipal):
        return
    if isinstance(principal, OrganizationKey):
        if principal.organization_id != organization_id:
            raise NotFound(str(organization_id))
        return
    account_id = principal.account_id
    member = Membership.objects(organization=organization_id, account=account_id).first()
    if not member and not Organization.objects(id=organization_id, owners=account_id).first():
        raise NotFound(str(organization_id))
    _check_second_factor(organization_id, account_id)


def slug_for_member(organization_id: ObjectId, account_id: ObjectId | None) -> str | None:
    """The current slug of an active organization, for a member of it; else ``None``."""
    if not Membership.objects(organization=organization_id, account=account_id).first():
        return None
    active = Organization.objects(id=organization_id, state=OrganizationState.ACTIVE)
    organization = active.only("slug").first()
    return organization and organization.slug


def _check_second_factor(organization_id: ObjectId, account_id: ObjectId) -> None:
    existing = Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED)
    for found in existing.aggregate(with_mfa_lockout(account_id)):
        if found["locked_out"]:
            raise errors.SecondFactorRequired(found["name"])


def _by_member(slug: str, account_id: ObjectId) -> list[dict[str, Any]]:
    own = [{"$match": {"account": account_id}}]
    return [
        *_from_slug(slug, with_mfa_lockout(account_id)),
        join(Membership, "organization._id", "organization", "membership", own),
        {"$unwind": "$membership"},
        {"$project": {"organization": 1, "role": "$membership.role"}},
    ]


def _by_key(slug: str, key: OrganizationKey) -> list[dict[str, Any]]:
    return [*_from_slug(slug, []), {"$match": {"organization._id": key.organization_id}}]


def _from_slug(slug: str, stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    active = [{"$match": {"state": OrganizationState.ACTIVE}}, *stages]
    return [
        {"$match": {"_id": slug, "state": {"$in": [SlugState.CURRENT, SlugState.OLD]}}},
        join(Organization, "organization", "_id", "organization", active),
        {"$unwind": "$organization"},
    ]


def with_mfa_lockout(account_id: ObjectId) -> list[dict[str, Any]]:
    """The stages of an aggregation over organizations that set ``locked_out``: whether they already
    require a second factor and the account has none."""
    enrolled = {
        "from": Account._get_collection_name(),
        "as": "enrolled",
        # Uncorrelated, so the server looks it up once for all organizations.
        "pipeline": [
            {"$match": {"_id": account_id, "has_second_factor": True}},
            {"$project": {"_id": 1}},
        ],
    }
    begins = "$second_factor_from"
    begun = {"$and": [{"$gt": [begins, None]}, {"$lte": [begins, clock.now()]}]}
    return [
        {"$lookup": enrolled},
        {"$set": {"locked_out": {"$and": [begun, {"$eq": ["$enrolled", []]}]}}},
        {"$unset": "enrolled"},
    ]
