"""Ownership: offered by an owner, accepted or declined by a member."""

from bson import ObjectId

from portal import clock
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, OwnershipOffer, Role
from portal.documents.organizations import Organization, OrganizationState
from portal.errors import NotFound
from portal.identity.accounts.owning import without_other_owner
from portal.identity.sessions.principals import require_verified_address
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.access.owners import email_owners
from portal.organizations.members import errors, memberships
from portal.organizations.members.mails import OFFER_ENDED, OWNER_SET, OWNERSHIP_OFFERED
from portal.web import rate_limits
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

SET = "ownership_set"

OFFER, WITHDRAW = "offer_ownership", "withdraw_offer"
ACCEPT, DECLINE = "accept_ownership", "decline_ownership"


def offer_ownership(
    access: Access, account_id: ObjectId, giver_stays: bool, context: RequestContext
) -> Account:
    """Offer ownership to a member, on behalf of the calling owner; the recipient, who gets a mail.

    No role changes until it is accepted; then the giver becomes an admin, unless ``giver_stays``.
    Raises TooManyAttempts, NotFound, Forbidden, AlreadyOwner, AlreadyOffered.
    """
    # Ending offers needs no limit of its own: each ends once.
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))

    @transactional
    def write_offer() -> Account:
        organization = begin_change(access, context, OFFER, account_id)
        if _owner(organization, context.account) is None:
            raise Forbidden("owners.manage", organization.id, access.role, organization.slug)
        membership = memberships.membership_of(organization.id, account_id)
        account = Account.objects.get(id=account_id)
        if membership.role == Role.OWNER:
            raise errors.AlreadyOwner(account.email)
        if membership.offer:
            raise errors.AlreadyOffered(account.email)
        offer = OwnershipOffer(giver=context.account, giver_stays=giver_stays, at=clock.now())
        Membership.objects(id=membership.id).update_one(set__offer=offer)
        memberships.record_about(account, organization, "ownership.offered", context)
        memberships.mail_member(OWNERSHIP_OFFERED, account, organization, offer=offer.id)
        return account

    return write_offer()


@transactional
def withdraw_offer(access: Access, account_id: ObjectId, context: RequestContext) -> Account:
    """Withdraw an offer, whichever owner made it; its recipient. Raises NotFound, OfferEnded."""
    organization = begin_change(access, context, WITHDRAW, account_id, permission="owners.manage")
    membership = memberships.membership_of(organization.id, account_id)
    if membership.offer is None:
        raise errors.OfferEnded(organization.name, organization.slug)
    return _end_offer(organization, membership, "ownership.withdrawn", context)


@transactional
def accept_ownership(
    access: Access, account_id: ObjectId, offer_id: str, context: RequestContext
) -> Organization:
    """Accept the offer with this id: the account becomes an owner, and the giver an admin unless
    they stay one; the organization. Raises OfferEnded."""
    organization = begin_change(access, context, ACCEPT, account_id)
    membership = _offered(organization, offer_id, account_id)
    offer = membership.offer
    if _owner(organization, offer.giver) is None:
        raise errors.OfferEnded(organization.name, organization.slug)
    before = membership.role
    Membership.objects(id=membership.id).update_one(set__role=Role.OWNER, unset__offer=True)
    memberships.register_membership_change(account_id)
    giver = memberships.register_membership_change(offer.giver)
    roles = {"role_before": before, "role": Role.OWNER}
    memberships.record_about(giver, organization, "ownership.accepted", context, **roles)
    if not offer.giver_stays:
        end_ownership(organization, giver.id, context)
        givers = Membership.objects(organization=organization.id, account=giver.id)
        givers.update_one(set__role=Role.ADMIN)
        roles = {"role_before": Role.OWNER, "role": Role.ADMIN}
        memberships.record_about(giver, organization, "member.role_changed", context, **roles)
    return organization


