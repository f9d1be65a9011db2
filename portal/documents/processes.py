"""Processes of the portal, as they tell of themselves; and what one of them does at intervals."""

from datetime import timedelta

from mongoengine import fields

from portal.documents import MasterDocument, MasterPart

KEPT = timedelta(days=1)


class LoopState(MasterPart):
    """A background loop of a process: for how long its turn has run, or its turns have failed; or
    that it ``ended``."""

    name = fields.StringField(required=True)
    long_turns = fields.BooleanField()
    running_seconds = fields.FloatField()
    failing_seconds = fields.FloatField()
    error = fields.StringField()
    ended = fields.BooleanField()


class Traffic(MasterPart):
    """The requests of a process in the last ``seconds``: how many took how long, by the bounds of
    the portal's version."""

    seconds = fields.FloatField(required=True)
    requests = fields.IntField(required=True)
    durations = fields.ListField(fields.IntField())


class Process(MasterDocument):
    """A worker of the portal. ``beat_at`` is when it last told of itself, by the server's clock.

    A process that ends deletes its document. So one that fell silent was killed, or hangs.
    """

    host = fields.StringField(required=True)
    pid = fields.IntField(required=True)
    version = fields.StringField(required=True)
    started_at = fields.DateTimeField(required=True)
    beat_at = fields.DateTimeField(required=True)
    loops = fields.EmbeddedDocumentListField(LoopState)
    traffic = fields.EmbeddedDocumentField(Traffic)

    meta = {
        "collection": "processes",
        "indexes": [{"fields": ["beat_at"], "expireAfterSeconds": int(KEPT.total_seconds())}],
    }


class PeriodicTask(MasterDocument):
    """Work that one process of all does at intervals, found by its name.

    ``due_at`` is when a process may acquire it, and the end of the lease of the one that did;
    ``attempt`` counts the acquisitions. ``done_at`` is when it was last done; ``last_error`` says
    why it was not since, ``notes`` what it could not do of it, by subject.
    """

    id = fields.StringField(primary_key=True)
    due_at = fields.DateTimeField(required=True)
    attempt = fields.IntField(required=True, default=0)
    done_at = fields.DateTimeField()
    last_error = fields.StringField()
    notes = fields.DictField()

    meta = {"collection": "periodic_tasks"}
