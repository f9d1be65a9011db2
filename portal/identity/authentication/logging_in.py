"""Logging in and out."""

from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Factor, SessionKind
from portal.identity.authentication import credentials, passwords, second_step
from portal.identity.authentication.codes import guarded_code, use_code
from portal.identity.authentication.errors import SecondFactorCodeRequired, WrongCredentials
from portal.identity.second_factors.errors import WrongCode
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import AccountPrincipal, PendingLogIn
from portal.web.context import AuditActor, RequestContext


def log_in(
    email: str, password: str, context: RequestContext, user_agent: str
) -> AccountPrincipal | PendingLogIn:
    """Check the credentials and open a session for a browser; where it must bring a second factor
    too, open nothing but a log-in that waits for it.

    Raises what ``verify_credentials`` does.
    """
    account = credentials.verify_credentials(email, password, context)
    context = context.acting_as(AuditActor(account.id, account.email, context.session))
    rehashed = _rehashed(account, password)

    def body() -> AccountPrincipal | PendingLogIn:
        return second_step.begin(_current(account, rehashed), context, user_agent)

    return transaction(body)


def log_in_program(
    email: str, password: str, code: str | None, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Check the credentials and open a session for a program; otherwise like ``log_in``. Where the
    account has a second factor it takes a ``code``, of the app or a recovery code.

    Raises SecondFactorCodeRequired without it, WrongCode, TooManyAttempts. That the password was
    given without a right code is in the audit trail.
    """
    account = credentials.verify_credentials(email, password, context)
    context = context.acting_as(AuditActor(account.id, account.email, context.session))
    rehashed = _rehashed(account, password)

    def body() -> AccountPrincipal:
        current, factors = _current(account, rehashed), [Factor.PASSWORD]
        if current.has_second_factor:
            if code is None:
                raise SecondFactorCodeRequired
            factors.append(use_code(current, code, context))
        return sessions.log_in(current, context, user_agent, SessionKind.PROGRAM, tuple(factors))

    try:
        if account.has_second_factor and code is not None:
            with guarded_code(account, context):
                return transaction(body)
        return transaction(body)
    except (SecondFactorCodeRequired, WrongCode):
        transaction(lambda: _note_asked(account, context))
        raise


def log_out(principal: AccountPrincipal, context: RequestContext) -> None:
    """End the session that ``principal`` came by."""

    def body() -> None:
        record(Account.objects.get(id=principal.account_id), "account.logged_out", context.origin)
        sessions.revoke(principal.session_id)

    transaction(body)


def _note_asked(account: Account, context: RequestContext) -> None:
    record(_current(account), "account.second_factor_asked", context.origin)


def _rehashed(account: Account, password: str) -> str | None:
    if passwords.needs_rehash(account.password_hash):
        return passwords.hash_password(password)
    return None


def _current(account: Account, rehashed: str | None = None) -> Account:
    """The account, read again inside the transaction: for the head of its audit chain, and since
    its password may have been changed after it was checked."""
    current = Account.objects(id=account.id, password_hash=account.password_hash).first()
    if current is None:
        raise WrongCredentials
    if rehashed:
        Account.objects(id=current.id).update_one(set__password_hash=rehashed)
    return current
