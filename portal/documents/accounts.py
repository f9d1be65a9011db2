"""Accounts, and requests to recover one."""

from datetime import timedelta
from enum import StrEnum

from mongoengine import (
    BooleanField,
    DateTimeField,
    Document,
    EmbeddedDocumentField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)

from portal.documents.audit import Head
from portal.hashing import hash_secret

# Longer than mails are tried to be sent and their links work.
RECOVERY_KEPT = timedelta(days=4)


class Theme(StrEnum):
    """How the portal looks to a person."""

    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


class Account(Document):
    """A person who can log in.

    A closed one is a tombstone: it has no e-mail address, no password and nothing else of the
    person. What it did stays under its id.
    """

    email = StringField(required=True)
    email_key = StringField(required=True)
    password_hash = StringField(required=True)
    password_changed_at = DateTimeField()
    created_at = DateTimeField(required=True)
    # When a link that was sent to the address was first followed; without, anybody may have typed
    # the address.
    verified_at = DateTimeField()
    # Grows with each wish for another address and each change of address or password: what was
    # mailed before to confirm an address confirms nothing then.
    address_generation = IntField(required=True, default=0)
    name = StringField()
    time_zone = StringField()
    theme = StringField(choices=tuple(Theme))
    closed_at = DateTimeField()
    # Of a closed one whose person is still to be erased from the audit trail: what was done to them
    # there, by the ids of its targets.
    to_erase = ListField(ObjectIdField(), default=None)
    # Whether it has an authenticator app or a passkey: kept by the transactions that change those.
    has_second_factor = BooleanField(required=True, default=False)
    # Grows with each change of the account's memberships: the common document that makes
    # transactions conflict which judge how many there are.
    membership_changes = IntField(required=True, default=0)
    audit_head = EmbeddedDocumentField(Head, default=Head)

    meta = {
        "collection": "accounts",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            {"fields": ["email_key"], "unique": True},
            {"fields": ["to_erase"], "partialFilterExpression": {"to_erase": {"$exists": True}}},
        ],
    }

    @property
    def verified(self) -> bool:
        """Whether somebody has shown that they read what is sent to the address."""
        return self.verified_at is not None


class Recovery(Document):
    """That somebody asked to choose a new password for an address: the newest time. ``id`` is the
    hash of the address, which may be nobody's; ``request`` is in the link that was mailed."""

    id = StringField(primary_key=True)
    request = ObjectIdField(required=True)
    at = DateTimeField(required=True)

    meta = {
        "collection": "recoveries",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["at"], "expireAfterSeconds": int(RECOVERY_KEPT.total_seconds())}],
    }

    @staticmethod
    def id_of(email_key: str) -> str:
        """What stands for an address here, and doesn't tell it."""
        return hash_secret(email_key)
