"""API keys. Only the hash of a secret is stored."""

from mongoengine import DateTimeField, Document, ListField, ObjectIdField, StringField

from portal.documents.memberships import Role

API_KEY_ROLES = (Role.VIEWER, Role.ADMIN)
"""The roles that an API key may have; never owner."""


class ApiKey(Document):
    """An API key of an organization, not of its creator, who may leave.

    It has either a role or a list of permissions. Until ``former_until`` the secret before the
    last rotation works too. Revoking it deletes it; the audit trail keeps the event.
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
    # Midnight (UTC) after its last day.
    expires_at = DateTimeField()
    used_at = DateTimeField()

    meta = {
        "collection": "api_keys",
        "auto_create_index": False,
        "strict": False,
        "indexes": ["organization", "created_by"],
    }


class ProvisioningKey(Document):
    """A key of the installation, with which a program signs up organizations for people."""

    name = StringField(required=True)
    secret_hash = StringField(required=True)
    created_at = DateTimeField(required=True)
    used_at = DateTimeField()

    meta = {"collection": "provisioning_keys", "auto_create_index": False, "strict": False}
