"""The doctor's findings, as its last examination left them."""

from mongoengine import fields

from portal.documents import MasterDocument, MasterPart

EXAMINATION = "doctor"
"""The name of the periodic task that examines the installation."""

EXAMINED_EVERY_SECONDS = 3600
MOST_KEPT = 50
"""The findings that are kept of each check."""


class KeptFinding(MasterPart):
    """A finding, in words."""

    kind = fields.StringField(required=True)
    title = fields.StringField(required=True)
    advice = fields.StringField(required=True)
    subject = fields.StringField(required=True)
    words = fields.StringField(required=True)
    organization = fields.ObjectIdField()
    harmless = fields.BooleanField()
    repairable = fields.BooleanField()


class ExaminedCheck(MasterDocument):
    """One of the doctor's checks, found by its name: its findings when it last came to its end.

    ``examined_at`` is when that was. Where it was broken off since, ``failed_at`` and ``error`` say
    so. Of the ``findings``, the first are kept; ``number`` counts all that are not harmless.
    """

    id = fields.StringField(primary_key=True)
    examined_at = fields.DateTimeField()
    findings = fields.EmbeddedDocumentListField(KeptFinding)
    number = fields.IntField(required=True, default=0)
    failed_at = fields.DateTimeField()
    error = fields.StringField()

    meta = {"collection": "doctor_checks"}
