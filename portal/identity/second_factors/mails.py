"""Mails about changes to a person's second factors."""

from datetime import timedelta
from typing import Any

from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.documents.second_factors import RecoveryCodes
from portal.mail.links import LinkPurpose, link, sign_token
from portal.mail.outbox import MailKind

# Longer than the reset waits: what a late click finds is told by the account.
KEEP_FACTORS = LinkPurpose("keep second factors", timedelta(days=3))


def _about_factors(mail: Mail) -> dict[str, Any] | None:
    account = Account.objects(id=mail.ids["account"]).only("email").first()
    if account is None:
        return None
    codes = RecoveryCodes.objects(id=account.id).first()
    return {
        "email": account.email,
        "what": mail.ids.get("what", ""),
        "at": mail.created_at,
        "codes_left": len(codes.hashes) if codes else 0,
        "link": link("factors.security"),
    }


def _reset_requested(mail: Mail) -> dict[str, Any] | None:
    """No mail once it was stopped or carried out."""
    request = mail.ids["request"]
    account = Account.objects(id=mail.ids["account"], factors_reset=request).first()
    if account is None:
        return None
    token = sign_token(KEEP_FACTORS, {"account": str(account.id), "request": str(request)})
    return {
        "email": account.email,
        "due": account.factors_reset_at,
        "link": link("accounts.keep_factors", token=token),
    }


FACTOR_ADDED = MailKind("factor_added", "A second factor was added to your account", _about_factors)
FACTOR_REMOVED = MailKind(
    "factor_removed", "A second factor was removed from your account", _about_factors
)
FACTORS_RESET = MailKind(
    "factors_reset", "Your account’s second factors were reset", _about_factors
)
FACTORS_RESET_REQUESTED = MailKind(
    "factors_reset_requested",
    "Your account’s second factors are to be reset",
    _reset_requested,
    awaited=True,
)
RECOVERY_CODES_MADE = MailKind(
    "recovery_codes_made", "Your account has new recovery codes", _about_factors
)
RECOVERY_CODE_USED = MailKind(
    "recovery_code_used", "A recovery code of your account was used", _about_factors
)

KINDS = (
    FACTOR_ADDED,
    FACTOR_REMOVED,
    FACTORS_RESET,
    FACTORS_RESET_REQUESTED,
    RECOVERY_CODES_MADE,
    RECOVERY_CODE_USED,
)
