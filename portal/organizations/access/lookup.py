"""Authorization: the only way from a principal to an organization.

A principal is an account by a session, an organization's API key, or an operator by a support
grant of the organization, whatever their account is a member of. Views get an organization only
from here, so nothing reaches another organization's data.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from bson import ObjectId
from mongoengine import Document

from portal import clock
from portal.database.paging import join
from portal.database.transactions import within_transaction
from portal.display_names import InvalidName, clean_words, comparable
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import (
    SLUG,
    Organization,
    OrganizationState,
    Restriction,
    Slug,
    SlugState,
)
from portal.documents.restrictions import Suspension
from portal.errors import NotFound
from portal.identity.sessions.principals import (
    AccountPrincipal,
    OrganizationKey,
    ProvisioningPrincipal,
    SupportPrincipal,
)
from portal.organizations.access import errors
from portal.organizations.access.restrictions import (
    check_restriction,
    suspended,
    suspensions_of,
    withheld_permissions,
)
from portal.organizations.access.strategies import check_strategy
from portal.permissions import ALL, ROLES, WITHOUT_SECOND_FACTOR, of_member, of_support
from portal.web.acting_operator import acting_operator
from portal.web.context import OPERATOR, RequestContext
from portal.web.idempotency import claim_key

# The target of a rename leads to the organization only if it did before: an old slug of its own.
_LEADS = [
    {"state": {"$in": [SlugState.CURRENT, SlugState.OLD]}},
    {"state": SlugState.TARGET, "held_until": {"$exists": True}},
]
Entrant = AccountPrincipal | OrganizationKey | SupportPrincipal
"""A principal that may come to an organization."""

_BY_ID = re.compile(r"by-id/([0-9a-f]{24})")


@dataclass(frozen=True, slots=True)
class Access:
    """A principal's permissions in an organization, and the requested slug.

    A member has a ``role``; an API key may have permissions alone, as an operator has by a support
    grant. While the organization is read-only by its ``suspensions``, some are ``withheld``.
    ``along`` is what a page had read with it.
    """

    organization: Organization
    role: Role | None
    slug: str
    permissions: frozenset[str]
    along: Mapping[str, Any] = field(default_factory=dict, repr=False)
    withheld: frozenset[str] = frozenset()
    suspensions: tuple[Suspension, ...] = ()

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
        """Raise Forbidden unless the principal has the permission, OrganizationReadOnly where it is
        withheld from everybody."""
        if permission in self.withheld:
            raise suspended(self.organization)
        if not self.can(permission):
            raise errors.Forbidden(permission, self.organization.id, self.role, self.slug)

    def require_all(self, permissions: frozenset[str]) -> None:
        """Raise Forbidden or OrganizationReadOnly unless the principal has all of these
        permissions."""
        beyond = permissions - self.permissions
        if beyond:
            self.require(min(beyond))


def access_to(
    slug: str,
    principal: Entrant,
    permission: str | None = None,
    *,
    read: list[dict[str, Any]] | None = None,
    joins: Sequence[dict[str, Any]] = (),
) -> Access:
    """The principal's access to the organization with this slug, current or old; one read, or none
    where the result of ``stages_along`` was ``read`` with the session.

    Raises NotFound alike where there is no such organization, where it is in the trash, and where
    the principal doesn't belong to it; SecondFactorRequired where the account is locked out, unless
    the ``permission`` is to leave; GrantOver where the operator's grant is; Forbidden without the
    ``permission``; UnknownStrategy where only a newer version can reach its documents.
    """
    if read is None or isinstance(principal, OrganizationKey | SupportPrincipal):
        read = _read_access({"_id": slug, "$or": _LEADS}, principal, joins)
    found = next(iter(read), None)
    if found is None:
        raise NotFound(slug)
    return _access(found, slug, principal, permission)


def access_by_id(
    organization_id: ObjectId,
    principal: Entrant,
    permission: str | None = None,
) -> Access:
    """The principal's access to the organization with this id; otherwise like ``access_to``.

    For members, and former owners of a purged one, it raises OrganizationTrashed or
    OrganizationPurged where that is the reason.
    """
    current = {"organization": organization_id, "state": SlugState.CURRENT}
    found = next(iter(_read_access(current, principal)), None)
    if found is None:
        organization = visible_in_any_state(organization_id, principal)
        if organization.state == OrganizationState.PURGED:
            raise errors.OrganizationPurged(organization.name, organization.purged_at)
        if organization.state == OrganizationState.TRASHED:
            raise errors.OrganizationTrashed(organization.name)
        return access_to(organization.slug, principal, permission)  # restored just now
    return _access(found, found["_id"], principal, permission)


def visible_in_any_state(organization_id: ObjectId, principal: Entrant) -> Organization:
    """The organization, active, trashed or purged, for its members and keys, and for who owned it
    when it was purged. Raises NotFound, SecondFactorRequired, Forbidden."""
    if isinstance(principal, OrganizationKey) and "organization.view" not in principal.permissions:
        raise errors.Forbidden("organization.view", organization_id)
    check_may_replay(organization_id, principal)
    organization = Organization.objects(id=organization_id).first()
    if organization is None:
        raise NotFound(str(organization_id))
    check_strategy(organization)
    return organization


def _access(
    found: dict[str, Any],
    slug: str,
    principal: Entrant,
    permission: str | None,
) -> Access:
    """The access that was ``found`` by ``_read_access``. Raises SecondFactorRequired, Forbidden,
    UnknownStrategy."""
    organization = Organization._from_son(found["organization"])
    structlog.contextvars.bind_contextvars(organization=str(organization.id))
    if organization.restricted == Restriction.HIDDEN:
        raise NotFound(slug)
    if isinstance(principal, OrganizationKey):
        role = Role(principal.role) if principal.role else None
        access = Access(organization, role, slug, principal.permissions)
    elif isinstance(principal, SupportPrincipal):
        allowed = of_support(with_documents=principal.with_documents)
        access = Access(organization, None, slug, allowed, found)
    else:
        role = Role(found["role"])
        access = Access(organization, role, slug, _permissions(role, organization), found)
    if found["organization"].get("locked_out"):
        access = replace(access, permissions=access.permissions & WITHOUT_SECOND_FACTOR)
        if permission not in access.permissions:
            raise errors.SecondFactorRequired(organization.name, organization.slug)
    access = _while_suspended(access, permission)
    if permission:
        access.require(permission)
    check_strategy(organization)
    return access


def _while_suspended(access: Access, permission: str | None) -> Access:
    """The access that is left while the organization is suspended. Raises what
    ``check_restriction`` raises where it can't be seen."""
    organization = access.organization
    if organization.restricted is None:
        return access
    withheld = withheld_permissions(organization.restricted)
    if permission not in access.permissions - withheld:
        check_restriction(organization, None)
    return replace(
        access,
        permissions=access.permissions - withheld,
        withheld=access.permissions & withheld,
        suspensions=suspensions_of(organization),
    )


