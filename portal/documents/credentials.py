"""Credentials: MongoDB users whose role reaches one organization's collection. No password is
stored."""

from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument, MasterPart, index_where_set


class Reach(StrEnum):
    """The rights of a credential over its organization's documents."""

    READ = "read"
    WRITE = "write"


class CredentialUser(MasterPart):
    """A MongoDB user of a credential, recorded before it is made.

    ``ready_at`` is set once it was proven and told, ``ended_at`` once it shall be dropped; dropped
    ones aren't recorded any more. ``ends_at`` is the end of an overlap, if a day was chosen. It was
    last seen connected at ``seen_at``, by the applications ``seen_by``.
    """

    name = fields.StringField(required=True)
    created_at = fields.DateTimeField(required=True)
    ready_at = fields.DateTimeField()
    ends_at = fields.DateTimeField()
    ended_at = fields.DateTimeField()
    seen_at = fields.DateTimeField()
    seen_by = fields.ListField(fields.StringField(), default=None)


class UserElsewhere(MasterPart):
    """A user of a credential in another database than the organization's, who reaches nothing: at
    the target of a move, until that has switched; or at its source after that, until the old copy
    goes."""

    user = fields.EmbeddedDocumentField(CredentialUser, required=True)
    cluster = fields.StringField(required=True)
    database = fields.StringField(required=True)


class Credential(MasterDocument):
    """A credential of an organization, not of its creator, who may leave.

    It has one user, and two while it is rotated, the older one first; and those ``elsewhere`` that
    a move needs. One that was revoked is deleted once its users are dropped. Something is to be
    done about its users at ``due_at``; ``last_error`` says why that failed.
    """

    organization = fields.ObjectIdField(required=True)
    name = fields.StringField(required=True)
    reach = fields.StringField(required=True, choices=tuple(Reach))
    users = fields.EmbeddedDocumentListField(CredentialUser)
    elsewhere = fields.EmbeddedDocumentListField(UserElsewhere)
    created_at = fields.DateTimeField(required=True)
    # ``None`` where the doctor took over a user without a record.
    created_by = fields.ObjectIdField()
    revoked_at = fields.DateTimeField()
    due_at = fields.DateTimeField()
    last_error = fields.StringField()

    @property
    def all_users(self) -> list[CredentialUser]:
        """Its users, wherever they are."""
        return [*self.users, *(each.user for each in self.elsewhere)]

    meta = {
        "collection": "credentials",
        "indexes": [
            "organization",
            "created_by",
            index_where_set("due_at"),
            {"fields": ["users.name"], "unique": True},
        ],
    }
