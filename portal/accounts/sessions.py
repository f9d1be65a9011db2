"""Sessions: one logged-in browser each, a record on the server that can be ended."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId
from flask_login import UserMixin

from portal import clock
from portal.accounts.documents import Account, Session
from portal.audit.documents import Origin

LONGEST_IDLE = timedelta(hours=12)
LONGEST_LIFE = timedelta(days=30)
_SEEN_AT_MOST_EVERY = timedelta(minutes=1)
_LONGEST_USER_AGENT = 300


@dataclass(frozen=True)
class Principal(UserMixin):
    """Who asks: an account, by a session whose random id only the browser knows."""

    account_id: ObjectId
    email: str
    session_id: str
    session_expires_at: datetime

    def get_id(self) -> str:
        """What Flask-Login keeps in the cookie."""
        return self.session_id


def open_session(account: Account, origin: Origin, user_agent: str) -> Principal:
    """Write a session for ``account`` and return who it makes of the browser.

    Meant for the inside of a transaction; the session's id is stored only as a hash.
    """
    session_id = secrets.token_urlsafe(32)
    now = clock.now()
    session = Session(
        id=_hashed(session_id),
        account=account.id,
        created_at=now,
        seen_at=now,
        expires_at=now + LONGEST_LIFE,
        address=origin.address,
        user_agent=user_agent[:_LONGEST_USER_AGENT],
    )
    session.save(force_insert=True)
    return Principal(account.id, account.email, session_id, session.expires_at)


def principal_of(session_id: str) -> Principal | None:
    """Who the live session of this id belongs to; one read, and once a minute one write."""
    now = clock.now()
    found = Session.objects(
        id=_hashed(session_id), expires_at__gt=now, seen_at__gt=now - LONGEST_IDLE
    ).aggregate(
        [
            {
                "$lookup": {
                    "from": Account._get_collection_name(),
                    "localField": "account",
                    "foreignField": "_id",
                    "as": "account",
                }
            },
            {"$unwind": "$account"},
            {"$project": {"account._id": 1, "account.email": 1, "seen_at": 1, "expires_at": 1}},
        ]
    )
    session = next(found, None)
    if session is None:
        return None
    if session["seen_at"] < now - _SEEN_AT_MOST_EVERY:
        Session.objects(id=session["_id"]).update_one(set__seen_at=now)
    account = session["account"]
    return Principal(account["_id"], account["email"], session_id, session["expires_at"])


def close_session(session_id: str) -> None:
    """End the session: its cookie, wherever it was copied, is worth nothing from now on."""
    Session.objects(id=_hashed(session_id)).delete()


def _hashed(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
