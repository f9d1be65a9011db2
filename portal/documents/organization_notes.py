"""Notes that operators keep about an organization."""

from mongoengine import fields

from portal.documents import MasterDocument


class OrganizationNote(MasterDocument):
    """A note about an organization, for operators alone. ``author`` is the account or key of the
    operator; without one it was a command."""

    organization = fields.ObjectIdField(required=True)
    text = fields.StringField(required=True)
    author = fields.ObjectIdField()
    at = fields.DateTimeField(required=True)

    meta = {"collection": "organization_notes", "indexes": [["organization", "-id"]]}
