"""The outbox."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mongoengine import BooleanField, DateTimeField, DictField, Document, IntField, StringField

KEPT = timedelta(days=30)
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


class Outcome(StrEnum):
    """How a mail ended."""

    SENT = "sent"
    NOT_NEEDED = "not needed"
    REFUSED = "refused"
    GIVEN_UP = "given up"


class Mail(Document):
    """A mail that is to be sent, or was: its kind and the ids of what it tells. Its words, and the
    links in it, are made when it is sent, so nothing in here opens anything.

    ``due_at`` is when somebody may take it to send it; it is a lease then. ``attempt`` grows each
    time. Without ``due_at`` it has ended, as ``outcome`` says. Those that are ``awaited`` go first;
    the others don't have the field.
    """

    kind = StringField(required=True)
    to = StringField(required=True)
    ids = DictField()
    created_at = DateTimeField(required=True)
    due_at = DateTimeField()
    awaited = BooleanField()
    attempt = IntField(required=True, default=0)
    last_error = StringField()
    ended_at = DateTimeField()
    outcome = StringField(choices=tuple(Outcome))

    meta = {
        "collection": "mails",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            {
                "fields": ["-awaited", "due_at"],
                "partialFilterExpression": {"due_at": {"$exists": True}},
            },
            {"fields": ["ended_at"], "expireAfterSeconds": int(KEPT.total_seconds())},
        ],
    }
