"""Logging in and out."""

from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.audit import Origin
from portal.documents.sessions import PASSWORD, PROGRAM
from portal.identity.authentication import credentials, passwords, second_step
from portal.identity.authentication.codes import counted, use_code
from portal.identity.authentication.errors import SecondFactorCodeRequired, WrongCredentials
from portal.identity.second_factors.errors import WrongCode
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import Pending, Principal


def log_in(email: str, password: str, origin: Origin, user_agent: str) -> Principal | Pending:
    """Check the credentials and open a session for a browser; where it must bring a second factor
    too, open nothing but a log-in that waits for it.

    Raises what ``authentication.account_of`` does.
    """
    account = credentials.account_of(email, password, origin)
    rehashed = _rehashed(account, password)

    def body() -> Principal | Pending:
        return second_step.enter(_current(account, rehashed, origin), origin, user_agent)

    return transaction(body)


def log_in_program(
    email: str, password: str, code: str | None, origin: Origin, user_agent: str
) -> Principal:
    """Check the credentials and open a session for a program; otherwise like ``log_in``. Where the
    account has a second factor it takes a ``code``, of the app or a recovery code.

    Raises CodeRequired without it, WrongCode, TooManyTries. That the password was given without
    a right code is in the audit trail.
    """
    account = credentials.account_of(email, password, origin)
    rehashed = _rehashed(account, password)

    def body() -> Principal:
        current, factors = _current(account, rehashed, origin), [PASSWORD]
        if current.has_second_factor:
            if code is None:
                raise SecondFactorCodeRequired
            factors.append(use_code(current, code, origin))
        return sessions.log_in(current, origin, user_agent, PROGRAM, tuple(factors))

    try:
        if account.has_second_factor and code is not None:
            with counted(account, origin):
                return transaction(body)
        return transaction(body)
    except (SecondFactorCodeRequired, WrongCode):
        transaction(lambda: _note_asked(account, origin))
        raise


def log_out(principal: Principal, origin: Origin) -> None:
    """End the session that ``principal`` came by."""

    def body() -> None:
        record(Account.objects.get(id=principal.account_id), "account.logged_out", origin)
        sessions.close_session(principal.session_id)

    transaction(body)


def _note_asked(account: Account, origin: Origin) -> None:
    record(_current(account, None, origin), "account.second_factor_asked", origin)


def _rehashed(account: Account, password: str) -> str | None:
    if passwords.needs_rehash(account.password_hash):
        return passwords.hash_password(password)
    return None


def _current(account: Account, rehashed: str | None, origin: Origin) -> Account:
    """The account, read again inside the transaction: for the head of its audit chain, and since
    its password may have been changed after it was checked."""
    current = Account.objects(id=account.id, password_hash=account.password_hash).first()
    if current is None:
        raise WrongCredentials
    if rehashed:
        Account.objects(id=current.id).update_one(set__password_hash=rehashed)
    origin.account, origin.email = current.id, current.email
    return current
