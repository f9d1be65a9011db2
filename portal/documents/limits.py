"""Limits of plans, and the notices that owners got of limits."""

from mongoengine import fields

from portal.documents import MasterDocument
from portal.documents.organizations import OwnLimits


class PlanLimits(MasterDocument):
    """The limits of all organizations with a plan, whose name is the ``_id``. ``version`` grows
    with each change."""

    id = fields.StringField(primary_key=True)
    limits = fields.EmbeddedDocumentField(OwnLimits, required=True)
    version = fields.IntField(required=True, default=1)
    changed_at = fields.DateTimeField(required=True)

    meta = {"collection": "plan_limits"}


class LimitNotice(MasterDocument):
    """The notice to an organization's owners that most of a limit is used. It goes out again once
    less was used in between, which ends it, or when the limit is another."""

    organization = fields.ObjectIdField(required=True)
    kind = fields.StringField(required=True)
    allowed = fields.LongField(required=True)
    used = fields.LongField(required=True)
    told_at = fields.DateTimeField(required=True)
    seen_at = fields.DateTimeField(required=True)

    meta = {
        "collection": "limit_notices",
        "indexes": [{"fields": ("organization", "kind"), "unique": True}],
    }
