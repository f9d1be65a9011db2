"""Reauthentication within a session."""

from collections.abc import Callable

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.sessions import Factor
from portal.identity.authentication.codes import guarded_code, use_code
from portal.identity.authentication.credentials import verify_current_password
from portal.identity.second_factors import challenges, passkeys
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal
from portal.web.context import RequestContext


def reauthenticate_with_password(
    principal: AccountPrincipal, password: str, context: RequestContext
) -> None:
    """Raises WrongPassword, TooManyAttempts, Overloaded."""
    verify_current_password(Account.objects.get(id=principal.account_id), password, context)
    _reauthenticate(principal, lambda _: Factor.PASSWORD, context)


def reauthenticate_with_code(
    principal: AccountPrincipal, typed: str, context: RequestContext
) -> None:
    """Raises WrongCode, TooManyAttempts."""
    with guarded_code(Account.objects.get(id=principal.account_id), context):
        _reauthenticate(principal, lambda account: use_code(account, typed, context), context)


def reauthenticate_with_passkey(
    principal: AccountPrincipal, credential: str, context: RequestContext
) -> None:
    """Raises PasskeyRefused."""
    assertion = passkeys.check(
        credential, challenges.CONFIRM, str(principal.session), principal.account_id
    )
    _reauthenticate(principal, lambda _: passkeys.use(assertion), context)


@transactional
def _reauthenticate(
    principal: AccountPrincipal, use: Callable[[Account], Factor], context: RequestContext
) -> None:
    account = Account.objects.get(id=principal.account_id)
    record(account, "account.confirmed", context.origin, factor=use(account))
    sessions.sessions_with_id(principal.session_id).update_one(set__authenticated_at=clock.now())
