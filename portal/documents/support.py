"""Support grants: an operator sees one organization, because an owner of it lets them."""

from datetime import datetime
from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument, MasterPart, index_where_set


class GrantState(StrEnum):
    """The state of a support grant; all but ``ASKED`` and ``GRANTED`` are final."""

    ASKED = "asked"
    GRANTED = "granted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"
    EXPIRED = "expired"


class GrantUser(MasterPart):
    """The MongoDB user by whom an operator reads the organization's documents, recorded before it
    is made, in the database that it is made in. ``password`` is sealed. It is to be dropped from
    ``ended_at`` on, and is recorded until it is."""

    name = fields.StringField(required=True)
    cluster = fields.StringField(required=True)
    database = fields.StringField(required=True)
    password = fields.StringField(required=True)
    created_at = fields.DateTimeField(required=True)
    ready_at = fields.DateTimeField()
    ended_at = fields.DateTimeField()


class SupportGrant(MasterDocument):
    """A support grant of an organization, asked for or in force or over.

    One that was asked for is ``operator``'s alone, unless a command asked; one that an owner gave
    unasked is any operator's. ``reason`` is the operator's, or the owner's where it was unasked.
    ``with_documents`` and ``hours`` are what was asked for until an owner decided. It is in force
    until ``ends_at``. Something is to be done about it, or its users, at ``due_at``.
    """

    organization = fields.ObjectIdField(required=True)
    state = fields.StringField(required=True, choices=tuple(GrantState))
    reason = fields.StringField()
    operator = fields.ObjectIdField()
    asked_at = fields.DateTimeField()
    hours = fields.IntField(required=True)
    with_documents = fields.BooleanField(required=True)
    decided_at = fields.DateTimeField()
    decided_by = fields.ObjectIdField()
    ends_at = fields.DateTimeField()
    ended_at = fields.DateTimeField()
    # The pages that operators opened by it, and the last time.
    pages = fields.IntField(default=0)
    seen_at = fields.DateTimeField()
    users = fields.EmbeddedDocumentListField(GrantUser)
    due_at = fields.DateTimeField()
    last_error = fields.StringField()

    def is_in_force(self, now: datetime) -> bool:
        """True while an operator may act by it."""
        return self.state == GrantState.GRANTED and self.ends_at > now

    meta = {
        "collection": "support_grants",
        "indexes": [
            ("organization", "-id"),
            index_where_set("due_at"),
            # Of an operator's questions to an organization one is open.
            {
                "fields": ["organization", "operator"],
                "unique": True,
                "partialFilterExpression": {"state": GrantState.ASKED.value},
            },
        ],
    }
