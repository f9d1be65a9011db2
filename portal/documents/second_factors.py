"""Second factors. Nothing stored here can be used to log in: codes are hashed, the app's secret is
encrypted, and of a passkey there is only the public key."""

from mongoengine import fields

from portal.documents import MasterDocument


class AuthenticatorApp(MasterDocument):
    """The authenticator app of an account; both have the same id. ``last_step`` is the newest time
    step whose code was used: codes up to it are no longer valid."""

    id = fields.ObjectIdField(primary_key=True)
    secret = fields.StringField(required=True)
    added_at = fields.DateTimeField(required=True)
    last_step = fields.IntField(required=True)

    meta = {"collection": "authenticator_apps"}


class Passkey(MasterDocument):
    """A passkey of an account; ``synced`` where its provider copies it to other devices."""

    account = fields.ObjectIdField(required=True)
    credential = fields.BinaryField(required=True)
    public_key = fields.BinaryField(required=True)
    sign_count = fields.IntField(required=True)
    name = fields.StringField(required=True)
    synced = fields.BooleanField(required=True)
    added_at = fields.DateTimeField(required=True)
    used_at = fields.DateTimeField()

    meta = {
        "collection": "passkeys",
        "indexes": ["account", {"fields": ["credential"], "unique": True}],
    }


class RecoveryCodes(MasterDocument):
    """The hashes of the unused recovery codes of an account; both have the same id."""

    id = fields.ObjectIdField(primary_key=True)
    hashes = fields.ListField(fields.StringField(), required=True)
    made_at = fields.DateTimeField(required=True)

    meta = {"collection": "recovery_codes"}


class Challenge(MasterDocument):
    """A short-lived challenge for a passkey to sign once. ``id`` is its hash; it was issued to
    ``holder`` for ``purpose``. One that was ``used`` has expired."""

    id = fields.StringField(primary_key=True)
    purpose = fields.StringField(required=True)
    holder = fields.StringField(required=True)
    expires_at = fields.DateTimeField(required=True)
    used = fields.BooleanField()

    meta = {
        "collection": "challenges",
        "indexes": [{"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }
