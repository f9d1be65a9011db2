"""Sessions: one logged-in browser or program each, a record on the server that can be revoked."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from mongoengine.queryset import QuerySet

from portal import clock, settings
from portal.audit.trail import installation, record
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Factor, Session, SessionKind
from portal.documents.support import SupportGrant
from portal.hashing import hash_secret
from portal.identity.sessions import browsers
from portal.identity.sessions.errors import AccountBlocked, NotAuthenticated, SessionNotFound
from portal.identity.sessions.principals import AccountPrincipal, SupportPrincipal
from portal.permissions import OPERATOR_ROLES
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

ENDING = "session_ended"
LONGEST_IDLE = timedelta(hours=12)
LONGEST_LIFE = timedelta(days=30)
LONGEST_WAIT = timedelta(minutes=10)
_SEEN_RECORDED_EVERY = timedelta(minutes=1)
_LONGEST_USER_AGENT = 300
# None is that of the first versions' sessions.
_BROWSER_KINDS = (SessionKind.BROWSER, None)
_ACCOUNT_FIELDS = (
    "_id",
    "email",
    "verified_at",
    "name",
    "theme",
    "time_zone",
    "has_second_factor",
    "operator_role",
    "blocked_at",
    "factors_reset_at",
)
# Of a session that is replaced.
_KEPT = (
    "kind",
    "account",
    "created_at",
    "expires_at",
    "address",
    "user_agent",
    "factors",
    "authenticated_at",
    "browser",
)
# In this order: nearly all claim to be Mozilla, most Safari, many Chrome.
_BROWSERS = {
    "Edg": "Edge", "OPR/": "Opera", "SamsungBrowser": "Samsung Internet", "Firefox/": "Firefox",
    "FxiOS": "Firefox", "Chrome/": "Chrome", "CriOS": "Chrome", "Safari/": "Safari",
    "curl/": "curl", "python": "Python",
}  # fmt: skip
_SYSTEMS = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows",
    "Mac OS X": "macOS", "CrOS": "ChromeOS", "Linux": "Linux",
}  # fmt: skip


@dataclass(slots=True)
class ReadAlong:
    """Data read in one command with a session. The ``stages`` set the array ``along``, from the
    session with its whole ``account``. ``found`` is that array, once a live session was read."""

    stages: list[dict[str, Any]]
    found: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as shown to its account's owner."""

    public_id: ObjectId
    is_program: bool
    browser: str
    address: str
    created_at: datetime
    seen_at: datetime
    factors: tuple[str, ...]
    current: bool


@within_transaction
def open_session(
    account: Account,
    context: RequestContext,
    user_agent: str,
    kind: SessionKind = SessionKind.BROWSER,
    factors: tuple[Factor, ...] = (Factor.PASSWORD,),
) -> AccountPrincipal:
    """Write a session for ``account``, authenticated by the ``factors``, and return its principal.
    The browser is known from then on, unless the session is pending. Its random id is stored only
    as a hash. Raises AccountBlocked.

    The password alone, in a browser that is trusted without the second factor, is no recent
    authentication.
    """
    if account.blocked_at:
        raise AccountBlocked
    session_id = secrets.token_urlsafe(32)
    now = clock.now()
    authenticated = not account.has_second_factor or factors != (Factor.PASSWORD,)
    session = Session(
        id=hash_secret(session_id),
        public_id=ObjectId(),
        kind=kind,
        account=account.id,
        created_at=now,
        seen_at=now,
        expires_at=now + _life_of(kind),
        address=context.ip_address,
        user_agent=user_agent[:_LONGEST_USER_AGENT],
        factors=factors,
        authenticated_at=now if authenticated else None,
        browser=hash_secret(context.browser_id) if context.browser_id else None,
        tries=0 if kind == SessionKind.PENDING else None,
    )
    session.insert()
    if context.browser_id and kind != SessionKind.PENDING:
        browsers.remember(account.id, context.browser_id)
    return _principal(account.to_mongo(), session_id, session.public_id, session)


@within_transaction
def log_in(
    account: Account,
    context: RequestContext,
    user_agent: str,
    kind: SessionKind = SessionKind.BROWSER,
    factors: tuple[Factor, ...] = (Factor.PASSWORD,),
) -> AccountPrincipal:
    """Open a session as ``open_session`` does, and record the log-in as its first event.
    ``account`` must have been read in the same transaction."""
    principal = open_session(account, context, user_agent, kind, factors)
    record(
        account,
        "account.logged_in",
        context.acting_as(principal.audit_actor).origin,
        factors=", ".join(factors),
    )
    return principal


