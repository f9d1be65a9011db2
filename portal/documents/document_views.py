"""Views of documents: a filter, a sort and columns that somebody keeps under a name."""

from mongoengine import fields

from portal.documents import MasterDocument


class DocumentView(MasterDocument):
    """A view of an organization's documents: a person's, or, without an ``account``, everybody's.

    ``query`` are the parameters of its URL. ``version`` grows with each change.
    """

    organization = fields.ObjectIdField(required=True)
    account = fields.ObjectIdField()
    name = fields.StringField(required=True)
    # The name without capitals.
    name_key = fields.StringField(required=True)
    query = fields.StringField(required=True)
    version = fields.IntField(required=True, default=1)
    created_at = fields.DateTimeField(required=True)

    meta = {
        "collection": "document_views",
        "indexes": [
            {"fields": ["organization", "account", "name_key"], "name": "one_name", "unique": True},
            "account",
        ],
    }
