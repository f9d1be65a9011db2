"""Scripts that are applied to tenants' documents."""

from mongoengine import fields

from portal.documents import MasterDocument


class TenantScript(MasterDocument):
    """A script that was applied: its ``_id`` is its name, and its content is known by a checksum,
    so that an edited one is noticed."""

    id = fields.StringField(primary_key=True)
    checksum = fields.StringField(required=True)
    registered_at = fields.DateTimeField(required=True)

    meta = {"collection": "tenant_scripts"}
