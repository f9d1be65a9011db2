"""Ownership: offered by an owner, and taken by the member who accepts."""

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.audit import Origin
from portal.documents.memberships import ADMIN, OWNER, Membership, OwnershipOffer
from portal.documents.organizations import Organization
from portal.errors import NotFound
from portal.mail import outbox
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import Access, active_organization, still_allowed
from portal.organizations.members.errors import AlreadyOffered, AlreadyOwner, OfferEnded
from portal.organizations.members.mails import OFFER_ENDED, OWNERSHIP_OFFERED
from portal.organizations.members.memberships import check_other_owner, count_change, membership_of
from portal.web import rate_limits
from portal.web.idempotency import claim_key

OFFER, WITHDRAW = "offer_ownership", "withdraw_offer"
ACCEPT, DECLINE = "accept_ownership", "decline_ownership"


def offer_ownership(
    access: Access, account_id: ObjectId, giver_stays: bool, origin: Origin
) -> Account:
    """Offer ownership to a member, from the owner who asks; whom it was offered to.

    Nothing changes until it is accepted, but for a mail that tells it. Unless the giver stays
    an owner they are an admin then. Raises TooManyTries, NotFound, Forbidden, AlreadyOwner,
    AlreadyOffered; then nothing was changed.
    """
    # Its end needs no count of its own: each offer ends once.
    rate_limits.count_try(rate_limits.MEMBER_CHANGES, str(access.organization.id))

    def body() -> Account:
        organization = _begin(access, OFFER, origin, account_id)
        if _owner(organization, origin.account) is None:
            raise Forbidden("owners.manage", organization.id, access.role, organization.slug)
        membership = membership_of(organization.id, account_id)
        account = Account.objects.get(id=account_id)
        if membership.role == OWNER:
            raise AlreadyOwner(account.email)
        if membership.offer:
            raise AlreadyOffered(account.email)
        offer = OwnershipOffer(giver=origin.account, giver_stays=giver_stays, at=clock.now())
        Membership.objects(id=membership.id).update_one(set__offer=offer)
        _record(organization, "ownership.offered", origin, account)
        outbox.put(
            OWNERSHIP_OFFERED,
            account.email,
            organization=organization.id,
            account=account.id,
            offer=offer.id,
        )
        return account

    return transaction(body)


def withdraw_offer(access: Access, account_id: ObjectId, origin: Origin) -> Account:
    """Take an offer back, whichever owner made it; whom it was made to. Raises NotFound,
    OfferEnded; then nothing was changed."""

    def body() -> Account:
        _begin(access, WITHDRAW, origin, account_id)
        organization = still_allowed(access, origin, "owners.manage")
        membership = membership_of(organization.id, account_id)
        if membership.offer is None:
            raise OfferEnded(organization.name, organization.slug)
        return _end_offer(organization, membership, "ownership.withdrawn", origin)

    return transaction(body)


def accept_ownership(access: Access, offer_id: str, origin: Origin) -> Organization:
    """Make who asks an owner by the offer that they saw, and the giver an admin unless they stay
    one; the organization. Raises OfferEnded; then nothing was changed."""

    def body() -> Organization:
        organization = _begin(access, ACCEPT, origin, origin.account)
        membership = _offered(organization, offer_id, origin.account)
        offer = membership.offer
        if _owner(organization, offer.giver) is None:
            raise OfferEnded(organization.name, organization.slug)
        before = membership.role
        Membership.objects(id=membership.id).update_one(set__role=OWNER, unset__offer=True)
        count_change(origin.account)
        giver = count_change(offer.giver)
        _record(organization, "ownership.accepted", origin, giver, role_before=before, role=OWNER)
        if not offer.giver_stays:
            _step_down(organization, giver, origin)
        return organization

    return transaction(body)


def decline_ownership(access: Access, offer_id: str, origin: Origin) -> Organization:
    """Refuse an offer; the organization. Raises OfferEnded; then nothing was changed."""

    def body() -> Organization:
        organization = _begin(access, DECLINE, origin, origin.account)
        membership = _offered(organization, offer_id, origin.account)
        Membership.objects(id=membership.id).update_one(unset__offer=True)
        giver = Account.objects(id=membership.offer.giver).first()
        _record(organization, "ownership.declined", origin, giver)
        return organization

    return transaction(body)


def end_ownership(organization: Organization, account_id: ObjectId, origin: Origin) -> None:
    """Do what belongs to the end of the account's ownership, in the caller's transaction: what it
    offered ends with it. Raises LastOwner."""
    check_other_owner(organization, account_id)
    lapse_offers(organization, account_id, origin)


def lapse_offers(organization: Organization, account_id: ObjectId, origin: Origin) -> None:
    """End what the account offered, in the caller's transaction."""
    for offered in Membership.objects(organization=organization.id, offer__giver=account_id):
        _end_offer(organization, offered, "ownership.lapsed", origin)


def offer_to(access: Access, account_id: ObjectId) -> tuple[OwnershipOffer, str]:
    """The offer that the account has, and its giver's address. Raises OfferEnded where it has
    none."""
    organization = access.organization
    membership = membership_of(organization.id, account_id)
    giver = membership.offer and Account.objects(id=membership.offer.giver).first()
    if giver is None:
        raise OfferEnded(organization.name, organization.slug)
    return membership.offer, giver.email


def _begin(access: Access, kind: str, origin: Origin, account_id: ObjectId) -> Organization:
    claim_key(origin.key, origin.request_id, access.organization.id, kind, account_id)
    return active_organization(access.organization.id)


def _owner(organization: Organization, account_id: ObjectId | None) -> Membership | None:
    return Membership.objects(organization=organization.id, account=account_id, role=OWNER).first()


def _offered(organization: Organization, offer_id: str, account_id: ObjectId) -> Membership:
    membership = Membership.objects(organization=organization.id, account=account_id).first()
    offer = membership and membership.offer
    if offer is None or str(offer.id) != offer_id:
        raise OfferEnded(organization.name, organization.slug)
    return membership


def _step_down(organization: Organization, giver: Account, origin: Origin) -> None:
    end_ownership(organization, giver.id, origin)
    Membership.objects(organization=organization.id, account=giver.id).update_one(set__role=ADMIN)
    _record(organization, "member.role_changed", origin, giver, role_before=OWNER, role=ADMIN)


def _end_offer(
    organization: Organization, membership: Membership, action: str, origin: Origin
) -> Account:
    account = Account.objects(id=membership.account).first()
    if account is None:
        raise NotFound(str(membership.account))
    Membership.objects(id=membership.id).update_one(unset__offer=True)
    _record(organization, action, origin, account)
    outbox.put(OFFER_ENDED, account.email, organization=organization.id, account=account.id)
    return account


def _record(
    organization: Organization,
    action: str,
    origin: Origin,
    target: Account | None,
    **details: str,
) -> None:
    record(
        organization,
        action,
        origin,
        target=target.id if target else None,
        target_email=target.email if target else None,
        **details,
    )
