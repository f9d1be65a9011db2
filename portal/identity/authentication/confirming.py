"""Confirming in a session that it is still the same person who logged in."""

from collections.abc import Callable

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.sessions import PASSWORD
from portal.identity.authentication.codes import guarded_code, use_code
from portal.identity.authentication.credentials import verify_current_password
from portal.identity.second_factors import challenges, passkeys
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import Principal
from portal.web.context import RequestContext


def confirm_with_password(principal: Principal, password: str, context: RequestContext) -> None:
    """Raises WrongPassword, TooManyTries, Overloaded."""
    verify_current_password(Account.objects.get(id=principal.account_id), password, context)
    _confirm(principal, lambda _: PASSWORD, context)


def confirm_with_code(principal: Principal, typed: str, context: RequestContext) -> None:
    """Raises WrongCode, TooManyTries."""
    with guarded_code(Account.objects.get(id=principal.account_id), context):
        _confirm(principal, lambda account: use_code(account, typed, context), context)


def confirm_with_passkey(principal: Principal, credential: str, context: RequestContext) -> None:
    """Raises PasskeyRefused."""
    signed = passkeys.check(
        credential, challenges.CONFIRM, str(principal.session), principal.account_id
    )
    _confirm(principal, lambda _: passkeys.use(signed), context)


def _confirm(principal: Principal, use: Callable[[Account], str], context: RequestContext) -> None:
    def body() -> None:
        account = Account.objects.get(id=principal.account_id)
        record(account, "account.confirmed", context.origin, factor=use(account))
        sessions.record_of(principal.session_id).update_one(set__authenticated_at=clock.now())

    transaction(body)
