"""One-time links that make somebody an operator who has no account yet."""

from mongoengine import fields

from portal.documents import MasterDocument
from portal.documents.accounts import OperatorRole


class OperatorLink(MasterDocument):
    """A link that makes whoever follows it an operator, once. ``id`` is the hash of its secret.

    That of the first start (``first``) is for any address, works while nobody is an operator, and
    there is one at a time. Others are for one ``email``.
    """

    id = fields.StringField(primary_key=True)
    first = fields.BooleanField()
    # The id that the account gets: the audit trail has it beside the address, to erase that by.
    account = fields.ObjectIdField(required=True)
    email = fields.StringField()
    email_key = fields.StringField()
    role = fields.StringField(required=True, choices=tuple(OperatorRole))
    created_at = fields.DateTimeField(required=True)
    expires_at = fields.DateTimeField(required=True)

    meta = {
        "collection": "operator_links",
        "indexes": [
            {"fields": ["first"], "unique": True, "partialFilterExpression": {"first": True}},
            {"fields": ["expires_at"], "expireAfterSeconds": 0},
        ],
    }
