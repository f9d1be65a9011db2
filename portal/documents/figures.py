"""Figures of organizations, and of the installation: their size and their use."""

from mongoengine import fields

from portal.documents import MasterDocument, index_where_set


class OrganizationFigures(MasterDocument):
    """An organization's figures when it was last measured, found by its id.

    ``operations`` is the server's counter, which begins anew at a restart or a rename; a shared
    collection has none for each organization. ``operations_a_day`` are also by what stores
    reported. ``used_at`` is when something was last seen to have
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
    # Set by each measurement, to another value, until the listing shows it.
    unlisted = fields.ObjectIdField()

    meta = {
        "collection": "organization_figures",
        "indexes": [
            index_where_set("over_since"),
            index_where_set("under_since"),
            index_where_set("unlisted"),
        ],
    }


class InstallationDay(MasterDocument):
    """A day of the installation, in UTC, found as ``2026-11-29``: its sign-ups, and its figures
    when it was last counted. Of the organizations that were ``measured``, those ``used`` were seen
    to have changed within 24 hours of that; ``bytes`` is the size of all."""

    id = fields.StringField(primary_key=True)
    sign_ups = fields.IntField(required=True)
    counted_at = fields.DateTimeField(required=True)
    measured = fields.IntField()
    used = fields.IntField()
    bytes = fields.LongField()

    meta = {"collection": "installation_days"}
