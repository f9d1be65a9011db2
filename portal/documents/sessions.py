"""Sessions, and the known browsers of an account."""

from datetime import timedelta
from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument


class SessionKind(StrEnum):
    """The kind of a session; a pending one waits for a second factor."""

    BROWSER = "browser"
    PROGRAM = "program"
    PENDING = "pending"


class Factor(StrEnum):
    """The factors of authentication."""

    PASSWORD = "password"  # noqa: S105 (a word)
    APP = "authenticator app"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery code"


class Session(MasterDocument):
    """A logged-in browser or program, or a log-in that waits for a second factor and grants no
    access (``PENDING``). ``id`` is the hash of the random id in its cookie or bearer token.

    ``factors`` are those used to log in; ``authenticated_at`` is the last authentication, with a
    second factor where the account has one. ``browser`` is the hash of its browser, as in
    ``Browser``. An operator's that acts by a support ``grant`` does nothing else.
    """

    id = fields.StringField(primary_key=True)
    # Its id on pages and in the audit trail. An earlier version, if one still runs, sets none.
    public_id = fields.ObjectIdField()
    # Incremented by each transaction that creates what outlives the session, so that it conflicts
    # with revoking the session.
    made = fields.IntField()
    # The first versions set none, and knew browsers alone.
    kind = fields.StringField(
        required=True, choices=tuple(SessionKind), default=SessionKind.BROWSER
    )
    account = fields.ObjectIdField(required=True)
    created_at = fields.DateTimeField(required=True)
    seen_at = fields.DateTimeField(required=True)
    expires_at = fields.DateTimeField(required=True)
    address = fields.StringField()
    user_agent = fields.StringField()
    factors = fields.ListField(fields.StringField())
    authenticated_at = fields.DateTimeField()
    browser = fields.StringField()
    # The number of attempts at a pending log-in's second factor.
    tries = fields.IntField()
    grant = fields.ObjectIdField()
    # Encrypted: the secret during the enrollment of an authenticator app.
    offered_secret = fields.StringField()

    meta = {
        "collection": "sessions",
        "indexes": ["account", {"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }


class Browser(MasterDocument):
    """A browser in which the account was logged in. ``hash`` is that of the id in the browser's
    cookie; until ``trusted_until`` logging in there needs no second factor."""

    KEPT = timedelta(days=180)

    account = fields.ObjectIdField(required=True)
    hash = fields.StringField(required=True)
    first_seen_at = fields.DateTimeField(required=True)
    last_seen_at = fields.DateTimeField(required=True)
    trusted_until = fields.DateTimeField()

    meta = {
        "collection": "browsers",
        "indexes": [
            {"fields": ["account", "hash"], "unique": True},
            {"fields": ["last_seen_at"], "expireAfterSeconds": int(KEPT.total_seconds())},
        ],
    }
