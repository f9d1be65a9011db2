"""Failed log-ins."""

from mongoengine import DateTimeField, Document, IntField, StringField


class LogInAttempts(Document):
    """The number of consecutive failed attempts on a subject, whose hash is ``id``: what people
    type is never stored. The database deletes it a day after the last attempt."""

    id = StringField(primary_key=True)
    wrong = IntField(required=True, default=0)
    next_at = DateTimeField()
    told_at = DateTimeField()
    expires_at = DateTimeField()

    meta = {
        "collection": "log_in_attempts",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }
