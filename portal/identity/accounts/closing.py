"""Closing an account: the person goes, what they did stays under a pseudonym."""

import structlog
from bson import ObjectId
from mongoengine.errors import MongoEngineException
from mongoengine.queryset.visitor import Q
from pymongo.errors import PyMongoError

from portal import clock, email_addresses
from portal.audit.trail import erase_person, record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.audit import Origin
from portal.documents.invitations import Invitation
from portal.documents.memberships import OWNER, Membership
from portal.documents.organizations import ACTIVE, TRASHED, Organization
from portal.documents.sign_ups import PendingSignUp
from portal.email_addresses import InvalidEmail
from portal.errors import check_all
from portal.identity.accounts.changing_password import forget_recovery
from portal.identity.accounts.errors import AddressNotConfirmed, SoleOwner
from portal.identity.accounts.mails import ACCOUNT_CLOSED
from portal.identity.authentication.credentials import check_current
from portal.identity.authentication.errors import WrongPassword
from portal.identity.second_factors import enrollment
from portal.identity.sessions import sessions
from portal.mail import outbox
from portal.organizations.lifecycle.engine import in_progress
from portal.organizations.members.ownership import lapse_offers
from portal.organizations.members.withdrawing import withdraw_sent_by, withdraw_sent_to

log = structlog.get_logger()


def close_account(account_id: ObjectId, typed_email: str, password: str, origin: Origin) -> Account:
    """Close the account: it leaves its organizations, its sessions and tokens end, its address is
    free again, and nothing that names the person stays in it or in the audit trail.

    Raises AddressNotConfirmed, WrongPassword (or SeveralErrors of them); LastOwnerSomewhere where
    one of theirs, in the trash or not, would be without an owner; OperationInProgress where one of
    theirs is at work on what the person asked for; TooManyTries, Overloaded. Then nothing was
    changed.
    """
    account = Account.objects.get(id=account_id)
    check_all(
        lambda: _check_confirmed(typed_email, account),
        lambda: check_current(account, password, origin),
    )

    def body() -> Account:
        closed = _tombstone(account, [account.id, *_forget_invitations(account, origin)])
        sessions.close_all(account.id)
        forget_recovery(account)
        PendingSignUp.objects(email_key=account.email_key).delete()
        enrollment.forget_all(account.id)
        _leave_organizations(account, origin)
        record(closed, "account.closed", origin)
        outbox.put(ACCOUNT_CLOSED, account.email)
        return closed

    closed = transaction(body)
    try:
        _erase(closed)
    except (PyMongoError, MongoEngineException) as error:
        # Closed it is: the runner erases the rest.
        log.warning("account.erased_later", account=str(closed.id), error=str(error)[:300])
    return closed


def owned_alone(account_id: ObjectId) -> list[str]:
    """The organizations, in the trash or not, that have no owner but the account; by name."""
    owned = Membership.objects(account=account_id, role=OWNER).distinct("organization")
    alive = Organization.objects(id__in=owned, state__in=(ACTIVE, TRASHED))
    return sorted(one.name for one in alive if not _has_other_owner(one, account_id))


def erase_closed() -> int:
    """Erase from the audit trail the persons of closed accounts whose process died before that, or
    had no time for it; how many there were."""
    found = list(Account.objects(to_erase__exists=True))
    for closed in found:
        _erase(closed)
    return len(found)


def _erase(closed: Account) -> None:
    erase_person(closed.id, closed.to_erase)
    Account.objects(id=closed.id).update_one(unset__to_erase=True)


def _forget_invitations(account: Account, origin: Origin) -> list[ObjectId]:
    """Take the address out of all invitations that were ever sent to it, and end open ones;
    which."""
    withdraw_sent_to(account, origin)
    to_them = Invitation.objects(Q(account=account.id) | Q(email_key=account.email_key))
    ids = to_them.distinct("id")
    key = {"$concat": ["closed:", {"$toString": "$_id"}]}
    forgotten = [{"$set": {"email": "a closed account", "email_key": key}}]
    Invitation.objects(id__in=ids).update(__raw__=forgotten)
    return ids


def _check_confirmed(typed: str, account: Account) -> None:
    try:
        confirmed = email_addresses.parse_email(typed).key == account.email_key
    except InvalidEmail:
        confirmed = False
    if not confirmed:
        raise AddressNotConfirmed(account.email)


def _tombstone(account: Account, to_erase: list[ObjectId]) -> Account:
    found = Account.objects(
        id=account.id, email_key=account.email_key, password_hash=account.password_hash
    )
    personal = (
        "email",
        "verified_at",
        "password_hash",
        "password_changed_at",
        "name",
        "time_zone",
        "theme",
    )
    closed = found.modify(
        new=True,
        set__closed_at=clock.now(),
        # No address's key, so that the address is free; the index wants one that is nobody else's.
        set__email_key=f"closed:{account.id}",
        set__has_second_factor=False,
        set__to_erase=to_erase,
        inc__membership_changes=1,
        inc__address_generation=1,
        **{f"unset__{field}": True for field in personal},
    )
    if closed is None:  # changed meanwhile
        raise WrongPassword
    return closed


def _leave_organizations(account: Account, origin: Origin) -> None:
    """Each event writes its organization's head: so of two owners who leave at once one is last."""
    orphaned = owned_alone(account.id)
    if orphaned:
        raise SoleOwner(orphaned)
    memberships = {found.organization: found for found in Membership.objects(account=account.id)}
    organizations = list(Organization.objects(id__in=list(memberships)))
    running = Organization.objects(
        # The former is what the partial index holds. Their events would name the person.
        __raw__={
            "operation.lease_until": {"$exists": True},
            "operation.origin.account": account.id,
        }
    ).first()
    if running:
        raise in_progress(running)
    for organization in organizations:
        lapse_offers(organization, account.id, origin)
        withdraw_sent_by(account, organization, origin)
        role = memberships[organization.id].role
        record(organization, "member.left", origin, role_before=role)
    Membership.objects(account=account.id).delete()


def _has_other_owner(organization: Organization, account_id: ObjectId) -> bool:
    owners = Membership.objects(organization=organization.id, role=OWNER, account__ne=account_id)
    return owners.first() is not None