@transactional
def decline_ownership(
    access: Access, account_id: ObjectId, offer_id: str, context: RequestContext
) -> Organization:
    """Decline the offer with this id; the organization. Raises OfferEnded."""
    organization = begin_change(access, context, DECLINE, account_id)
    membership = _offered(organization, offer_id, account_id)
    Membership.objects(id=membership.id).update_one(unset__offer=True)
    giver = Account.objects(id=membership.offer.giver).first()
    memberships.record_about(giver, organization, "ownership.declined", context)
    return organization


@transactional
def set_owner(
    organization_id: ObjectId, account_id: ObjectId, context: RequestContext
) -> Organization:
    """Make an account an owner without anybody's offer, a member or not; the organization, which
    may be in the trash. Other owners stay. All owners are notified.

    Raises NotFound, AddressNotVerified, BlockedOwner, AlreadyOwner, DuplicateRequest; then nothing
    was changed.
    """
    claim_key(context, organization_id, SET, account_id)
    existing = Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED)
    organization = existing.first()
    account = memberships.register_membership_change(account_id)
    if organization is None or account.closed_at:
        raise NotFound
    require_verified_address(account)
    if account.blocked_at:
        raise errors.BlockedOwner(account.email)
    before = Membership.objects(organization=organization.id, account=account_id).modify(
        upsert=True,
        set__role=Role.OWNER,
        set_on_insert__since=clock.now(),
        unset__offer=True,
    )
    if before and before.role == Role.OWNER:
        raise errors.AlreadyOwner(account.email)
    roles = {"role_before": before and before.role, "role": Role.OWNER}
    memberships.record_about(account, organization, "ownership.set", context, **roles)
    email_owners(OWNER_SET, organization, account=account_id)
    return organization


@within_transaction
def end_ownership(
    organization: Organization, account_id: ObjectId, context: RequestContext
) -> None:
    """Check that another owner remains who can log in, and end the account's offers. Raises
    LastOwner."""
    if without_other_owner([organization.id], account_id):
        raise errors.LastOwner(organization.name, organization.slug)
    lapse_offers(organization, account_id, context)


@within_transaction
def lapse_offers(organization: Organization, account_id: ObjectId, context: RequestContext) -> None:
    """End the account's open offers of ownership."""
    for offered in Membership.objects(organization=organization.id, offer__giver=account_id):
        _end_offer(organization, offered, "ownership.lapsed", context)


def offer_to(access: Access, account_id: ObjectId) -> tuple[OwnershipOffer, str]:
    """The account's open offer, and its giver's e-mail address. Raises OfferEnded without one."""
    organization = access.organization
    membership = memberships.membership_of(organization.id, account_id)
    giver = membership.offer and Account.objects(id=membership.offer.giver).first()
    if giver is None or giver.blocked_at:
        raise errors.OfferEnded(organization.name, organization.slug)
    return membership.offer, giver.email


def _owner(organization: Organization, account_id: ObjectId | None) -> Membership | None:
    """The membership of an owner, unless the account is blocked."""
    if Account.objects(id=account_id, blocked_at__ne=None).first():
        return None
    return Membership.objects(
        organization=organization.id, account=account_id, role=Role.OWNER
    ).first()


def _offered(organization: Organization, offer_id: str, account_id: ObjectId) -> Membership:
    membership = Membership.objects(organization=organization.id, account=account_id).first()
    offer = membership and membership.offer
    if offer is None or str(offer.id) != offer_id:
        raise errors.OfferEnded(organization.name, organization.slug)
    return membership


def _end_offer(
    organization: Organization, membership: Membership, action: str, context: RequestContext
) -> Account:
    account = Account.objects(id=membership.account).first()
    if account is None:
        raise NotFound(str(membership.account))
    Membership.objects(id=membership.id).update_one(unset__offer=True)
    memberships.record_about(account, organization, action, context)
    memberships.mail_member(OFFER_ENDED, account, organization)
    return account
