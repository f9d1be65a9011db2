"""Use of organizations: counted by the tenant store, rolled up by minute, hour and day.

Counts are sums: ``operations``, of which a command is one, or each document that it writes;
``commands``; ``bytes_in``, written, and ``bytes_out``, read; ``slow`` commands; ``milliseconds`` in
the database; ``waited`` milliseconds for a limit; ``refused`` operations; ``direct`` ones, by the
organization's own MongoDB users, an estimate. Within ``minutes`` and ``hours`` they stand under
their number.
"""

from mongoengine import fields

from portal.documents import MasterDocument, index_where_set
from portal.documents.installation import INSTALLATION

_MINUTES_KEPT_SECONDS = 4 * 24 * 3600
_HOURS_KEPT_SECONDS = 100 * 24 * 3600


class UsageHour(MasterDocument):
    """An organization's use in an hour. ``unfolded`` is set until it stands in its day as well. As
    all of these it outlives its organization, and expires: there may be millions."""

    organization = fields.ObjectIdField(required=True)
    hour = fields.DateTimeField(required=True)
    cluster = fields.StringField(required=True)
    total = fields.DictField(required=True)
    minutes = fields.DictField(required=True)
    unfolded = fields.BooleanField()

    meta = {
        "collection": "usage_hours",
        "indexes": [
            {"fields": ("organization", "hour"), "unique": True},
            ("hour", "-total.operations"),
            index_where_set("unfolded", "hour"),
            {"fields": ["hour"], "expireAfterSeconds": _MINUTES_KEPT_SECONDS},
        ],
    }


class UsageDay(MasterDocument):
    """An organization's use in a day of UTC, by hour."""

    organization = fields.ObjectIdField(required=True)
    day = fields.DateTimeField(required=True)
    hours = fields.DictField(required=True)

    meta = {
        "collection": "usage_days",
        "indexes": [
            {"fields": ("organization", "day"), "unique": True},
            {"fields": ["day"], "expireAfterSeconds": _HOURS_KEPT_SECONDS},
        ],
    }


class ClusterUsage(MasterDocument):
    """The use of a cluster by all organizations in an hour."""

    cluster = fields.StringField(required=True)
    hour = fields.DateTimeField(required=True)
    total = fields.DictField(required=True)
    minutes = fields.DictField(required=True)

    meta = {
        "collection": "usage_clusters",
        "indexes": [
            {"fields": ("cluster", "hour"), "unique": True},
            {"fields": ["hour"], "expireAfterSeconds": _HOURS_KEPT_SECONDS},
        ],
    }


class UsageReporter(MasterDocument):
    """A process that reports what it counts. Its ``_id`` is random, its batches are numbered
    without a gap; ``until`` is the end of the latest. It ``ended`` with a last batch, or is taken
    to have ended when nothing is heard of it."""

    id = fields.StringField(primary_key=True)
    number = fields.IntField(required=True)
    until = fields.DateTimeField(required=True)
    heard_at = fields.DateTimeField(required=True)
    source = fields.StringField()
    ended = fields.BooleanField()

    meta = {
        "collection": "usage_reporters",
        "indexes": [
            ("ended", "heard_at"),
            {"fields": ["heard_at"], "expireAfterSeconds": _MINUTES_KEPT_SECONDS},
        ],
    }


class UsageGap(MasterDocument):
    """A time in which a process may have counted what nobody was told of."""

    reporter = fields.StringField(required=True)
    since = fields.DateTimeField(required=True)
    until = fields.DateTimeField(required=True)

    meta = {
        "collection": "usage_gaps",
        "indexes": [
            {"fields": ("reporter", "since"), "unique": True},
            {"fields": ["until"], "expireAfterSeconds": _HOURS_KEPT_SECONDS},
        ],
    }


class UsageRollup(MasterDocument):
    """The leased work of rolling up. All that was reported of the time from ``since`` to ``until``
    has been added up."""

    id = fields.ObjectIdField(primary_key=True, default=INSTALLATION)
    since = fields.DateTimeField()
    until = fields.DateTimeField()
    due_at = fields.DateTimeField()
    attempt = fields.IntField(default=0)
    last_error = fields.StringField()

    meta = {"collection": "usage_rollup"}


class DirectReading(MasterDocument):
    """The server's counter of operations on an organization's collection ``uuid``, as last read.
    Of those ``done`` ``since`` the reading before, what isn't counted by the store is added to its
    use once all reports up to ``waits_for`` are added up."""

    id = fields.ObjectIdField(primary_key=True)
    uuid = fields.UUIDField(binary=True, required=True)
    operations = fields.IntField(required=True)
    read_at = fields.DateTimeField(required=True)
    since = fields.DateTimeField()
    done = fields.IntField()
    waits_for = fields.DateTimeField()

    meta = {
        "collection": "direct_readings",
        "indexes": [{"fields": ["read_at"], "expireAfterSeconds": _MINUTES_KEPT_SECONDS}],
    }
