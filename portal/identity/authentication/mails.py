"""Mails that warn an account's owner of failed attempts."""

from typing import Any

from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.identity.authentication.attempts import FREE_TRIES, LONGEST_WAIT_MINUTES
from portal.mail.links import link
from portal.mail.outbox import MailKind


def _about_passwords(mail: Mail) -> dict[str, Any] | None:
    account = Account.objects(id=mail.ids["account"]).only("email").first()
    if account is None:
        return None
    return {
        "email": account.email,
        "times": FREE_TRIES,
        "longest": LONGEST_WAIT_MINUTES,
        "at": mail.created_at,
        "address": mail.ids["address"],
        "link": link("authentication.log_in"),
    }


def _about_codes(mail: Mail) -> dict[str, Any] | None:
    context = _about_passwords(mail)
    return context and {**context, "link": link("account.change_password")}


WRONG_PASSWORDS = MailKind("wrong_passwords", "Wrong passwords for your account", _about_passwords)
WRONG_CODES = MailKind("wrong_codes", "Wrong codes for your account", _about_codes)

KINDS = (WRONG_PASSWORDS, WRONG_CODES)
