"""What is stored of accounts and their sessions."""

from datetime import timedelta

from bson import ObjectId
from mongoengine import (
    DateTimeField,
    Document,
    EmbeddedDocumentField,
    IntField,
    ObjectIdField,
    StringField,
)

from portal.audit.documents import Head


class Account(Document):
    """A person who can log in."""

    email = StringField(required=True)
    email_key = StringField(required=True)
    password_hash = StringField(required=True)
    password_changed_at = DateTimeField()
    created_at = DateTimeField(required=True)
    # When a link that was sent to the address was first followed; without, anybody may have typed
    # the address.
    verified_at = DateTimeField()
    # Grows with each change of the account's memberships: the common document that makes
    # transactions conflict which judge how many there are.
    membership_changes = IntField(required=True, default=0)
    audit_head = EmbeddedDocumentField(Head, default=Head)

    meta = {
        "collection": "accounts",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["email_key"], "unique": True}],
    }


BROWSER, PROGRAM = "browser", "program"


class Session(Document):
    """One logged-in browser or program. ``id`` is the hash of the random id that its cookie or
    bearer token carries."""

    id = StringField(primary_key=True)
    # What pages and the audit trail call it.
    public_id = ObjectIdField(required=True, default=ObjectId)
    kind = StringField(required=True, choices=(BROWSER, PROGRAM))
    account = ObjectIdField(required=True)
    created_at = DateTimeField(required=True)
    seen_at = DateTimeField(required=True)
    expires_at = DateTimeField(required=True)
    address = StringField()
    user_agent = StringField()

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
