"""Sessions: one logged-in browser or program each, a record on the server that can be ended."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from mongoengine.queryset import QuerySet

from portal import clock, settings
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.sessions import Factor, Session, SessionKind
from portal.hashing import hash_secret
from portal.identity.sessions import browsers
from portal.identity.sessions.errors import NotAuthenticated, SessionNotFound
from portal.identity.sessions.principals import AccountPrincipal
from portal.identity.sessions.user_agents import words_of
from portal.web.context import RequestContext

LONGEST_IDLE = timedelta(hours=12)
LONGEST_LIFE = timedelta(days=30)
LONGEST_WAIT = timedelta(minutes=10)
_SEEN_AT_MOST_EVERY = timedelta(minutes=1)
_LONGEST_USER_AGENT = 300


_PREFERENCES = ("name", "theme", "time_zone")


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as its account's owner sees it."""

    public_id: ObjectId
    is_program: bool
    browser: str
    address: str
    created_at: datetime
    seen_at: datetime
    factors: tuple[str, ...]
    current: bool


def open_session(
    account: Account,
    context: RequestContext,
    user_agent: str,
    kind: str = SessionKind.BROWSER,
    factors: tuple[str, ...] = (Factor.PASSWORD,),
) -> AccountPrincipal:
    """Write a session for ``account`` and return who it makes of the browser or program that
    brought the ``factors``. The browser is known from then on, unless its log-in still waits.

    The password alone, in a browser that need not bring the second factor, proves nothing yet to
    what asks for recent authentication.

    Meant for the inside of a transaction; the session's id is stored only as a hash.
    """
    session_id = secrets.token_urlsafe(32)
    now = clock.now()
    proved = not account.has_second_factor or factors != (Factor.PASSWORD,)
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
        authenticated_at=now if proved else None,
        browser=hash_secret(context.browser_id) if context.browser_id else None,
        tries=0 if kind == SessionKind.PENDING else None,
    )
    session.save(force_insert=True)
    if context.browser_id and kind != SessionKind.PENDING:
        browsers.remember(account.id, context.browser_id)
    return AccountPrincipal(
        account.id,
        account.email,
        session_id,
        session.expires_at,
        session.public_id,
        session.authenticated_at,
        **_preferences(account),
        verified=account.verified,
    )


def log_in(
    account: Account,
    context: RequestContext,
    user_agent: str,
    kind: str = SessionKind.BROWSER,
    factors: tuple[str, ...] = (Factor.PASSWORD,),
) -> AccountPrincipal:
    """Open a session as ``open_session`` does, and record the log-in as the first deed in it.

    ``account`` must have been read inside the caller's transaction.
    """
    opened = open_session(account, context, user_agent, kind, factors)
    record(
        account,
        "account.logged_in",
        context.acting_as(opened.audit_actor).origin,
        factors=", ".join(factors),
    )
    return opened


def principal_of(session_id: str, kind: str = SessionKind.BROWSER) -> AccountPrincipal | None:
    """Who the live session of this id and kind belongs to; one read, and once a minute one write.

    A browser's ends when it is idle, too; a program's lasts as long as it was told.
    """
    now = clock.now()
    found = Session._get_collection().aggregate(
        [
            {"$match": {"_id": hash_secret(session_id), "kind": kind, **_live(kind, now)}},
            {
                "$lookup": {
                    "from": Account._get_collection_name(),
                    "localField": "account",
                    "foreignField": "_id",
                    "as": "account",
                }
            },
            {"$unwind": "$account"},
            {
                "$project": {
                    "account._id": 1,
                    "account.email": 1,
                    "account.verified_at": 1,
                    **{f"account.{f}": {"$ifNull": [f"$account.{f}", ""]} for f in _PREFERENCES},
                    "seen_at": 1,
                    "expires_at": 1,
                    "public_id": 1,
                    "authenticated_at": 1,
                }
            },
        ]
    )
    session = next(found, None)
    if session is None:
        return None
    if session["seen_at"] < now - _SEEN_AT_MOST_EVERY:
        Session.objects(id=session["_id"]).update_one(set__seen_at=now)
    account = session["account"]
    return AccountPrincipal(
        account["_id"],
        account["email"],
        session_id,
        session["expires_at"],
        _public_id(session["_id"], session.get("public_id")),
        session.get("authenticated_at"),  # none where an earlier version wrote it
        **_preferences(account),
        verified=account.get("verified_at") is not None,
    )


