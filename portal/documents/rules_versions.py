"""Rules for documents, as they were put into force."""

from mongoengine import fields

from portal.documents import MasterDocument


class RulesVersion(MasterDocument):
    """Rules of an organization's documents: the ``schema`` as BSON, put into force by the event
    ``seq`` of its audit trail; or ``found`` in force by that event, set by a program before.
    ``refused`` counts the writes by the portal that they refused."""

    organization = fields.ObjectIdField(required=True)
    seq = fields.IntField(required=True)
    found = fields.BooleanField(required=True, default=False)
    schema = fields.BinaryField(required=True)
    level = fields.StringField(required=True)
    action = fields.StringField(required=True)
    refused = fields.IntField(required=True, default=0)
    refused_at = fields.DateTimeField()

    meta = {
        "collection": "rules_versions",
        "indexes": [{"fields": ["organization", "-seq", "found"], "unique": True}],
    }
