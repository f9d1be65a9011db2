"""Used idempotency keys, and the results of their requests."""

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


class FirstResponse(EmbeddedDocument):
    """The response to a program's request, without secrets."""

    status = IntField(required=True)
    body = DictField(required=True)
    headers = DictField()

    meta = {"strict": False}


class IdempotencyRecord(Document):
    """A used idempotency key, and the result of its request, whose id is ``request``.

    ``organization`` is what was changed: an organization, or an account that changed itself.
    ``operation`` is the lifecycle operation or the API key; a request that changed only a name
    has none.
    """

    id = StringField(primary_key=True)
    mac = StringField(required=True)
    request = StringField(required=True)
    organization = ObjectIdField(required=True)
    kind = StringField(required=True)
    operation = ObjectIdField()
    at = DateTimeField(required=True)
    answer = EmbeddedDocumentField(FirstResponse)

    meta = {
        "collection": "request_keys",
        "auto_create_index": False,
        "strict": False,
        "indexes": [{"fields": ["at"], "expireAfterSeconds": int(KEPT.total_seconds())}],
    }
