"""Actions of operators on many organizations, and what became of each."""

from datetime import timedelta
from enum import StrEnum

from mongoengine import fields

from portal.documents import MasterDocument
from portal.documents.audit import Origin

KEPT = timedelta(days=90)
_EXPIRY = {"expireAfterSeconds": int(KEPT.total_seconds())}


class BulkState(StrEnum):
    """The state of a bulk action; from ``started`` on its job has one of its own."""

    COUNTING = "counting"
    PLANNED = "planned"
    STARTED = "started"


class BulkOutcome(StrEnum):
    """The result of an organization in a bulk action."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class BulkAction(MasterDocument):
    """An ``action`` on many organizations. Which ones is frozen as ``BulkItem``s, by the job
    ``counting``, before it is planned: ``total`` of them, counted exactly.

    ``words`` are the choice as it was made, ``digest`` the hash of action, arguments and ids:
    of equal ones a single job is open. ``states`` is the number of organizations in each state.
    ``retries`` is the action of which these are what was left over, where it is such a one.
    """

    action = fields.StringField(required=True)
    arguments = fields.MapField(fields.StringField())
    words = fields.StringField(required=True)
    filter = fields.MapField(fields.StringField(), default=None)
    retries = fields.ObjectIdField()
    state = fields.StringField(required=True, choices=tuple(BulkState), default=BulkState.COUNTING)
    per_minute = fields.IntField(required=True)
    total = fields.IntField(required=True, default=0)
    # As last measured; of those that never were, nothing is known.
    measured = fields.IntField(required=True, default=0)
    documents = fields.IntField(required=True, default=0)
    bytes = fields.IntField(required=True, default=0)
    members = fields.IntField(required=True, default=0)
    owners = fields.IntField(required=True, default=0)
    states = fields.MapField(fields.IntField())
    digest = fields.StringField()
    counting = fields.ObjectIdField()
    job = fields.ObjectIdField()
    origin = fields.EmbeddedDocumentField(Origin, required=True)
    created_at = fields.DateTimeField(required=True)
    planned_at = fields.DateTimeField()

    meta = {
        "collection": "bulk_actions",
        "indexes": [{"fields": ["created_at"], **_EXPIRY}],
    }


class BulkItem(MasterDocument):
    """An organization in a bulk action, as it was when that was planned, and what became of it.
    ``facts`` and ``documents`` are what a plan of the action on it alone goes by, if there is one,
    ``suspensions`` those that are to be lifted; earlier versions wrote none. One whose cluster
    didn't answer ``tries`` times is ``waiting`` behind those that were asked less often."""

    bulk = fields.ObjectIdField(required=True)
    number = fields.IntField(required=True)
    organization = fields.ObjectIdField(required=True)
    name = fields.StringField(required=True)
    slug = fields.StringField(required=True)
    state = fields.StringField(required=True)
    version = fields.IntField(required=True)
    facts = fields.MapField(fields.StringField(), default=None)
    documents = fields.IntField()
    suspensions = fields.ListField(fields.ObjectIdField(), default=None)
    outcome = fields.StringField(
        required=True, choices=tuple(BulkOutcome), default=BulkOutcome.WAITING
    )
    tries = fields.IntField()
    # In words: why it failed or waits, or what goes on still.
    reason = fields.StringField()
    at = fields.DateTimeField()
    created_at = fields.DateTimeField(required=True)

    meta = {
        "collection": "bulk_items",
        "indexes": [
            {"fields": ["bulk", "number"], "unique": True},
            ["bulk", "outcome", "number"],
            ["bulk", "outcome", "tries", "number"],
            "organization",
            {"fields": ["created_at"], **_EXPIRY},
        ],
    }