def find_principal(
    session_id: str,
    kind: SessionKind = SessionKind.BROWSER,
    read_along: ReadAlong | None = None,
) -> AccountPrincipal | SupportPrincipal | None:
    """The principal of the live session of this id and kind; one read, of what is to be
    ``read_along`` too, and at most one write a minute. A browser's session ends also when it is
    idle; a program's lasts as long as its token. One that acts by a support grant takes a read
    more, and nothing that was read along is its own."""
    now = clock.now()
    along = {"along": 1} if read_along else {}
    found = Session._get_collection().aggregate(
        [
            {"$match": {"_id": hash_secret(session_id), **_live(kind, now)}},
            {
                "$lookup": {
                    "from": Account._get_collection_name(),
                    "localField": "account",
                    "foreignField": "_id",
                    "as": "account",
                }
            },
            {"$unwind": "$account"},
            *(read_along.stages if read_along else ()),
            {
                "$project": {
                    **along,
                    "account": dict.fromkeys(_ACCOUNT_FIELDS, 1),
                    "seen_at": 1,
                    "expires_at": 1,
                    "public_id": 1,
                    "grant": 1,
                    "authenticated_at": {"$ifNull": ["$authenticated_at", None]},
                }
            },
        ]
    )
    session = next(found, None)
    if session is None:
        return None
    account = session["account"]
    if account.get("blocked_at"):  # an earlier version opens sessions of blocked accounts
        return None
    acts_by = session.get("grant")
    if read_along and acts_by is None:
        read_along.found = session["along"]
    if session["seen_at"] < now - _SEEN_RECORDED_EVERY:
        Session.objects(id=session["_id"]).update_one(set__seen_at=now)
    public_id = _public_id(session["_id"], session.get("public_id"))
    if acts_by is not None:
        if kind != SessionKind.BROWSER:  # by a grant people look at pages
            return None
        return _support_principal(account, session_id, public_id, session)
    return _principal(account, session_id, public_id, session)


@within_transaction
def exchange_session(principal: AccountPrincipal | SupportPrincipal, grant: ObjectId | None) -> str:
    """Replace the session of a browser by one that acts by the support ``grant``, or again as its
    account; its id. No copy of the former cookie works any more. Raises NotAuthenticated where the
    session has ended."""
    own = sessions_with_id(principal.session_id).filter(kind__in=_BROWSER_KINDS)
    former = own.first()
    if former is None:
        raise NotAuthenticated
    own.delete()
    session_id = secrets.token_urlsafe(32)
    following = Session(
        id=hash_secret(session_id),
        public_id=ObjectId(),
        seen_at=clock.now(),
        grant=grant,
        **{name: former[name] for name in _KEPT},
    )
    following.insert()
    return session_id


def list_sessions(principal: AccountPrincipal) -> list[ListedSession]:
    """Every live session of the account: the principal's own, then the last seen first."""
    own = hash_secret(principal.session_id)
    return sorted(_list(principal.account_id, own), key=lambda session: not session.current)


def sessions_of(account_id: ObjectId) -> list[ListedSession]:
    """Every live session of somebody's account, the last seen first."""
    return _list(account_id, "")


def _list(account_id: ObjectId, own: str) -> list[ListedSession]:
    now = clock.now()
    live = [_live(kind, now) for kind in (SessionKind.BROWSER, SessionKind.PROGRAM)]
    found = Session.objects(__raw__={"account": account_id, "$or": live})
    return [
        ListedSession(
            _public_id(session.id, session.public_id),
            session.kind == SessionKind.PROGRAM,
            describe_user_agent(session.user_agent or ""),
            session.address or "",
            session.created_at,
            session.seen_at,
            tuple(session.factors or ()),
            session.id == own,
        )
        for session in found.order_by("-seen_at")
    ]


@transactional
def revoke_session(account_id: ObjectId, public_id: str, context: RequestContext) -> None:
    """Revoke a session of the account and the trust in its browser. Raises SessionNotFound, alike
    for another account's; DuplicateRequest."""
    if not ObjectId.is_valid(public_id):
        raise SessionNotFound
    sessions = Session.objects(account=account_id, public_id=ObjectId(public_id))
    if not _revoke_with_trust(account_id, sessions):
        raise SessionNotFound
    account = Account.objects.get(id=account_id)
    claim_key(context, account_id, ENDING)
    record(account, "account.session_ended", context.origin, target=ObjectId(public_id))


@transactional
def revoke_other_sessions(principal: AccountPrincipal, context: RequestContext) -> int:
    """Revoke all sessions and tokens of the account but the principal's own, and the trust in their
    browsers; how many there were."""
    others = _others(principal.account_id, principal.session_id)
    revoked = _revoke_with_trust(principal.account_id, others)
    if revoked:
        account = Account.objects.get(id=principal.account_id)
        record(account, "account.sessions_ended", context.origin, count=str(revoked))
    return revoked


@within_transaction
def revoke_by_operator(account_id: ObjectId, context: RequestContext) -> int:
    """Revoke all sessions and tokens of somebody's account, and the trust in their browsers; how
    many there were."""
    revoked = _revoke_with_trust(account_id, Session.objects(account=account_id))
    if revoked:
        account = Account.objects.get(id=account_id)
        record(account, "account.all_sessions_ended", context.origin, count=str(revoked))
    return revoked


def revoke_of_all_accounts(context: RequestContext) -> int:
    """Revoke the sessions and tokens of all accounts, and the trust in all browsers; how many there
    were. Interrupted, it is called again."""
    browsers.revoke_trust_of_all_accounts()
    revoked: int = Session.objects.delete()

    @transactional
    def tell() -> None:
        record(installation(), "installation.sessions_ended", context.origin, count=str(revoked))

    tell()
    return revoked


