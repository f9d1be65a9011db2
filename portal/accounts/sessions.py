"""Sessions: one logged-in browser or program each, a record on the server that can be ended."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId
from flask_login import UserMixin
from mongoengine.queryset import QuerySet

from portal import clock, settings
from portal.accounts import browsers
from portal.accounts.documents import BROWSER, PASSWORD, PENDING, Account, Session
from portal.audit.documents import Origin

LONGEST_IDLE = timedelta(hours=12)
LONGEST_LIFE = timedelta(days=30)
LONGEST_WAIT = timedelta(minutes=10)
_SEEN_AT_MOST_EVERY = timedelta(minutes=1)
_LONGEST_USER_AGENT = 300


@dataclass(frozen=True)
class Principal(UserMixin):
    """Who asks: an account, by a session whose random id only its browser or program knows.

    ``session`` is the id by which others may call it. ``authenticated_at`` is when the person last
    gave a password, a code or a passkey.
    """

    account_id: ObjectId
    email: str
    session_id: str
    session_expires_at: datetime
    session: ObjectId | None
    authenticated_at: datetime | None = None

    def get_id(self) -> str:
        """What Flask-Login keeps in the cookie."""
        return self.session_id


def open_session(
    account: Account,
    origin: Origin,
    user_agent: str,
    kind: str = BROWSER,
    factors: tuple[str, ...] = (PASSWORD,),
) -> Principal:
    """Write a session for ``account`` and return who it makes of the browser or program that
    brought the ``factors``. The browser is known from then on, unless its log-in still waits.

    Meant for the inside of a transaction; the session's id is stored only as a hash.
    """
    session_id = secrets.token_urlsafe(32)
    now = clock.now()
    session = Session(
        id=_hashed(session_id),
        kind=kind,
        account=account.id,
        created_at=now,
        seen_at=now,
        expires_at=now + _life_of(kind),
        address=origin.address,
        user_agent=user_agent[:_LONGEST_USER_AGENT],
        factors=factors,
        authenticated_at=now,
        tries=0 if kind == PENDING else None,
    )
    session.save(force_insert=True)
    if origin.browser and kind != PENDING:
        browsers.note(account.id, origin.browser)
    return Principal(
        account.id, account.email, session_id, session.expires_at, session.public_id, now
    )


def principal_of(session_id: str, kind: str = BROWSER) -> Principal | None:
    """Who the live session of this id and kind belongs to; one read, and once a minute one write.

    A browser's ends when it is idle, too; a program's lasts as long as it was told.
    """
    now = clock.now()
    live = {"_id": _hashed(session_id), "kind": kind, "expires_at": {"$gt": now}}
    if kind == BROWSER:
        live["seen_at"] = {"$gt": now - LONGEST_IDLE}
    found = Session._get_collection().aggregate(
        [
            {"$match": live},
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
    return Principal(
        account["_id"],
        account["email"],
        session_id,
        session["expires_at"],
        # Neither where an earlier version, beside this one, wrote it.
        session.get("public_id"),
        session.get("authenticated_at"),
    )


def record_of(session_id: str) -> QuerySet:
    """The record of the session that has this id, of whatever kind, ended ones not among them."""
    return Session.objects(id=_hashed(session_id))


def close_session(session_id: str) -> None:
    """End the session: its cookie, wherever it was copied, is worth nothing from now on."""
    Session.objects(id=_hashed(session_id)).delete()


def _life_of(kind: str) -> timedelta:
    if kind == BROWSER:
        return LONGEST_LIFE
    if kind == PENDING:
        return LONGEST_WAIT
    return timedelta(seconds=settings.current().jwt_expires_seconds)


def _hashed(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
