"""API keys. Only the hash of a secret is stored."""

from mongoengine import fields

from portal.documents import MasterDocument
from portal.documents.accounts import OperatorRole
from portal.documents.memberships import Role

API_KEY_ROLES = (Role.VIEWER, Role.ADMIN)
"""The roles that an API key may have; never owner."""
OPERATOR_KEY_ROLES = (OperatorRole.SUPPORT, OperatorRole.OPERATOR)
"""The roles that an operators' key may have: none names operators."""


class ApiKey(MasterDocument):
    """An API key of an organization, not of its creator, who may leave.

    It has either a role or a list of permissions. Until ``former_until`` the secret before the
    last rotation works too. Revoking it deletes it; the audit trail keeps the event.
    """

    organization = fields.ObjectIdField(required=True)
    name = fields.StringField(required=True)
    role = fields.StringField(choices=API_KEY_ROLES)
    permissions = fields.ListField(fields.StringField(), default=None)
    secret_hash = fields.StringField(required=True)
    former_hash = fields.StringField()
    former_until = fields.DateTimeField()
    created_at = fields.DateTimeField(required=True)
    created_by = fields.ObjectIdField(required=True)
    # Midnight (UTC) after its last day.
    expires_at = fields.DateTimeField()
    used_at = fields.DateTimeField()

    meta = {"collection": "api_keys", "indexes": ["organization", "created_by"]}


class ProvisioningKey(MasterDocument):
    """A key of the installation, with which a program signs up organizations for people."""

    name = fields.StringField(required=True)
    secret_hash = fields.StringField(required=True)
    created_at = fields.DateTimeField(required=True)
    used_at = fields.DateTimeField()

    meta = {"collection": "provisioning_keys"}


class OperatorKey(MasterDocument):
    """A key of the installation, by which a program acts in the operators' console.

    A revoked one stays, without its secret: audit trails name it by its id.
    """

    name = fields.StringField(required=True)
    role = fields.StringField(required=True, choices=OPERATOR_KEY_ROLES)
    secret_hash = fields.StringField()
    created_at = fields.DateTimeField(required=True)
    # The account that made it; None for one made by a command.
    created_by = fields.ObjectIdField()
    # Midnight (UTC) after its last day.
    expires_at = fields.DateTimeField()
    revoked_at = fields.DateTimeField()
    used_at = fields.DateTimeField()

    meta = {"collection": "operator_keys"}