@transactional
def revoke_replaced_session(
    principal: AccountPrincipal | SupportPrincipal, context: RequestContext
) -> None:
    """Revoke the principal's session, which its browser replaced by logging in again; the browser
    stays trusted. Changes nothing where the session has ended."""
    if sessions_with_id(principal.session_id).delete():
        account = Account.objects.get(id=principal.person_id)
        record(account, "account.session_ended", context.origin, target=principal.public_session_id)


@within_transaction
def lock_session(context: RequestContext) -> None:
    """Keep the session of the request open until the caller's transaction commits, so that none
    that was just revoked creates anything. Raises NotAuthenticated."""
    if context.session:
        # An operator acts without an account: the actor's id is that of it.
        account_id = context.account or context.actor.id
        session = Session.objects(account=account_id, public_id=context.session)
        if not session.update_one(inc__made=1):
            raise NotAuthenticated


@within_transaction
def revoke_all(account_id: ObjectId) -> None:
    """Revoke all sessions and tokens of the account."""
    Session.objects(account=account_id).delete()


@within_transaction
def revoke_others(account_id: ObjectId, session_id: str) -> None:
    """Revoke all sessions and tokens of the account but one."""
    _others(account_id, session_id).delete()


def sessions_with_id(session_id: str) -> QuerySet:
    """The record of the session of this id, of any kind; empty once it is revoked."""
    return Session.objects(id=hash_secret(session_id))


def describe_user_agent(user_agent: str) -> str:
    """“Firefox on Linux”, as far as it is known."""
    browser = next((words for sign, words in _BROWSERS.items() if sign in user_agent), "")
    system = next((words for sign, words in _SYSTEMS.items() if sign in user_agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or (f"Unknown on {system}" if system else "Unknown")


def _principal(
    account: Mapping[str, Any],
    session_id: str,
    public_id: ObjectId,
    session: Session | Mapping[str, Any],
) -> AccountPrincipal:
    """From the account as it is stored: a document of it would be made for this alone."""
    return AccountPrincipal(
        account["_id"],
        account["email"],
        session_id,
        session["expires_at"],
        public_id,
        session["authenticated_at"],
        name=account.get("name") or "",
        theme=account.get("theme") or "",
        time_zone=account.get("time_zone") or "",
        verified=account.get("verified_at") is not None,
        has_second_factor=bool(account.get("has_second_factor")),
        operator_role=account.get("operator_role") or "",
        factors_reset_at=account.get("factors_reset_at"),
    )


def _support_principal(
    account: Mapping[str, Any], session_id: str, public_id: ObjectId, session: Mapping[str, Any]
) -> SupportPrincipal | None:
    """The operator by the session's grant, which counts only while both hold; ``None`` where it is
    gone, with its organization."""
    grant = SupportGrant.objects(id=session["grant"]).first()
    if grant is None:
        return None
    holds = (
        grant.is_in_force(clock.now())
        and grant.operator in (None, account["_id"])
        and account.get("operator_role") in OPERATOR_ROLES
        and account.get("has_second_factor")
    )
    return SupportPrincipal(
        account["_id"],
        account["email"],
        session_id,
        session["expires_at"],
        public_id,
        session["grant"],
        organization_id=grant.organization,
        with_documents=grant.with_documents,
        ends_at=grant.ends_at,
        over=not holds,
        name=account.get("name") or "",
        theme=account.get("theme") or "",
        time_zone=account.get("time_zone") or "",
    )


def _public_id(stored_id: str, known: ObjectId | None) -> ObjectId:
    """The session's public id. One that an earlier version wrote, beside this one, gets its id when
    it is first read: the same in every process."""
    if known:
        return known
    public_id = ObjectId(hash_secret(stored_id)[:24])
    Session.objects(id=stored_id).update_one(set__public_id=public_id)
    return public_id


def _others(account_id: ObjectId, session_id: str) -> QuerySet:
    return Session.objects(account=account_id, id__ne=hash_secret(session_id))


def _revoke_with_trust(account_id: ObjectId, sessions: QuerySet) -> int:
    """Revoke sessions that may be in the wrong hands: their browsers need the second factor again.
    How many there were."""
    opened_in = [
        session.browser for session in sessions.filter(kind__in=_BROWSER_KINDS).only("browser")
    ]
    browsers.revoke_trust(account_id, opened_in)
    return sessions.delete()


def _live(kind: SessionKind, now: datetime) -> dict[str, Any]:
    """The filter for live sessions of this kind."""
    live = {"expires_at": {"$gt": now}}
    if kind != SessionKind.BROWSER:
        return {**live, "kind": kind}
    return {**live, "kind": {"$in": _BROWSER_KINDS}, "seen_at": {"$gt": now - LONGEST_IDLE}}


def _life_of(kind: SessionKind) -> timedelta:
    if kind == SessionKind.BROWSER:
        return LONGEST_LIFE
    if kind == SessionKind.PENDING:
        return LONGEST_WAIT
    return timedelta(seconds=settings.current().jwt_expires_seconds)
