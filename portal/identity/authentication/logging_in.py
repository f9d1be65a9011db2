"""Logging in and out."""

from portal.audit.trail import record
from portal.database.transactions import transactional
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
    """Verify the credentials and open a session for a browser, as ``second_step.begin`` does.

    Raises what ``verify_credentials`` does.
    """
    account, context, rehashed = _verify(email, password, context)

    @transactional
    def begin() -> AccountPrincipal | PendingLogIn:
        return second_step.begin(_current(account, rehashed), context, user_agent)

    return begin()


def log_in_program(
    email: str, password: str, code: str | None, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Verify the credentials and open a session for a program; otherwise like ``log_in``. An
    account with a second factor needs a ``code``, of the app or a recovery code.

    Raises SecondFactorCodeRequired without it, WrongCode, TooManyAttempts. A right password without
    a right code is recorded in the audit trail.
    """
    account, context, rehashed = _verify(email, password, context)

    @transactional
    def open_session() -> AccountPrincipal:
        current, factors = _current(account, rehashed), [Factor.PASSWORD]
        if current.has_second_factor:
            if code is None:
                raise SecondFactorCodeRequired
            factors.append(use_code(current, code, context))
        return sessions.log_in(current, context, user_agent, SessionKind.PROGRAM, tuple(factors))

    try:
        if account.has_second_factor and code is not None:
            with guarded_code(account, context):
                return open_session()
        return open_session()
    except (SecondFactorCodeRequired, WrongCode):
        _record_missing_code(account, context)
        raise


@transactional
def log_out(principal: AccountPrincipal, context: RequestContext) -> None:
    """Revoke the principal's session."""
    record(Account.objects.get(id=principal.account_id), "account.logged_out", context.origin)
    sessions.revoke(principal.session_id)


def _verify(
    email: str, password: str, context: RequestContext
) -> tuple[Account, RequestContext, str | None]:
    """The account, the request as its own, and a new hash of the password if it needs one."""
    account = credentials.verify_credentials(email, password, context)
    rehash = passwords.needs_rehash(account.password_hash)
    return (
        account,
        context.acting_as(AuditActor(account.id, account.email, context.session)),
        passwords.hash_password(password) if rehash else None,
    )


@transactional
def _record_missing_code(account: Account, context: RequestContext) -> None:
    record(_current(account), "account.second_factor_asked", context.origin)


def _current(account: Account, rehashed: str | None = None) -> Account:
    """The account, read in the transaction: for the head of its audit chain, and since its password
    may have changed after it was verified. Raises WrongCredentials."""
    current = Account.objects(id=account.id, password_hash=account.password_hash).first()
    if current is None:
        raise WrongCredentials
    if rehashed:
        Account.objects(id=current.id).update_one(set__password_hash=rehashed)
    return current
