"""Readings of clusters' capacity, a day each."""

from mongoengine import fields

from portal.documents import MasterDocument


class CapacityReading(MasterDocument):
    """A cluster's last reading of a day, found by the cluster and the day.

    By these a process that can't read the cluster knows what it may hold, and a forecast how fast
    it fills. ``limit`` and ``held`` are in files: collections and indexes.
    """

    id = fields.StringField(primary_key=True)
    cluster = fields.StringField(required=True)
    at = fields.DateTimeField(required=True)
    collections = fields.IntField(required=True)
    indexes = fields.IntField(required=True)
    databases = fields.IntField()
    open_files = fields.IntField()
    max_open_files = fields.IntField()
    closes_early = fields.BooleanField(required=True, default=False)
    memory_bytes = fields.IntField()

    meta = {"collection": "capacity_readings", "indexes": [("cluster", "at")]}
