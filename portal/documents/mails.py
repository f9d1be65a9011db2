"""The outbox."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument

KEPT = timedelta(days=30)
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


class Outcome(StrEnum):
    """The final state of a mail."""

    SENT = "sent"
    NOT_NEEDED = "not needed"
    REFUSED = "refused"
    GIVEN_UP = "given up"


class Mail(MasterDocument):
    """A queued or sent mail: its kind, and the ids of what it is about. Its text and links are
    rendered when it is sent, so nothing stored here grants access.

    ``due_at`` is when a sender may acquire it, and the end of the lease of the one that did;
    ``attempt`` counts the acquisitions. Without ``due_at`` it has ended with ``outcome``. Mails
    that are ``awaited`` are sent first; the others don't have the field.
    """

    kind = fields.StringField(required=True)
    to = fields.StringField(required=True)
    ids = fields.DictField()
    created_at = fields.DateTimeField(required=True)
    due_at = fields.DateTimeField()
    awaited = fields.BooleanField()
    attempt = fields.IntField(required=True, default=0)
    last_error = fields.StringField()
    ended_at = fields.DateTimeField()
    outcome = fields.StringField(choices=tuple(Outcome))

    meta = {
        "collection": "mails",
        "indexes": [
            {
                "fields": ["-awaited", "due_at"],
                "partialFilterExpression": {"due_at": {"$exists": True}},
            },
            {"fields": ["ended_at"], "expireAfterSeconds": int(KEPT.total_seconds())},
        ],
    }
