"""Changing the password of an account."""

from typing import Any

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account, Recovery
from portal.errors import check_all
from portal.identity.accounts.mails import PASSWORD_CHANGED
from portal.identity.authentication import passwords
from portal.identity.authentication.credentials import verify_current_password
from portal.identity.authentication.errors import WrongPassword
from portal.identity.sessions import browsers, sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.mail import outbox
from portal.web.context import RequestContext


def change_password(
    principal: AccountPrincipal, current: str, password: str, context: RequestContext
) -> Account:
    """Change the principal's password, from the ``current`` one.

    Revokes all sessions but the principal's, all tokens, and every link that was mailed before.
    Raises WrongPassword, WeakPassword (or SeveralErrors of them), TooManyAttempts, Overloaded.
    """
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
        PASSWORD_CHANGED, account.email, account=account.id, address=context.ip_address or ""
    )
