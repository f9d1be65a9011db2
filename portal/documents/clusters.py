"""Clusters: MongoDB deployments for organizations' documents, beside the one with master data."""

from mongoengine import fields

from portal.documents import MasterDocument


class Cluster(MasterDocument):
    """A cluster, as registered. The first one, ``main``, may have a record for its region and
    weight; it has no URI, which is MONGO_URI.

    ``uri`` is sealed. ``identity`` stands in a document on the cluster as well, so that a URI that
    leads to another one is noticed. ``weight`` is its share of new organizations, 0 for none;
    ``placed`` grows with each, so that a transaction that places one there and another that closes
    the cluster can't both be committed.
    """

    name = fields.StringField(primary_key=True)
    uri = fields.StringField()
    identity = fields.ObjectIdField()
    # Hosts and options that customers get, without a user; those of the URI where it has none.
    credentials_uri = fields.StringField()
    region = fields.StringField()
    weight = fields.IntField(required=True, default=1)
    placed = fields.IntField(required=True, default=0)
    added_at = fields.DateTimeField(required=True)
    removing_since = fields.DateTimeField()
    lost_at = fields.DateTimeField()

    meta = {"collection": "clusters"}
