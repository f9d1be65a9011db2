"""Rate limit counters."""

from mongoengine import DateTimeField, Document, IntField, StringField


class LimitCounter(Document):
    """The number of attempts in a window of a minute. The fields are those that ``limits`` writes;
    the database deletes a counter after its window."""

    id = StringField(primary_key=True)
    count = IntField()
    expires_at = DateTimeField(db_field="expireAt")

    meta = {
        "collection": "limit_counters",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }
