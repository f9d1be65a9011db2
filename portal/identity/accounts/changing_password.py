"""The password of an account: asked for again, and changed."""

from typing import Any

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
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
    """Change the password of who asks, who knows the ``current`` one.

    All sessions but theirs end, all tokens, and every link that was mailed before. Raises
    WrongPassword, WeakPassword (or SeveralErrors of them), TooManyAttempts, Overloaded.
    """
    account = Account.objects.get(id=principal.account_id)
    check_all(
        lambda: verify_current_password(account, current, context),
        lambda: passwords.check_password(password, account.email, account.name or ""),
    )
    password_hash = passwords.hash_password(password)

    def body() -> Account:
        changed = Account.objects(id=account.id, password_hash=account.password_hash).modify(
            new=True, **new_password(password_hash)
        )
        if changed is None:  # meanwhile, so what was typed isn't it any more
            raise WrongPassword
        revoke_recovery_link(changed)
        sessions.revoke_others(changed.id, principal.session_id)
        browsers.revoke_all_trust(changed.id)
        record(changed, "account.password_changed", context.origin)
        email_password_changed(changed, context)
        return changed

    return transaction(body)


def new_password(password_hash: str) -> dict[str, Any]:
    """What changes in an account together with its password."""
    return {
        "set__password_hash": password_hash,
        "set__password_changed_at": clock.now(),
        "inc__address_generation": 1,
    }


def revoke_recovery_link(account: Account) -> None:
    """End the links to choose a new password that were mailed, in the caller's transaction."""
    Recovery.objects(id=Recovery.id_of(account.email_key)).delete()


def email_password_changed(account: Account, context: RequestContext) -> None:
    """Mail to the account that its password was changed, in the caller's transaction."""
    outbox.enqueue(
        PASSWORD_CHANGED, account.email, account=account.id, address=context.ip_address or ""
    )
