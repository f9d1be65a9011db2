"""The second step of a log-in. A log-in that waits for it is a pending session: it authenticates
nobody, and is revoked with the account's others."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from bson import ObjectId
from mongoengine.queryset import QuerySet

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Factor, Session, SessionKind
from portal.identity.authentication.attempts import limit_network
from portal.identity.authentication.codes import guarded_code, use_code
from portal.identity.authentication.errors import LogInExpired
from portal.identity.second_factors import challenges, passkeys
from portal.identity.second_factors.enrollment import SecondFactors, second_factors_of
from portal.identity.second_factors.passkeys import Assertion
from portal.identity.sessions import browsers, sessions
from portal.identity.sessions.principals import AccountPrincipal, PendingLogIn
from portal.web.context import AuditActor, RequestContext

MOST_TRIES = 10
TRUSTED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PendingSecondFactor:
    """The account of a pending log-in, and the factors that may finish it. ``holder`` is that of
    its challenges."""

    account_id: ObjectId
    holder: str
    factors: SecondFactors


@within_transaction
def begin(
    account: Account, context: RequestContext, user_agent: str
) -> AccountPrincipal | PendingLogIn:
    """Log in a browser that sent the right password; pending where the account has a second factor
    and does not trust the browser.

    ``account`` must have been read in the same transaction.
    """
    if account.has_second_factor and not browsers.is_trusted(account.id, context.browser_id):
        record(account, "account.second_factor_asked", context.origin)
        return PendingLogIn(
            sessions.open_session(account, context, user_agent, SessionKind.PENDING).session_id
        )
    return sessions.log_in(account, context, user_agent)


def find_pending(pending_id: str) -> PendingSecondFactor:
    """The second step of the pending log-in of this id. Raises LogInExpired."""
    pending = _live(pending_id).first()
    if pending is None:
        raise LogInExpired
    return PendingSecondFactor(
        pending.account, str(pending.public_id), second_factors_of(pending.account)
    )


def finish_with_code(
    pending_id: str, typed: str, context: RequestContext, user_agent: str, *, trust: bool
) -> AccountPrincipal:
    """Finish the log-in by a code of the app or a recovery code. With ``trust`` the browser logs
    in without the second factor for 30 days.

    Raises WrongCode, TooManyAttempts, LogInExpired.
    """
    pending = _register_try(pending_id)
    account = Account.objects.get(id=pending.account)
    context = context.acting_as(AuditActor(account.id, account.email))
    with guarded_code(account, context):
        return _finish(
            pending_id,
            lambda account: use_code(account, typed, context),
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
    assertion = passkeys.check(
        credential, challenges.SECOND_STEP, str(pending.public_id), pending.account
    )
    return _finish(pending_id, lambda _: passkeys.use(assertion), context, user_agent, trust)


def log_in_with_passkey(
    credential: str, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Log in by a passkey alone, which is both factors: the device, and its user's verification.

    Raises PasskeyRefused; TooManyAttempts by network.
    """
    limit_network(context)
    return _log_in_by(passkeys.check(credential, challenges.LOG_IN, ""), context, user_agent)


@transactional
def _log_in_by(assertion: Assertion, context: RequestContext, user_agent: str) -> AccountPrincipal:
    account = Account.objects.get(id=assertion.passkey.account)
    used = passkeys.use(assertion)
    return sessions.log_in(account, context, user_agent, factors=(used,))


def _live(pending_id: str) -> QuerySet:
    return sessions.sessions_with_id(pending_id).filter(
        kind=SessionKind.PENDING, expires_at__gt=clock.now()
    )


def _register_try(pending_id: str) -> Session:
    """Count a try, before its factor is verified. Raises LogInExpired."""
    pending = _live(pending_id).filter(tries__lt=MOST_TRIES).modify(new=True, inc__tries=1)
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
    pending = _live(pending_id).first()
    if pending is None:
        raise LogInExpired
    account = Account.objects.get(id=pending.account)
    used = use(account)
    pending.delete()
    principal = sessions.log_in(account, context, user_agent, factors=(Factor.PASSWORD, used))
    if trust and context.browser_id:
        browsers.trust(account.id, context.browser_id, clock.now() + TRUSTED)
    return principal
