"""Changing an account's address: confirmed by a link that is mailed to the new one."""

from dataclasses import dataclass

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.email_addresses import parse_email
from portal.identity.accounts.changing_password import revoke_recovery_link
from portal.identity.accounts.errors import AddressTaken, AddressUnchanged
from portal.identity.accounts.mails import ADDRESS_ASKED, ADDRESS_CHANGED, CHANGE, CONFIRM_ADDRESS
from portal.identity.authentication.attempts import limit_network
from portal.identity.authentication.credentials import verify_current_password
from portal.identity.authentication.errors import WrongPassword
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext


@dataclass(frozen=True, slots=True)
class EmailChange:
    """A pending change of address. It ends when the account's ``generation`` is another."""

    account: Account
    email: str
    email_key: str
    generation: int


def request_email_change(
    account_id: ObjectId, email: str, password: str, context: RequestContext
) -> Account:
    """Mail a link to the new address that changes the account's to it, and notify the old one.

    Whether another account has the new address is not disclosed: then no link is sent.
    Raises InvalidEmail, AddressUnchanged, WrongPassword, TooManyAttempts, Overloaded.
    """
    account = Account.objects.get(id=account_id)
    address = parse_email(email)
    if address.key == account.email_key:
        raise AddressUnchanged(account.email)
    verify_current_password(account, password, context)
    rate_limits.count_attempt(rate_limits.ADDRESS_MAILS, str(account.id))
    rate_limits.count_attempt(rate_limits.ADDRESS_MAILS, address.key)  # over all accounts

    return _request(account, address.shown, context)


@transactional
def _request(account: Account, email: str, context: RequestContext) -> Account:
    requested = Account.objects(id=account.id, password_hash=account.password_hash).modify(
        new=True, inc__address_generation=1
    )
    if requested is None:
        raise WrongPassword
    ids = {"account": requested.id, "generation": requested.address_generation}
    outbox.enqueue(CONFIRM_ADDRESS, email, **ids)
    outbox.enqueue(ADDRESS_ASKED, requested.email, new=email, **ids)
    record(
        requested,
        "account.address_asked",
        context.origin,
        target=requested.id,
        target_email=email,
    )
    return requested


def find_email_change(token: str) -> EmailChange:
    """The change that the link with this ``token`` confirms. Raises InvalidLink for one that was
    used, is not the newest, or precedes the last change of password."""
    content = links.read_token(CHANGE, token)
    account = Account.objects(
        id=content["account"], address_generation=content["generation"], closed_at=None
    ).first()
    if account is None:
        raise InvalidLink(CHANGE.ask_again)
    address = parse_email(content["address"])
    return EmailChange(account, address.shown, address.key, content["generation"])


def confirm_email_change(token: str, password: str, context: RequestContext) -> Account:
    """Change the address by the link that was mailed to the new one; sessions stay open.

    This takes the account's ``password``: the owner of a mistyped address could otherwise give it
    to another's account. Raises InvalidLink, WrongPassword, AddressTaken where another account
    already has the address, TooManyAttempts, Overloaded.
    """
    change = find_email_change(token)
    account = change.account
    limit_network(context)
    verify_current_password(account, password, context)
    return _confirm(
        change, context.acting_as(AuditActor(account.id, account.email, context.session))
    )


@transactional
def _confirm(change: EmailChange, context: RequestContext) -> Account:
    account = change.account
    unchanged = Account.objects(
        id=account.id,
        address_generation=change.generation,
        password_hash=account.password_hash,
    )
    try:
        changed = unchanged.modify(
            new=True,
            set__email=change.email,
            set__email_key=change.email_key,
            set__verified_at=clock.now(),
            inc__address_generation=1,
        )
    except NotUniqueError as error:
        raise AddressTaken(change.email) from error
    if changed is None:
        raise InvalidLink(CHANGE.ask_again)
    revoke_recovery_link(account)
    record(
        changed,
        "account.address_changed",
        context.origin,
        target=changed.id,
        target_email=changed.email,
    )
    for to in (account.email, changed.email):
        outbox.enqueue(ADDRESS_CHANGED, to, account=changed.id, new=changed.email)
    return changed
