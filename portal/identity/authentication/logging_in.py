"""Logging in and out, in one step or two, and reauthentication within a session.

A log-in that waits for its second step is a pending session: it authenticates nobody, and is
revoked with the account's others.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from mongoengine.queryset import QuerySet

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction, transactional
from portal.documents.accounts import Account
from portal.documents.sessions import Factor, Session, SessionKind
from portal.errors import Unauthenticated
from portal.identity.authentication import credentials, passwords
from portal.identity.authentication.attempts import limit_network
from portal.identity.authentication.errors import (
    LogInExpired,
    SecondFactorCodeRequired,
    WrongCredentials,
)
from portal.identity.second_factors import passkeys
from portal.identity.second_factors.errors import MalformedCode, WrongCode
from portal.identity.second_factors.typed_codes import parse_code
from portal.identity.sessions import browsers, sessions
from portal.identity.sessions.principals import AccountPrincipal, PendingLogIn, SupportPrincipal
from portal.web.context import AuditActor, RequestContext
from portal.web.errors import TooManyAttempts
from portal.web.idempotency import claim_key

MAX_TRIES = 10
TRUSTED = timedelta(days=30)
_LOG_IN, _CONFIRM = "log_in", "confirm"

log = structlog.get_logger()


def log_in(
    email: str, password: str, context: RequestContext, user_agent: str
) -> AccountPrincipal | PendingLogIn:
    """Verify the credentials and open a session for a browser; pending where the account has a
    second factor and does not trust the browser. Raises what ``verify_credentials`` does."""
    with _refusal_logged(context):
        account, context, rehashed = _verify(email, password, context)

    @transactional
    def open_session() -> AccountPrincipal | PendingLogIn:
        current = _current(account, rehashed)
        if not current.has_second_factor or browsers.is_trusted(current.id, context.browser_id):
            return sessions.log_in(current, context, user_agent)
        record(current, "account.second_factor_asked", context.origin)
        pending = sessions.open_session(current, context, user_agent, SessionKind.PENDING)
        return PendingLogIn(pending.session_id)

    return open_session()


def log_in_program(
    email: str, password: str, code: str | None, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Verify the credentials and open a session for a program; otherwise like ``log_in``. An
    account with a second factor needs a ``code``, of the app or a recovery code.

    Raises SecondFactorCodeRequired without it, MalformedCode, WrongCode, TooManyAttempts. A right
    password without a right code is recorded in the audit trail.
    """
    with _refusal_logged(context):
        account, context, rehashed = _verify(email, password, context)

    @transactional
    def open_session(parsed: str | None) -> AccountPrincipal:
        current, factors = _current(account, rehashed), [Factor.PASSWORD]
        if current.has_second_factor:
            if parsed is None:
                raise SecondFactorCodeRequired
            factors.append(credentials.use_code(current, parsed, context))
        return sessions.log_in(current, context, user_agent, SessionKind.PROGRAM, tuple(factors))

    try:
        if code is None or not account.has_second_factor:
            return open_session(None)
        parsed = parse_code(code)
        with _refusal_logged(context), credentials.guarded_code(account, context):
            return open_session(parsed)
    except (SecondFactorCodeRequired, MalformedCode, WrongCode):
        transaction(
            lambda: record(_current(account), "account.second_factor_asked", context.origin)
        )
        raise


def find_pending(pending_id: str) -> Session:
    """The session of the pending log-in of this id. Raises LogInExpired."""
    pending = _live(pending_id).first()
    if pending is None:
        raise LogInExpired
    return pending


def finish_with_code(
    pending_id: str, typed: str, context: RequestContext, user_agent: str, *, trust: bool
) -> AccountPrincipal:
    """Finish the log-in by a code of the app or a recovery code. With ``trust`` the browser logs in
    without the second factor for 30 days. Raises MalformedCode, which counts as no attempt;
    WrongCode, TooManyAttempts, LogInExpired."""
    code = parse_code(typed)
    pending = _register_try(pending_id)
    account = Account.objects.get(id=pending.account)
    context = context.acting_as(AuditActor(account.id, account.email))
    with _refusal_logged(context), credentials.guarded_code(account, context):
        return _finish(
            pending_id,
            lambda current: credentials.use_code(current, code, context),
            context,
            user_agent,
            trust,
        )


def finish_with_passkey(
    pending_id: str, credential: str, context: RequestContext, user_agent: str, *, trust: bool
) -> AccountPrincipal:
    """Finish the log-in by a passkey of the account; otherwise like ``finish_with_code``. Raises
    PasskeyRefused, LogInExpired."""
    pending = _register_try(pending_id)
    with _refusal_logged(context):
        assertion = passkeys.check(
            credential, passkeys.SECOND_STEP, str(pending.public_id), pending.account
        )
        return _finish(pending_id, lambda _: passkeys.use(assertion), context, user_agent, trust)


