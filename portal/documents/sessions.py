"""Sessions, and the browsers that an account is known to use."""

from datetime import timedelta
from enum import StrEnum

from mongoengine import (
    DateTimeField,
    Document,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)


class SessionKind(StrEnum):
    """What a session is of; a pending one waits for a second factor."""

    BROWSER = "browser"
    PROGRAM = "program"
    PENDING = "pending"


class Factor(StrEnum):
    """What somebody authenticates by."""

    PASSWORD = "password"  # noqa: S105 (a word)
    APP = "authenticator app"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery code"


class Session(Document):
    """One logged-in browser or program, or a log-in that waits for a second factor and opens
    nothing (``PENDING``). ``id`` is the hash of the random id that its cookie or bearer token
    carries.

    ``factors`` are what it was logged in by, and ``authenticated_at`` is when the person last
    proved who they are: by a second factor, where they have one. ``browser`` is the hash of the
    browser that it was opened in, as in ``Browser``.
    """

    id = StringField(primary_key=True)
    # What pages and the audit trail call it. An earlier version, beside this one, writes none.
    public_id = ObjectIdField()
    # Grows with each thing made in it that outlives it: such a transaction conflicts with its end.
    made = IntField()
    kind = StringField(required=True, choices=tuple(SessionKind))
    account = ObjectIdField(required=True)
    created_at = DateTimeField(required=True)
    seen_at = DateTimeField(required=True)
    expires_at = DateTimeField(required=True)
    address = StringField()
    user_agent = StringField()
    factors = ListField(StringField())
    authenticated_at = DateTimeField()
    browser = StringField()
    # How often a second factor was tried for a log-in that waits.
    tries = IntField()
    # Sealed: what is offered to an authenticator app.
    offered_secret = StringField()

    meta = {
        "collection": "sessions",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            "account",
            {"fields": ["expires_at"], "expireAfterSeconds": 0},
        ],
    }


class Browser(Document):
    """A browser from which somebody logged in to an account. ``hash`` is that of the id that it
    keeps in a cookie; until ``trusted_until`` it need not bring the account's second factor."""

    KEPT = timedelta(days=180)

    account = ObjectIdField(required=True)
    hash = StringField(required=True)
    first_seen_at = DateTimeField(required=True)
    last_seen_at = DateTimeField(required=True)
    trusted_until = DateTimeField()

    meta = {
        "collection": "browsers",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            {"fields": ["account", "hash"], "unique": True},
            {"fields": ["last_seen_at"], "expireAfterSeconds": int(KEPT.total_seconds())},
        ],
    }