def stages_along(slug: str, joins: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """The stages that find, along with an account's session, what ``access_to`` reads. ``joins``
    add to a member's access from ``organization``."""
    pipeline = [
        *_from_slug({"_id": slug, "$or": _LEADS}, [locked_out("$$enrolled")]),
        *_with_membership([{"$match": {"$expr": {"$eq": ["$account", "$$account"]}}}]),
        *joins,
    ]
    return [along(Slug, pipeline)]


def along(
    document: type[Document], pipeline: list[dict[str, Any]], **fields: str
) -> dict[str, Any]:
    """A ``$lookup`` of what is read along with a session. ``$$account`` is the account's id in its
    ``pipeline``, ``$$enrolled`` whether it has a second factor."""
    return {
        "$lookup": {
            "from": document._get_collection_name(),
            "let": {"account": "$account._id", "enrolled": "$account.has_second_factor"},
            "pipeline": pipeline,
            "as": "along",
            **fields,
        }
    }


def access_by_name(
    text: str,
    principal: Entrant,
    permission: str,
    *,
    read: list[dict[str, Any]] | None = None,
) -> Access:
    """The principal's access to the organization with this slug; else to its organization with this
    name, compared without case, or with this name before it was renamed; or by ``by-id/`` and its
    id.

    Raises AmbiguousName where several have the name; otherwise like ``access_to``, by an id like
    ``access_by_id``.
    """
    if by_id := _BY_ID.fullmatch(text):
        return access_by_id(ObjectId(by_id[1]), principal, permission)
    if SLUG.fullmatch(text):
        try:
            return access_to(text, principal, permission, read=read)
        except NotFound:
            return access_to(_slug_of_named(text, principal), principal, permission)
    return access_to(_slug_of_named(text, principal), principal, permission)


def _slug_of_named(text: str, principal: Entrant) -> str:
    """Never transcribes the name: another name may have the same slug."""
    try:
        wanted = comparable(clean_words(text))
    except InvalidName as error:
        raise NotFound(text) from error
    own = _organizations_of(principal)
    current = Organization.objects(
        id__in=own, state=OrganizationState.ACTIVE, restricted__ne=Restriction.HIDDEN
    )
    old = Slug.objects(organization__in=own, state=SlugState.OLD, name__exists=True)
    for named in (current.scalar("name", "slug"), old.scalar("name", "id")):
        slugs = sorted(slug for name, slug in named if comparable(name) == wanted)
        if len(slugs) > 1:
            raise errors.AmbiguousName(slugs)
        if slugs:
            return slugs[0]
    raise NotFound(text)


def _organizations_of(principal: Entrant) -> list[ObjectId]:
    if isinstance(principal, OrganizationKey | SupportPrincipal):
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
    if organization.restricted == Restriction.HIDDEN:
        raise NotFound(organization_id)
    _check_second_factor(organization.id, account_id)
    if organization.state == OrganizationState.ACTIVE:
        raise errors.NotInTrash(organization.name, organization.slug)
    check_strategy(organization)
    access = Access(organization, Role.OWNER, organization.slug, ROLES[Role.OWNER])
    return _while_suspended(access, "organization.restore")


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
    if (operator := acting_operator()) and operator.grant:
        raise errors.LooksOnly
    claim_key(context, access.organization.id, kind, target)
    organization = Organization.objects(
        id=access.organization.id, state=OrganizationState.ACTIVE
    ).first()
    if organization is None:
        raise NotFound(str(access.organization.id))
    if context.actor.kind != OPERATOR.kind:
        check_restriction(organization, permission)
    if permission and context.account:
        own = Membership.objects(organization=organization.id, account=context.account).first()
        if own is None:
            raise NotFound(access.slug)
        if permission not in _permissions(own.role, organization):
            raise errors.Forbidden(permission, organization.id, own.role, organization.slug)
    return organization


def check_may_replay(organization_id: ObjectId, principal: Entrant | ProvisioningPrincipal) -> None:
    """Raise NotFound unless the principal, who changed the organization before, may still see it: a
    member, an owner until its purge, an API key of it, or a provisioning key;
    SecondFactorRequired where the account is locked out; what ``check_restriction`` raises where
    nobody may, since it is suspended."""
    if isinstance(principal, ProvisioningPrincipal):
        return
    organization = (
        Organization.objects(id=organization_id).only("name", "slug", "restricted").first()
    )
    if organization is not None:
        check_restriction(organization, None)
    if isinstance(principal, OrganizationKey | SupportPrincipal):
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
    active = Organization.objects(
        id=organization_id, state=OrganizationState.ACTIVE, restricted__ne=Restriction.HIDDEN
    )
    organization = active.only("slug").first()
    return organization and organization.slug


def _permissions(role: str, organization: Organization) -> frozenset[str]:
    allowed = bool(organization.viewers_read_documents)
    return of_member(role, viewers_read_documents=allowed)


def _check_second_factor(organization_id: ObjectId, account_id: ObjectId) -> None:
    existing = Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED)
    for found in existing.aggregate(with_mfa_lockout(account_id)):
        if found["locked_out"]:
            raise errors.SecondFactorRequired(found["name"])


