"""Pools: collections that many organizations share."""

from mongoengine import fields

from portal.documents import MasterDocument
from portal.documents.organizations import MAIN_CLUSTER


class Pool(MasterDocument):
    """A collection that organizations share, called ``shared_<id>_<generation>``.

    At each fence it is renamed to its next generation, which is recorded before: so whoever reads
    the record in between knows both names. Without a ``database`` it is in the tenant database.
    """

    id = fields.IntField(primary_key=True)
    cluster = fields.StringField(required=True, default=MAIN_CLUSTER)
    database = fields.StringField()
    uuid = fields.UUIDField(binary=True)
    generation = fields.IntField(required=True, default=1)
    next_generation = fields.IntField()
    # As they were when last counted.
    organizations = fields.IntField(required=True, default=0)
    bytes = fields.IntField(required=True, default=0)

    meta = {"collection": "pools"}
