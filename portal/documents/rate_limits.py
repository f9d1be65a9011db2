"""Counters of the rate limits."""

from mongoengine import DateTimeField, Document, IntField, StringField


class LimitCounter(Document):
    """How often something was tried since a minute began. The fields are those that ``limits``
    writes; the database forgets a counter when its minute is over."""

    id = StringField(primary_key=True)
    count = IntField()
    expires_at = DateTimeField(db_field="expireAt")

    meta = {
        "collection": "limit_counters",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["expires_at"], "expireAfterSeconds": 0}],
    }
