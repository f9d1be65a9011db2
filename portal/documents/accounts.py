"""Accounts, and requests to recover one."""

from datetime import timedelta
from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument, index_where_set
from portal.documents.audit import Head
from portal.hashing import hash_secret

# Longer than mails are retried and their links are valid.
RECOVERY_KEPT = timedelta(days=4)


class Theme(StrEnum):
    """The colours that an account's pages use."""

    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


class OperatorRole(StrEnum):
    """The roles in the operators' console."""

    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "operator-admin"


class Account(MasterDocument):
    """A person who can log in.

    A closed account is a tombstone without e-mail address, password or other personal data. Its
    actions stay in the audit trail under its id.
    """

    email = fields.StringField(required=True)
    email_key = fields.StringField(required=True)
    # The domain of email_key before its local part, ``acme.example@mara``: for lists by domain.
    email_by_domain = fields.StringField()
    password_hash = fields.StringField(required=True)
    password_changed_at = fields.DateTimeField()
    created_at = fields.DateTimeField(required=True)
    # When somebody first followed a link mailed to the address; until then anybody may have typed
    # the address.
    verified_at = fields.DateTimeField()
    # Incremented by each request to change the address and each change of address or password:
    # that invalidates the confirmation links mailed before.
    address_generation = fields.IntField(required=True, default=0)
    name = fields.StringField()
    time_zone = fields.StringField()
    theme = fields.StringField(choices=tuple(Theme))
    closed_at = fields.DateTimeField()
    # Set on a closed account until it is erased from the audit trail: the ids under which it is the
    # target of events there.
    to_erase = fields.ListField(fields.ObjectIdField(), default=None)
    # When to come back for what a legal hold keeps of it.
    erase_at = fields.DateTimeField()
    # Whether it has an authenticator app or a passkey: updated in the transactions that add or
    # remove one.
    has_second_factor = fields.BooleanField(required=True, default=False)
    # Its role in the operators' console, if it is an operator's.
    operator_role = fields.StringField(choices=tuple(OperatorRole))
    # Set by a change of address, to another value, until the listing shows it at the organizations
    # that the account owns.
    unlisted = fields.ObjectIdField()
    # Set while operators keep the account out: nobody logs in to it, and it has no sessions.
    blocked_at = fields.DateTimeField()
    blocked_reason = fields.StringField()
    # When its second factors are to be reset, and the id of that request, unless the person stops
    # it before.
    factors_reset_at = fields.DateTimeField()
    factors_reset = fields.ObjectIdField()
    # Incremented by each change of the account's memberships, so that transactions that depend on
    # their number conflict.
    membership_changes = fields.IntField(required=True, default=0)
    audit_head = fields.EmbeddedDocumentField(Head, default=Head)

    meta = {
        "collection": "accounts",
        "indexes": [
            {"fields": ["email_key"], "unique": True},
            index_where_set("to_erase"),
            index_where_set("operator_role"),
            index_where_set("blocked_at"),
            index_where_set("factors_reset_at"),
            "email_by_domain",
            index_where_set("unlisted"),
        ],
    }

    @property
    def verified(self) -> bool:
        """True once somebody has proved that they receive mail at the address."""
        return self.verified_at is not None


class Recovery(MasterDocument):
    """The latest request to choose a new password for an address. ``id`` is the address's hash, and
    there may be no such account; ``request`` is part of the mailed link."""

    id = fields.StringField(primary_key=True)
    request = fields.ObjectIdField(required=True)
    at = fields.DateTimeField(required=True)

    meta = {
        "collection": "recoveries",
        "indexes": [{"fields": ["at"], "expireAfterSeconds": int(RECOVERY_KEPT.total_seconds())}],
    }

    @staticmethod
    def id_of(email_key: str) -> str:
        """The id for an address: its hash, which doesn't reveal it."""
        return hash_secret(email_key)