def log_in_with_passkey(
    credential: str, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Log in by a passkey alone, which is both factors: the device, and its user's verification.
    Raises PasskeyRefused; TooManyAttempts by network."""

    @transactional
    def open_session() -> AccountPrincipal:
        account = Account.objects.get(id=assertion.passkey.account)
        claim_key(context, account.id, _LOG_IN)
        used = passkeys.use(assertion)
        return sessions.log_in(account, context, user_agent, factors=(used,))

    with _refusal_logged(context):
        limit_network(context)
        assertion = passkeys.check(credential, passkeys.LOG_IN, "")
        return open_session()


@transactional
def log_out(principal: AccountPrincipal | SupportPrincipal, context: RequestContext) -> None:
    """Revoke the principal's session: every copy of its cookie is worthless from then on."""
    record(Account.objects.get(id=principal.person_id), "account.logged_out", context.origin)
    sessions.sessions_with_id(principal.session_id).delete()


def reauthenticate_with_password(
    principal: AccountPrincipal, password: str, context: RequestContext
) -> None:
    """Reauthenticate the person. Raises WrongPassword, TooManyAttempts, Overloaded."""
    account = Account.objects.get(id=principal.account_id)
    credentials.verify_current_password(account, password, context)
    _reauthenticate(principal, lambda _: Factor.PASSWORD, context)


def reauthenticate_with_code(
    principal: AccountPrincipal, typed: str, context: RequestContext
) -> None:
    """Reauthenticate the person. Raises MalformedCode, WrongCode, TooManyAttempts."""
    code = parse_code(typed)
    with credentials.guarded_code(Account.objects.get(id=principal.account_id), context):
        _reauthenticate(principal, lambda own: credentials.use_code(own, code, context), context)


def reauthenticate_with_passkey(
    principal: AccountPrincipal, credential: str, context: RequestContext
) -> None:
    """Reauthenticate the person. Raises PasskeyRefused."""
    assertion = passkeys.check(
        credential, passkeys.CONFIRM, str(principal.public_session_id), principal.account_id
    )
    _reauthenticate(principal, lambda _: passkeys.use(assertion), context)


@contextmanager
def _refusal_logged(context: RequestContext) -> Iterator[None]:
    """Log a refused log-in with its IP address, for programs that lock addresses out."""
    try:
        yield
    except (Unauthenticated, TooManyAttempts) as refused:
        log.info("log_in.refused", ip_address=context.ip_address, reason=refused.code)
        raise


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


def _current(account: Account, rehashed: str | None = None) -> Account:
    """The account, read in the transaction: for the head of its audit chain, and since its password
    may have changed after it was verified. Raises WrongCredentials."""
    current = Account.objects(id=account.id, password_hash=account.password_hash).first()
    if current is None:
        raise WrongCredentials
    if rehashed:
        Account.objects(id=current.id).update_one(set__password_hash=rehashed)
    return current


def _live(pending_id: str) -> QuerySet:
    return sessions.sessions_with_id(pending_id).filter(
        kind=SessionKind.PENDING, expires_at__gt=clock.now()
    )


def _register_try(pending_id: str) -> Session:
    """Count a try, before its factor is verified. Raises LogInExpired."""
    pending = _live(pending_id).filter(tries__lt=MAX_TRIES).modify(new=True, inc__tries=1)
    if pending is None:
        raise LogInExpired
    return pending


@transactional
def _finish(
    pending_id: str,
    use: Callable[[Account], Factor],
    context: RequestContext,
    user_agent: str,
    trust: bool,
) -> AccountPrincipal:
    pending = find_pending(pending_id)
    account = Account.objects.get(id=pending.account)
    claim_key(context, account.id, _LOG_IN)
    used = use(account)
    pending.delete()
    principal = sessions.log_in(account, context, user_agent, factors=(Factor.PASSWORD, used))
    if trust and context.browser_id:
        browsers.trust(account.id, context.browser_id, clock.now() + TRUSTED)
    return principal


@transactional
def _reauthenticate(
    principal: AccountPrincipal, use: Callable[[Account], Factor], context: RequestContext
) -> None:
    account = Account.objects.get(id=principal.account_id)
    claim_key(context, account.id, _CONFIRM)
    record(account, "account.confirmed", context.origin, factor=use(account))
    sessions.sessions_with_id(principal.session_id).update_one(set__authenticated_at=clock.now())
