"""Indexes that queries lacked."""

from datetime import timedelta

from mongoengine import fields

from portal.documents import MasterDocument

KEPT = timedelta(days=30)


class IndexSuggestion(MasterDocument):
    """The keys of an index that an organization's queries would have needed: how many were refused
    for want of it, and when last. Kept for KEPT after that."""

    organization = fields.ObjectIdField(required=True)
    # As Extended JSON, since names of fields may have dots.
    keys = fields.StringField(required=True)
    refused = fields.IntField(required=True, default=0)
    slow = fields.IntField(required=True, default=0)
    at = fields.DateTimeField(required=True)

    meta = {
        "collection": "index_suggestions",
        "indexes": [
            {"fields": ["organization", "keys"], "unique": True},
            {"fields": ["at"], "expireAfterSeconds": int(KEPT.total_seconds())},
        ],
    }
