"""Failed log-ins."""

from mongoengine import DateTimeField, Document, IntField, StringField


class LogInAttempts(Document):
    """How many wrong passwords in a row were tried for something, ``id`` being its hash: what
    somebody typed is stored nowhere. The database forgets it a day after the last."""

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
