"""Suspensions and legal holds of organizations."""

from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument, index_where_set
from portal.documents.organizations import Restriction


class Cause(StrEnum):
    """The cause of a suspension."""

    PAYMENT = "payment"
    ABUSE = "abuse"
    SECURITY = "security"
    LEGAL = "legal"
    REQUEST = "request"
    OTHER = "other"


class Suspension(MasterDocument):
    """A restriction of an organization for one cause, until it is lifted by its id.

    Several may be open: the organization is restricted to the strictest. ``note`` is for operators
    alone; members and programs are told ``message`` and whom to write to, the ``contact``.
    """

    organization = fields.ObjectIdField(required=True)
    kind = fields.StringField(required=True, choices=tuple(Restriction))
    cause = fields.StringField(required=True, choices=tuple(Cause))
    note = fields.StringField()
    message = fields.StringField()
    contact = fields.StringField(required=True)
    # While it is in force, or on its way there. Absent once it was lifted, or couldn't begin.
    open = fields.BooleanField()
    at = fields.DateTimeField(required=True)
    # The operator's account; none of a command.
    by = fields.ObjectIdField()
    lifted_at = fields.DateTimeField()
    lifted_by = fields.ObjectIdField()
    # The reason why it couldn't begin.
    failure = fields.StringField()

    meta = {"collection": "suspensions", "indexes": [("organization", "open", "_id")]}


class Hold(MasterDocument):
    """A legal hold: nothing of the organization's is deleted for good until it is released by its
    id. It doesn't end by itself: on ``until`` somebody looks whether it is still needed.

    ``refused`` are the ways of deleting, by themselves, that it has held up so far;
    ``request_key`` is the idempotency key of its request, if any.
    """

    organization = fields.ObjectIdField(required=True)
    reason = fields.StringField(required=True)
    until = fields.DateTimeField()
    open = fields.BooleanField()
    at = fields.DateTimeField(required=True)
    by = fields.ObjectIdField()
    released_at = fields.DateTimeField()
    released_by = fields.ObjectIdField()
    refused = fields.ListField(fields.StringField(), default=None)
    request_key = fields.StringField()

    meta = {
        "collection": "holds",
        "indexes": [("organization", "open", "_id"), index_where_set("until", "open")],
    }
