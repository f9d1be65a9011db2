"""Used idempotency keys, and the results of their requests."""

from datetime import timedelta

from mongoengine import fields

from portal.documents import MasterDocument, MasterPart

KEPT = timedelta(hours=24)


class FirstResponse(MasterPart):
    """The response to a program's request, without secrets."""

    status = fields.IntField(required=True)
    body = fields.DictField(required=True)
    headers = fields.DictField()


class IdempotencyRecord(MasterDocument):
    """A used idempotency key, and the result of its request, whose id is ``request``.

    ``organization`` is what was changed: an organization, or an account that changed itself.
    ``operation`` is the lifecycle operation or the API key; a request that changed only a name
    has none.
    """

    id = fields.StringField(primary_key=True)
    mac = fields.StringField(required=True)
    request = fields.StringField(required=True)
    organization = fields.ObjectIdField(required=True)
    kind = fields.StringField(required=True)
    operation = fields.ObjectIdField()
    at = fields.DateTimeField(required=True)
    answer = fields.EmbeddedDocumentField(FirstResponse)

    meta = {
        "collection": "request_keys",
        "indexes": [{"fields": ["at"], "expireAfterSeconds": int(KEPT.total_seconds())}],
    }
