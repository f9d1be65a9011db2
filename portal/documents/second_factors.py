"""Second factors. Nothing stored here can be used to log in: codes are hashed, the app's secret is
encrypted, and of a passkey there is only the public key."""

from mongoengine import (
    BinaryField,
    BooleanField,
    DateTimeField,
    Document,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)


class AuthenticatorApp(Document):
    """The authenticator app of an account; both have the same id. ``last_step`` is the newest time
    step whose code was used: codes up to it are no longer valid."""

    id = ObjectIdField(primary_key=True)
    secret = StringField(required=True)
    added_at = DateTimeField(required=True)
    last_step = IntField(required=True)

    meta = {"collection": "authenticator_apps", "auto_create_index": False, "strict": False}


class Passkey(Document):
    """A passkey of an account; ``synced`` where its provider copies it to other devices."""

    account = ObjectIdField(required=True)
    credential = BinaryField(required=True)
    public_key = BinaryField(required=True)
    sign_count = IntField(required=True)
    name = StringField(required=True)
    synced = BooleanField(required=True)
    added_at = DateTimeField(required=True)
    used_at = DateTimeField()

    meta = {
        "collection": "passkeys",
        "auto_create_index": False,
        "strict": False,
        "indexes": ["account", {"fields": ["credential"], "unique": True}],
    }


class RecoveryCodes(Document):
    """The hashes of the unused recovery codes of an account; both have the same id."""

    id = ObjectIdField(primary_key=True)
    hashes = ListField(StringField(), required=True)
    made_at = DateTimeField(required=True)

    meta = {"collection": "recovery_codes", "auto_create_index": False, "strict": False}


class Challenge(Document):
    """A short-lived challenge for a passkey to sign once. ``id`` is its hash; it was issued to
    ``holder`` for ``purpose``."""

    id = StringField(primary_key=True)
    purpose = StringField(required=True)
    holder = StringField(required=True)
    expires_at = DateTimeField(required=True)

    meta = {
        "collection": "challenges",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }
