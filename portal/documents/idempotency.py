"""Idempotency keys that were used, and what they did."""

from datetime import timedelta

from mongoengine import (
    DateTimeField,
    DictField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    IntField,
    ObjectIdField,
    StringField,
)

KEPT = timedelta(hours=24)


class FirstAnswer(EmbeddedDocument):
    """What a program was answered, without secrets."""

    status = IntField(required=True)
    body = DictField(required=True)
    headers = DictField()

    meta = {"strict": False}


class KeyRecord(Document):
    """A key that was used, and what it did. ``request`` is the id of the request that did it;
    ``operation`` is missing where a name was changed and nothing else; where an API key was, it is
    that one's id. ``organization`` is the account where it changed its own."""

    id = StringField(primary_key=True)
    mac = StringField(required=True)
    request = StringField(required=True)
    organization = ObjectIdField(required=True)
    kind = StringField(required=True)
    operation = ObjectIdField()
    at = DateTimeField(required=True)
    answer = EmbeddedDocumentField(FirstAnswer)

    meta = {
        "collection": "request_keys",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["at"], "expireAfterSeconds": int(KEPT.total_seconds())}],
    }
