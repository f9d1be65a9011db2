"""Jobs: long work that is leased, and the state of each organization that one works on."""

from datetime import timedelta
from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument, MasterPart, index_where_set
from portal.documents.audit import Origin

KEPT = timedelta(days=90)


class JobState(StrEnum):
    """The state of a job. The last three are final."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DONE = "done"


class ItemState(StrEnum):
    """The state of an organization in a job."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


class Progress(MasterPart):
    """The progress of a job: ``done`` of ``total``, in which ``step``, at what (``note``), and when
    that last grew. The attempt that runs began at ``since``, with ``since_done``."""

    done = fields.IntField(required=True, default=0)
    total = fields.IntField(required=True, default=0)
    step = fields.StringField()
    note = fields.StringField()
    moved_at = fields.DateTimeField()
    since = fields.DateTimeField()
    since_done = fields.IntField(required=True, default=0)


class Job(MasterDocument):
    """A long piece of work of some ``kind``, about a ``subject``; of each there is one that is
    ``open``, which is running or paused.

    ``due_at`` is when a process may acquire it, and the end of the lease of the one that did.
    ``attempt`` grows with each acquisition, also from one job of a subject to the next: the first
    of this one is greater than ``attempts_before``. ``tries`` counts the attempts that failed for
    one ``cause`` without getting further. ``waits`` is set where the last attempt ended since its
    work can go on later only, for the reason in ``last_error``, which is no failure.

    ``organization`` is the one whose members started it, in whose audit trail it stands; without
    one it is the operator's.
    """

    kind = fields.StringField(required=True)
    subject = fields.StringField(required=True)
    title = fields.StringField(required=True)
    organization = fields.ObjectIdField()
    state = fields.StringField(required=True, choices=tuple(JobState), default=JobState.RUNNING)
    open = fields.BooleanField()
    parameters = fields.DictField()
    origin = fields.EmbeddedDocumentField(Origin, required=True)
    created_at = fields.DateTimeField(required=True)
    due_at = fields.DateTimeField()
    attempts_before = fields.IntField(required=True, default=0)
    attempt = fields.IntField(required=True, default=0)
    tries = fields.IntField()
    cause = fields.StringField()
    waits = fields.BooleanField()
    last_error = fields.StringField()
    progress = fields.EmbeddedDocumentField(Progress, required=True, default=Progress)
    result = fields.DictField()
    # In words: why it failed.
    reason = fields.StringField()
    ended_at = fields.DateTimeField()

    meta = {
        "collection": "jobs",
        "indexes": [
            index_where_set("due_at"),
            index_where_set("organization", "-id"),
            {
                "fields": ["kind", "subject"],
                "name": "one_open",
                "unique": True,
                "partialFilterExpression": {"open": True},
            },
            ["kind", "subject", "-attempt"],
            {
                "fields": ["state", "-ended_at"],
                "partialFilterExpression": {"state": JobState.FAILED},
            },
            {"fields": ["ended_at"], "expireAfterSeconds": int(KEPT.total_seconds())},
        ],
    }


class JobItem(MasterDocument):
    """The state of an organization in the jobs of one ``kind`` and ``subject``, kept after them.

    Whoever begins it writes its ``attempt``, which is in the filter of every later write. ``wave``
    is the part of the job that it belonged to, ``strategy`` its placement's at that time.
    """

    kind = fields.StringField(required=True)
    subject = fields.StringField(required=True)
    organization = fields.ObjectIdField(required=True)
    state = fields.StringField(required=True, choices=tuple(ItemState))
    attempt = fields.IntField(required=True)
    wave = fields.IntField()
    strategy = fields.StringField()
    reason = fields.StringField()
    begun_at = fields.DateTimeField()
    ended_at = fields.DateTimeField()

    meta = {
        "collection": "job_items",
        "indexes": [
            {"fields": ["kind", "subject", "organization"], "unique": True},
            ["kind", "subject", "state"],
            ["kind", "subject", "-attempt"],
            "organization",
        ],
    }