def sessions_of(principal: AccountPrincipal) -> list[ListedSession]:
    """Every live session of the account, who asks by which first, then as they were last seen."""
    now, own = clock.now(), hash_secret(principal.session_id)
    live = [
        {"kind": kind, **_live(kind, now)} for kind in (SessionKind.BROWSER, SessionKind.PROGRAM)
    ]
    found = Session.objects(__raw__={"account": principal.account_id, "$or": live})
    lines = [
        ListedSession(
            _public_id(session.id, session.public_id),
            session.kind == SessionKind.PROGRAM,
            words_of(session.user_agent or ""),
            session.address or "",
            session.created_at,
            session.seen_at,
            tuple(session.factors or ()),
            session.id == own,
        )
        for session in found.order_by("-seen_at")
    ]
    return sorted(lines, key=lambda line: not line.current)


def revoke_session(account_id: ObjectId, public_id: str, context: RequestContext) -> None:
    """End a session of the account, wherever it is; its browser is no longer trusted. Raises
    SessionNotFound, alike for another's."""
    if not ObjectId.is_valid(public_id):
        raise SessionNotFound

    def body() -> None:
        mine = Session.objects(account=account_id)
        if not _revoke(account_id, mine.filter(public_id=ObjectId(public_id))):
            raise SessionNotFound
        account = Account.objects.get(id=account_id)
        record(account, "account.session_ended", context.origin, target=ObjectId(public_id))

    transaction(body)


def revoke_other_sessions(principal: AccountPrincipal, context: RequestContext) -> int:
    """End all sessions and tokens of the account but the one by which ``principal`` asks; their
    browsers are no longer trusted. How many there were."""

    def body() -> int:
        ended = _revoke(principal.account_id, _others(principal.account_id, principal.session_id))
        if ended:
            account = Account.objects.get(id=principal.account_id)
            record(account, "account.sessions_ended", context.origin, count=str(ended))
        return ended

    return transaction(body)


def revoke_replaced_session(principal: AccountPrincipal, context: RequestContext) -> None:
    """End the session by which ``principal`` asks, since its browser logged in anew; that stays
    trusted. Nothing changes where it has ended."""

    def body() -> None:
        if session_record(principal.session_id).delete():
            account = Account.objects.get(id=principal.account_id)
            record(account, "account.session_ended", context.origin, target=principal.session)

    transaction(body)


def lock_session(context: RequestContext) -> None:
    """Make sure, in the caller's transaction, that the session of who asks is open until that is
    committed: so nothing is made by one that was just ended. Raises NotAuthenticated."""
    if context.session:
        mine = Session.objects(account=context.account, public_id=context.session)
        if not mine.update_one(inc__made=1):
            raise NotAuthenticated


def revoke_all(account_id: ObjectId) -> None:
    """End all sessions and tokens of the account, in the caller's transaction."""
    Session.objects(account=account_id).delete()


def revoke_others(account_id: ObjectId, session_id: str) -> int:
    """End all but one of them, in the caller's transaction; how many there were."""
    return _others(account_id, session_id).delete()


def session_record(session_id: str) -> QuerySet:
    """The record of the session that has this id, of whatever kind, ended ones not among them."""
    return Session.objects(id=hash_secret(session_id))


def revoke(session_id: str) -> None:
    """End the session: its cookie, wherever it was copied, is worth nothing from now on."""
    Session.objects(id=hash_secret(session_id)).delete()


def _public_id(key: str, known: ObjectId | None) -> ObjectId:
    """What others may call the session that is stored under ``key``. One that an earlier version
    wrote, beside this one, gets its id when it is first seen: the same whoever sees it."""
    if known:
        return known
    made = ObjectId(hash_secret(key)[:24])
    Session.objects(id=key).update_one(set__public_id=made)
    return made


def _others(account_id: ObjectId, session_id: str) -> QuerySet:
    return Session.objects(account=account_id, id__ne=hash_secret(session_id))


def _revoke(account_id: ObjectId, ended: QuerySet) -> int:
    """End them as what may be in wrong hands: the browsers that they were opened in have to bring
    the second factor again. How many there were."""
    opened_in = [
        session.browser for session in ended.filter(kind=SessionKind.BROWSER).only("browser")
    ]
    browsers.revoke_trust(account_id, opened_in)
    return ended.delete()


def _live(kind: str, now: datetime) -> dict[str, Any]:
    """What is true of a session of this kind while it lasts."""
    live = {"expires_at": {"$gt": now}}
    return {**live, "seen_at": {"$gt": now - LONGEST_IDLE}} if kind == SessionKind.BROWSER else live


def _preferences(account: Any) -> dict[str, Any]:
    """How the portal looks to the person: of an account, or what was read of one."""
    return {field: account[field] or "" for field in _PREFERENCES}


def _life_of(kind: str) -> timedelta:
    if kind == SessionKind.BROWSER:
        return LONGEST_LIFE
    if kind == SessionKind.PENDING:
        return LONGEST_WAIT
    return timedelta(seconds=settings.current().jwt_expires_seconds)
