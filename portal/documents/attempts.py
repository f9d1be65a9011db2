"""Counters of attempts: of requests, for rate limits, and of failed log-ins."""

from mongoengine import fields

from portal.documents import MasterDocument


class LimitCounter(MasterDocument):
    """The number of attempts in a window of a minute. The fields are those that the ``limits``
    library writes; the database deletes a counter after its window."""

    id = fields.StringField(primary_key=True)
    count = fields.IntField()
    expires_at = fields.DateTimeField(db_field="expireAt")

    meta = {
        "collection": "limit_counters",
        "indexes": [{"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }


class LogInAttempts(MasterDocument):
    """The number of consecutive failed attempts on a subject, whose hash is ``id``: what people
    type is never stored. The database deletes it a day after the last attempt."""

    id = fields.StringField(primary_key=True)
    wrong = fields.IntField(required=True, default=0)
    next_at = fields.DateTimeField()
    told_at = fields.DateTimeField()
    expires_at = fields.DateTimeField()

    meta = {
        "collection": "log_in_attempts",
        "indexes": [{"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }
