"""Changing an account: its password, its address, confirmed by a mailed link, and its profile."""

from dataclasses import dataclass
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.display_names import InvalidName, clean_words
from portal.documents.accounts import Account, Recovery, Theme
from portal.email_addresses import parse_email
from portal.errors import NotFound, check_all
from portal.identity.accounts import mails
from portal.identity.accounts.errors import AddressTaken, AddressUnchanged, InvalidPersonName
from portal.identity.authentication import passwords
from portal.identity.authentication.attempts import limit_network
from portal.identity.authentication.credentials import verify_current_password
from portal.identity.authentication.errors import WrongPassword
from portal.identity.sessions import browsers, sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.mail import links, outbox
from portal.mail.errors import InvalidLink
from portal.mail.recipients import parse_recipient
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext
from portal.web.idempotency import claim_key

PASSWORD, ADDRESS, ADDRESS_REQUEST = "change_password", "change_address", "request_address"


def change_password(
    principal: AccountPrincipal, current: str, password: str, context: RequestContext
) -> Account:
    """Change the principal's password, from the ``current`` one. Revokes all sessions but the
    principal's, all tokens, and every link that was mailed before. Raises WrongPassword,
    WeakPassword (or SeveralErrors of them), TooManyAttempts, Overloaded."""
    account = Account.objects.get(id=principal.account_id)
    check_all(
        lambda: verify_current_password(account, current, context),
        lambda: passwords.check_password(password, account.email, account.name or ""),
    )
    password_hash = passwords.hash_password(password)
    return _change(account, password_hash, principal.session_id, context)


@transactional
def _change(
    account: Account, password_hash: str, session_id: str, context: RequestContext
) -> Account:
    claim_key(context, account.id, PASSWORD)
    changed = Account.objects(id=account.id, password_hash=account.password_hash).modify(
        new=True, **new_password(password_hash)
    )
    if changed is None:  # since it was verified, so the current one is wrong
        raise WrongPassword
    revoke_recovery_link(changed)
    sessions.revoke_others(changed.id, session_id)
    browsers.revoke_all_trust(changed.id)
    record(changed, "account.password_changed", context.origin)
    email_password_changed(changed, context)
    return changed


def new_password(password_hash: str) -> dict[str, Any]:
    """The update of an account that sets its password."""
    return {
        "set__password_hash": password_hash,
        "set__password_changed_at": clock.now(),
        "inc__address_generation": 1,
    }


@within_transaction
def revoke_recovery_link(account: Account) -> None:
    """Revoke the mailed link to choose a new password, if there is one."""
    Recovery.objects(id=Recovery.id_of(account.email_key)).delete()


@within_transaction
def email_password_changed(account: Account, context: RequestContext) -> None:
    """Notify the account of its changed password by mail."""
    outbox.enqueue(
        mails.PASSWORD_CHANGED, account.email, account=account.id, address=context.ip_address or ""
    )


@dataclass(frozen=True, slots=True)
class EmailChange:
    """A pending change of address. It ends when the account's ``generation`` is another."""

    account: Account
    email: str
    email_key: str
    email_by_domain: str
    generation: int


def request_email_change(
    account_id: ObjectId, email: str, password: str, context: RequestContext
) -> Account:
    """Mail a link to the new address that changes the account's to it, and notify the old one.
    Whether another account has the new address is not disclosed: then no link is sent. Raises
    InvalidEmail, AddressUnchanged, WrongPassword, TooManyAttempts, Overloaded."""
    account = Account.objects.get(id=account_id)
    address = parse_recipient(email)
    if address.key == account.email_key:
        raise AddressUnchanged(account.email)
    verify_current_password(account, password, context)
    rate_limits.count_attempt(rate_limits.ADDRESS_MAILS, str(account.id))
    rate_limits.count_attempt(rate_limits.ADDRESS_MAILS, address.key)  # over all accounts

    return _request(account, address.shown, context)


@transactional
def _request(account: Account, email: str, context: RequestContext) -> Account:
    claim_key(context, account.id, ADDRESS_REQUEST)
    requested = Account.objects(id=account.id, password_hash=account.password_hash).modify(
        new=True, inc__address_generation=1
    )
    if requested is None:
        raise WrongPassword
    ids = {"account": requested.id, "generation": requested.address_generation}
    outbox.enqueue(mails.CONFIRM_ADDRESS, email, **ids)
    outbox.enqueue(mails.ADDRESS_ASKED, requested.email, new=email, **ids)
    record(
        requested, "account.address_asked", context.origin, target=requested.id, target_email=email
    )
    return requested


def find_email_change(token: str) -> EmailChange:
    """The change that the link with this ``token`` confirms. Raises InvalidLink for one that was
    used, is not the newest, or precedes the last change of password."""
    content = links.read_token(mails.CHANGE, token)
    account = Account.objects(
        id=content["account"], address_generation=content["generation"], closed_at=None
    ).first()
    if account is None:
        raise InvalidLink(mails.CHANGE.ask_again)
    address = parse_email(content["address"])
    return EmailChange(
        account, address.shown, address.key, address.by_domain, content["generation"]
    )


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
    claim_key(context, account.id, ADDRESS)
    unchanged = Account.objects(
        id=account.id, address_generation=change.generation, password_hash=account.password_hash
    )
    try:
        changed = unchanged.modify(
            new=True,
            set__email=change.email,
            set__email_key=change.email_key,
            set__email_by_domain=change.email_by_domain,
            set__verified_at=clock.now(),
            set__unlisted=ObjectId(),
            inc__address_generation=1,
        )
    except NotUniqueError as error:
        raise AddressTaken(change.email) from error
    if changed is None:
        raise InvalidLink(mails.CHANGE.ask_again)
    revoke_recovery_link(account)
    record(
        changed,
        "account.address_changed",
        context.origin,
        target=changed.id,
        target_email=changed.email,
    )
    for to in (account.email, changed.email):
        outbox.enqueue(mails.ADDRESS_CHANGED, to, account=changed.id, new=changed.email)
    return changed


@transactional
def change_profile(
    account_id: ObjectId, name: str, time_zone: str, theme: Theme, context: RequestContext
) -> Account:
    """Change the name, which may be empty; the zone of displayed times, one of ``time_zones`` or
    empty for the browser's; and the theme. Raises InvalidPersonName."""
    profile = {"name": _clean(name), "time_zone": time_zone, "theme": theme}
    account = Account.objects(id=account_id, closed_at=None).first()
    if account is None:
        raise NotFound
    changed = [field for field, value in profile.items() if (account[field] or "") != value]
    if changed:
        Account.objects(id=account_id).update_one(
            **{f"set__{field}": profile[field] for field in changed}
        )
        record(account, "account.profile_changed", context.origin, fields=", ".join(changed))
    return account


@cache
def time_zones() -> tuple[str, ...]:
    """UTC, and the time zones named after places, such as ``Europe/Berlin``."""
    aliases = ("Etc/", "SystemV/", "US/", "posix/", "right/")
    places = {
        zone for zone in available_timezones() if "/" in zone and not zone.startswith(aliases)
    }
    return ("UTC", *sorted(places))


def _clean(name: str) -> str:
    if not name.strip():
        return ""
    try:
        return clean_words(name)
    except InvalidName as error:
        raise InvalidPersonName(error.reason) from error
