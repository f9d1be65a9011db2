"""Pools: collections that many organizations share."""

from bson import ObjectId
from mongoengine import fields

from portal.documents import MasterDocument
from portal.documents.organizations import MAIN_CLUSTER


class Pool(MasterDocument):
    """A collection that organizations share, called ``shared_<id>_<generation>``; while it is being
    opened, which is generation 0, by the id of its ``birth``.

    At each fence it is renamed to its next generation, which is recorded before: so whoever reads
    the record in between knows both names. Without a ``database`` it is in the tenant database.
    """

    id = fields.IntField(primary_key=True)
    cluster = fields.StringField(required=True, default=MAIN_CLUSTER)
    database = fields.StringField()
    uuid = fields.UUIDField(binary=True)
    birth = fields.ObjectIdField(required=True, default=ObjectId)
    generation = fields.IntField(required=True, default=0)
    next_generation = fields.IntField()
    # As they were when last counted.
    organizations = fields.IntField(required=True, default=0)
    bytes = fields.IntField(required=True, default=0)
    counted_at = fields.DateTimeField()
    # Set where somebody dropped the collection.
    missing = fields.BooleanField()

    meta = {"collection": "pools"}

    @property
    def collection(self) -> str:
        """The collection's recorded name."""
        return self.name_of(self.generation)

    def name_of(self, generation: int) -> str:
        """The collection's name in a generation."""
        return f"shared_{self.id}_{generation}" if generation else f"new_{self.birth}"
