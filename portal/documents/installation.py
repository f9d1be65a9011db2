"""The installation itself: what concerns no organization and no account."""

from bson import ObjectId
from mongoengine import fields

from portal.documents import MasterDocument
from portal.documents.audit import Head

INSTALLATION = ObjectId("0" * 24)
"""The id of the only document, so two portals that start at once make one."""


class Installation(MasterDocument):
    """The installation.

    ``epoch`` begins as the server's time in seconds, and is raised by a restore of master data:
    versions of organizations are comparable within one epoch. ``marks`` are counted for the doctor,
    who notices a restore by them.
    """

    id = fields.ObjectIdField(primary_key=True, default=INSTALLATION)
    epoch = fields.IntField(required=True)
    marks = fields.IntField()
    audit_head = fields.EmbeddedDocumentField(Head, default=Head)

    meta = {"collection": "installation"}
