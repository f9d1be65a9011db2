"""Mails to operators."""

from typing import Any

from portal.documents.accounts import Account
from portal.documents.mails import Mail
from portal.mail.links import link
from portal.mail.outbox import MailKind


def _changed(mail: Mail) -> dict[str, Any] | None:
    account = Account.objects(id=mail.ids["account"], closed_at=None).only("email").first()
    if account is None:
        return None
    return {
        "email": account.email,
        "role": mail.ids["role"],
        "own": account.email == mail.to,
        "at": mail.created_at,
        "link": link("operators.show_all"),
    }


OPERATOR_CHANGED = MailKind(
    "operator_changed", "Who may use the operators’ console was changed", _changed
)

KINDS = (OPERATOR_CHANGED,)