def _read_access(
    slug: dict[str, Any], principal: Entrant, joins: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The organization that holds the matching ``slug``, if the principal belongs to it."""
    if isinstance(principal, SupportPrincipal) and principal.over:
        raise errors.GrantOver
    if isinstance(principal, OrganizationKey | SupportPrincipal):
        own = {"$match": {"organization._id": principal.organization_id}}
        pipeline = [*_from_slug(slug, []), own, *joins]
    else:
        account = principal.account_id
        pipeline = [
            *_from_slug(slug, with_mfa_lockout(account)),
            *_with_membership([{"$match": {"account": account}}]),
            *joins,
        ]
    return list(Slug._get_collection().aggregate(pipeline))


def _with_membership(own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        join(Membership, "organization._id", "organization", "membership", own),
        {"$unwind": "$membership"},
        {"$project": {"organization": 1, "role": "$membership.role"}},
    ]


def _from_slug(slug: dict[str, Any], stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    active = [{"$match": {"state": OrganizationState.ACTIVE}}, *stages]
    return [
        {"$match": slug},
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
    return [{"$lookup": enrolled}, locked_out({"$ne": ["$enrolled", []]}), {"$unset": "enrolled"}]


def locked_out(enrolled: Any) -> dict[str, Any]:
    """The stage that sets ``locked_out`` for an account that is ``enrolled``, or isn't."""
    begins = "$second_factor_from"
    begun = {"$and": [{"$gt": [begins, None]}, {"$lte": [begins, clock.now()]}]}
    return {"$set": {"locked_out": {"$and": [begun, {"$not": [enrolled]}]}}}
