"""Second factors. Nothing stored here authenticates anybody: codes are hashes, the app's secret is
encrypted, and a passkey's key is the public one."""

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
    """The app that makes codes for an account, whose id is its own. ``last_step`` is the newest
    time step whose code was used: none up to it works any more."""

    id = ObjectIdField(primary_key=True)
    secret = StringField(required=True)
    added_at = DateTimeField(required=True)
    last_step = IntField(required=True)

    meta = {"collection": "authenticator_apps", "auto_create_index": False, "strict": False}


class Passkey(Document):
    """A passkey of an account; ``synced`` where its maker copies it to other devices."""

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
    """The hashes of the codes that are left of an account, whose id is its own."""

    id = ObjectIdField(primary_key=True)
    hashes = ListField(StringField(), required=True)
    made_at = DateTimeField(required=True)

    meta = {"collection": "recovery_codes", "auto_create_index": False, "strict": False}


class Challenge(Document):
    """What a passkey is asked to sign, once and soon. ``id`` is its hash; ``purpose`` and
    ``holder`` are what it was given out for and to whom."""

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
