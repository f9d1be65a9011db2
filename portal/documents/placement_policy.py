"""The policy of placements: where new organizations go, and when one should move."""

from mongoengine import fields

from portal.documents import MasterDocument


class PlacementPolicy(MasterDocument):
    """A version of the policy, as its operator wrote it. The highest is in force.

    A version is its ``_id``, so the unique index decides which of two changes of one version is the
    next. None is ever changed.
    """

    id = fields.IntField(primary_key=True)
    text = fields.StringField(required=True)
    set_at = fields.DateTimeField(required=True)

    meta = {"collection": "placement_policies"}
