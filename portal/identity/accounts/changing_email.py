"""Changing the address of an account: when who asks shows that they read what is sent to it."""

from dataclasses import dataclass

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.email_addresses import parse_email
from portal.identity.accounts.changing_password import revoke_recovery_link
from portal.identity.accounts.errors import AddressTaken, AddressUnchanged
from portal.identity.accounts.mails import ADDRESS_ASKED, ADDRESS_CHANGED, CHANGE, CONFIRM_ADDRESS
from portal.identity.authentication.credentials import verify_current_password
from portal.identity.authentication.errors import WrongPassword
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext


@dataclass(frozen=True, slots=True)
class EmailChange:
    """A change of address that waits for its confirmation."""

    account: Account
    email: str
    key: str
    generation: int


def request_email_change(
    account_id: ObjectId, email: str, password: str, context: RequestContext
) -> Account:
    """Have a link mailed to the new address that changes the account's to it, and tell the old one.

    Whether another account has the new address is told to nobody: to that no link is sent.
    Raises InvalidEmail, AddressUnchanged, WrongPassword, TooManyAttempts, Overloaded.
    """
    account = Account.objects.get(id=account_id)
    address = parse_email(email)
    if address.key == account.email_key:
        raise AddressUnchanged(account.email)
    verify_current_password(account, password, context)
    rate_limits.count_try(rate_limits.ADDRESS_MAILS, str(account.id))
    rate_limits.count_try(rate_limits.ADDRESS_MAILS, address.key)  # whoever's accounts ask for it

    def body() -> Account:
        asked = Account.objects(id=account.id, password_hash=account.password_hash).modify(
            new=True, inc__address_generation=1
        )
        if asked is None:
            raise WrongPassword
        about = {"account": asked.id, "generation": asked.address_generation}
        outbox.enqueue(CONFIRM_ADDRESS, address.shown, **about)
        outbox.enqueue(ADDRESS_ASKED, asked.email, new=address.shown, **about)
        record(
            asked,
            "account.address_asked",
            context.origin,
            target=asked.id,
            target_email=address.shown,
        )
        return asked

    return transaction(body)


def find_email_change(token: str) -> EmailChange:
    """What the link with this ``token`` changes. Raises InvalidLink where it was used, is not the
    newest, or is from before the account's password changed."""
    content = links.read(CHANGE, token)
    account = Account.objects(
        id=content["account"], address_generation=content["generation"], closed_at=None
    ).first()
    if account is None:
        raise InvalidLink(CHANGE.ask_again)
    address = parse_email(content["address"])
    return EmailChange(account, address.shown, address.key, content["generation"])


def confirm_email_change(token: str, password: str, context: RequestContext) -> Account:
    """Change the address by the link that was mailed to the new one; sessions go on.

    The account's ``password`` is asked for: the link may have come to somebody who asked for
    nothing, and would give their address to another's account. Raises InvalidLink, WrongPassword,
    AddressTaken where another account has the address by now, TooManyAttempts, Overloaded.
    """
    change = find_email_change(token)
    account = change.account
    rate_limits.count_try(
        rate_limits.LOGIN_PER_NETWORK, rate_limits.network_of(context.ip_address)
    )  # it hashes
    verify_current_password(account, password, context)
    by_account = context.acting_as(AuditActor(account.id, account.email, context.session))

    def body() -> Account:
        before = Account.objects(
            id=account.id,
            address_generation=change.generation,
            password_hash=account.password_hash,
        )
        try:
            changed = before.modify(
                new=True,
                set__email=change.email,
                set__email_key=change.key,
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
            by_account.origin,
            target=changed.id,
            target_email=changed.email,
        )
        for to in (account.email, changed.email):
            outbox.enqueue(ADDRESS_CHANGED, to, account=changed.id, new=changed.email)
        return changed

    return transaction(body)
