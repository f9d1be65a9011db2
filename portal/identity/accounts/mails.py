"""Mails about accounts."""

from datetime import timedelta
from typing import Any

from portal.documents.accounts import Account, Recovery
from portal.documents.mails import Mail
from portal.email_addresses import parse_email
from portal.errors import Action
from portal.mail import links
from portal.mail.links import LinkPurpose, link
from portal.mail.outbox import MailKind

_ANOTHER = "Ask for another link"
VERIFY = LinkPurpose("verify an address", timedelta(hours=24), Action(_ANOTHER, "account.profile"))
CHANGE = LinkPurpose(
    "change an address", timedelta(hours=24), Action(_ANOTHER, "account.change_address")
)
RECOVER = LinkPurpose(
    "recover a password", timedelta(minutes=30), Action(_ANOTHER, "accounts.forgot")
)


def _to_verify(mail: Mail) -> dict[str, Any] | None:
    account = Account.objects(id=mail.ids["account"], email=mail.to, verified_at=None).first()
    if account is None:
        return None
    token = links.sign_token(VERIFY, {"account": str(account.id), "address": account.email_key})
    return {"link": link("accounts.verify", token=token)}


def _to_confirm(mail: Mail) -> dict[str, Any] | None:
    """No mail where another account has the address: neither learns of the other."""
    account = _requester(mail)
    taken = Account.objects(email_key=parse_email(mail.to).key).first()
    if account is None or taken:
        return None
    content = {
        "account": str(account.id),
        "address": mail.to,
        "generation": account.address_generation,
    }
    confirm = link("accounts.confirm_address", token=links.sign_token(CHANGE, content))
    return {"email": account.email, "link": confirm}


def _change_requested(mail: Mail) -> dict[str, Any] | None:
    if _requester(mail) is None:
        return None
    return {"new": mail.ids["new"], "link": link("account.change_password")}


def _requester(mail: Mail) -> Account | None:
    """The account, unless the request was superseded."""
    ids = mail.ids
    return Account.objects(id=ids["account"], address_generation=ids["generation"]).first()


def _changed(mail: Mail) -> dict[str, Any] | None:
    return {"new": mail.ids["new"], "is_new": mail.to == mail.ids["new"]}


def _password_changed(mail: Mail) -> dict[str, Any] | None:
    return {
        "email": mail.to,
        "at": mail.created_at,
        "address": mail.ids["address"],
        "link": link("accounts.forgot"),
    }


def _to_recover(mail: Mail) -> dict[str, Any] | None:
    """No mail where no account has the address, or the request was too early or superseded."""
    account = Account.objects(email_key=mail.ids["key"], email=mail.to).first()
    latest = Recovery.objects(id=Recovery.id_of(mail.ids["key"]), request=mail.ids["request"])
    if account is None or not latest.first():
        return None
    content = {"account": str(account.id), "request": str(mail.ids["request"])}
    return {
        "email": account.email,
        "address": mail.ids["address"],
        "link": link("accounts.recover", token=links.sign_token(RECOVER, content)),
    }


def _blocked(mail: Mail) -> dict[str, Any] | None:
    return {"email": mail.to, "at": mail.created_at, "link": link("authentication.log_in")}


def _closed(mail: Mail) -> dict[str, Any] | None:
    return {"email": mail.to, "at": mail.created_at}


VERIFY_ADDRESS = MailKind("verify_address", "Verify your e-mail address", _to_verify, awaited=True)
CONFIRM_ADDRESS = MailKind(
    "confirm_address", "Confirm your new e-mail address", _to_confirm, awaited=True
)
ADDRESS_ASKED = MailKind(
    "address_asked", "Your account is to get another e-mail address", _change_requested
)
ADDRESS_CHANGED = MailKind("address_changed", "Your account has another e-mail address", _changed)
PASSWORD_CHANGED = MailKind("password_changed", "Your password was changed", _password_changed)
RECOVER_PASSWORD = MailKind("recover_password", "Choose a new password", _to_recover, awaited=True)
ACCOUNT_BLOCKED = MailKind("account_blocked", "Your account is blocked", _blocked)
ACCOUNT_UNBLOCKED = MailKind("account_unblocked", "Your account is no longer blocked", _blocked)
ACCOUNT_CLOSED = MailKind("account_closed", "Your account is closed", _closed)

KINDS = (
    VERIFY_ADDRESS,
    CONFIRM_ADDRESS,
    ADDRESS_ASKED,
    ADDRESS_CHANGED,
    PASSWORD_CHANGED,
    RECOVER_PASSWORD,
    ACCOUNT_BLOCKED,
    ACCOUNT_UNBLOCKED,
    ACCOUNT_CLOSED,
)
