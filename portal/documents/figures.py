"""Figures of organizations: their size and their use."""

from mongoengine import fields

from portal.documents import MasterDocument, index_where_set


class OrganizationFigures(MasterDocument):
    """An organization's figures when it was last measured, found by its id.

    ``operations`` is the server's counter, which begins anew at a restart or a rename; a shared
    collection has none for each organization. ``used_at`` is when something was last seen to have
    changed. ``over_since`` and ``under_since`` say from which measurement on the figures have been
    over the thresholds of the policy, or under them.
    """

    id = fields.ObjectIdField(primary_key=True)
    documents = fields.IntField(required=True)
    bytes = fields.IntField(required=True)
    indexes = fields.IntField(required=True)
    operations = fields.IntField()
    operations_a_day = fields.IntField()
    measured_at = fields.DateTimeField(required=True)
    used_at = fields.DateTimeField(required=True)
    over_since = fields.DateTimeField()
    under_since = fields.DateTimeField()

    meta = {
        "collection": "organization_figures",
        "indexes": [index_where_set("over_since"), index_where_set("under_since")],
    }
