"""Log-ins that wait for a second factor. Each is a session that opens nothing: it ends with the
account's others, and is neither a browser's nor a program's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from bson import ObjectId
from mongoengine.queryset import QuerySet

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Factor, Session, SessionKind
from portal.identity.authentication.codes import guarded_code, use_code
from portal.identity.authentication.errors import LogInExpired
from portal.identity.second_factors import challenges, passkeys
from portal.identity.second_factors.enrollment import SecondFactors, second_factors_of
from portal.identity.sessions import browsers, sessions
from portal.identity.sessions.principals import AccountPrincipal, PendingLogIn
from portal.web import rate_limits
from portal.web.context import AuditActor, RequestContext

MOST_TRIES = 10
TRUSTED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PendingSecondFactor:
    """What a log-in waits for: one of the account's factors."""

    account_id: ObjectId
    holder: str
    factors: SecondFactors


def begin(
    account: Account, context: RequestContext, user_agent: str
) -> AccountPrincipal | PendingLogIn:
    """Log a browser in whose person gave the password, in the caller's transaction; where the
    account has a second factor that this browser must bring, the log-in waits for it.

    ``account`` must have been read in there.
    """
    if account.has_second_factor and not browsers.is_trusted(account.id, context.browser_id):
        record(account, "account.second_factor_asked", context.origin)
        return PendingLogIn(
            sessions.open_session(account, context, user_agent, SessionKind.PENDING).session_id
        )
    return sessions.log_in(account, context, user_agent)


def find_pending(pending_id: str) -> PendingSecondFactor:
    """What the log-in of this id waits for. Raises LogInExpired."""
    held = _live(pending_id).first()
    if held is None:
        raise LogInExpired
    return PendingSecondFactor(held.account, str(held.public_id), second_factors_of(held.account))


def finish_with_code(
    pending_id: str, typed: str, context: RequestContext, user_agent: str, *, trust: bool
) -> AccountPrincipal:
    """Finish the log-in by a code of the app or a recovery code. With ``trust`` the browser need
    not bring a second factor again for 30 days.

    Raises WrongCode, TooManyAttempts, LogInExpired.
    """
    held = _register_attempt(pending_id)
    account = Account.objects.get(id=held.account)
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
    held = _register_attempt(pending_id)
    signed = passkeys.check(credential, challenges.SECOND, str(held.public_id), held.account)
    return _finish(pending_id, lambda _: passkeys.use(signed), context, user_agent, trust)


def log_in_with_passkey(
    credential: str, context: RequestContext, user_agent: str
) -> AccountPrincipal:
    """Log in by a passkey alone, which is both factors: the device, and that it knows its owner.

    Raises PasskeyRefused, TooManyAttempts for a network.
    """
    rate_limits.count_try(rate_limits.LOGIN_PER_NETWORK, rate_limits.network_of(context.ip_address))
    signed = passkeys.check(credential, challenges.LOG_IN, "")

    def body() -> AccountPrincipal:
        account = Account.objects.get(id=signed.passkey.account)
        used = passkeys.use(signed)
        return sessions.log_in(account, context, user_agent, factors=(used,))

    return transaction(body)


def _live(pending_id: str) -> QuerySet:
    return sessions.session_record(pending_id).filter(
        kind=SessionKind.PENDING, expires_at__gt=clock.now()
    )


def _register_attempt(pending_id: str) -> Session:
    """One more try, counted before it is known whether it is right. Raises LogInExpired."""
    held = _live(pending_id).filter(tries__lt=MOST_TRIES).modify(new=True, inc__tries=1)
    if held is None:
        raise LogInExpired
    return held


def _finish(
    pending_id: str,
    use: Callable[[Account], str],
    context: RequestContext,
    user_agent: str,
    trust: bool,
) -> AccountPrincipal:
    def body() -> AccountPrincipal:
        held = _live(pending_id).first()
        if held is None:
            raise LogInExpired
        account = Account.objects.get(id=held.account)
        used = use(account)
        held.delete()
        principal = sessions.log_in(account, context, user_agent, factors=(Factor.PASSWORD, used))
        if trust and context.browser_id:
            browsers.trust(account.id, context.browser_id, clock.now() + TRUSTED)
        return principal

    return transaction(body)
