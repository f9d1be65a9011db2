"""API keys. Only the hash of a secret is stored."""

from mongoengine import DateTimeField, Document, ListField, ObjectIdField, StringField

from portal.documents.memberships import Role

API_KEY_ROLES = (Role.VIEWER, Role.ADMIN)
"""What a key may be; never an owner."""


class ApiKey(Document):
    """A key of an organization, not of who made it: they may leave.

    It has a role, or else a list of permissions. Until ``former_until`` the secret before the
    last rotation works too. A key that is revoked is deleted; the audit trail knows of it.
    """

    organization = ObjectIdField(required=True)
    name = StringField(required=True)
    role = StringField(choices=API_KEY_ROLES)
    permissions = ListField(StringField(), default=None)
    secret_hash = StringField(required=True)
    former_hash = StringField()
    former_until = DateTimeField()
    created_at = DateTimeField(required=True)
    created_by = ObjectIdField(required=True)
    # Midnight after its last day, in UTC.
    expires_at = DateTimeField()
    used_at = DateTimeField()

    meta = {
        "collection": "api_keys",
        "auto_create_index": False,
        "strict": False,
        "indexes": ["organization", "created_by"],
    }


class ProvisioningKey(Document):
    """A key of the installation, by which a program signs organizations up for people."""

    name = StringField(required=True)
    secret_hash = StringField(required=True)
    created_at = DateTimeField(required=True)
    used_at = DateTimeField()

    meta = {"collection": "provisioning_keys", "auto_create_index": False, "strict": False}
