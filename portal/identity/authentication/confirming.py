"""Confirming in a session that it is still the same person who logged in."""

from collections.abc import Callable

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.audit import Origin
from portal.documents.sessions import PASSWORD
from portal.identity.authentication.codes import counted, use_code
from portal.identity.authentication.credentials import check_current
from portal.identity.second_factors import challenges, passkeys
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import Principal


def confirm_with_password(principal: Principal, password: str, origin: Origin) -> None:
    """Raises WrongPassword, TooManyTries, Overloaded."""
    check_current(Account.objects.get(id=principal.account_id), password, origin)
    _confirm(principal, lambda _: PASSWORD, origin)


def confirm_with_code(principal: Principal, typed: str, origin: Origin) -> None:
    """Raises WrongCode, TooManyTries."""
    with counted(Account.objects.get(id=principal.account_id), origin):
        _confirm(principal, lambda account: use_code(account, typed, origin), origin)


def confirm_with_passkey(principal: Principal, credential: str, origin: Origin) -> None:
    """Raises PasskeyRefused."""
    signed = passkeys.check(
        credential, challenges.CONFIRM, str(principal.session), principal.account_id
    )
    _confirm(principal, lambda _: passkeys.use(signed), origin)


def _confirm(principal: Principal, use: Callable[[Account], str], origin: Origin) -> None:
    def body() -> None:
        account = Account.objects.get(id=principal.account_id)
        record(account, "account.confirmed", origin, factor=use(account))
        sessions.record_of(principal.session_id).update_one(set__authenticated_at=clock.now())

    transaction(body)
