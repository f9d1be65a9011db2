"""Moves of organizations from one place to another, and their ways back."""

from enum import StrEnum

from bson import ObjectId
from mongoengine import fields

from portal.documents import MasterDocument, MasterPart, index_where_set
from portal.documents.audit import Origin
from portal.documents.organizations import Placement


class MoveState(StrEnum):
    """The state of a move."""

    REQUESTED = "requested"
    COPYING = "copying"
    VERIFYING = "verifying"
    READY = "ready"
    FENCED = "fenced"
    SWITCHED = "switched"
    SHADOW = "shadow"
    ENDING = "ending"
    DONE = "done"


class Outcome(StrEnum):
    """The end of a move, or of a way back."""

    MOVED = "moved"
    ABORTED = "aborted"
    DECLINED = "declined"
    WENT_BACK = "went back"
    ENDED = "ended"
    LOST = "lost"
    GIVEN_UP = "given up"


class MoveProgress(MasterPart):
    """The progress of a move. ``documents`` and ``bytes`` are about what there is, ``copied`` what
    was copied; ``dirty`` are ids that were written since, and not yet applied.

    ``last_event_at`` is when the source's stream was last read, which was ``behind_seconds`` behind
    then, by the source's clock. ``changed_at`` is when a change last came by it.
    """

    documents = fields.IntField(required=True, default=0)
    bytes = fields.IntField(required=True, default=0)
    copied = fields.IntField(required=True, default=0)
    applied = fields.IntField(required=True, default=0)
    dirty = fields.IntField(required=True, default=0)
    rate = fields.FloatField()
    verified = fields.IntField()
    note = fields.StringField()
    last_event_at = fields.DateTimeField()
    behind_seconds = fields.IntField()
    changed_at = fields.DateTimeField()
    last_written_at = fields.DateTimeField()
    moved_at = fields.DateTimeField()


class VerificationResult(MasterPart):
    """The result of comparing every document: of the differences the first ids."""

    ranges = fields.IntField(required=True, default=0)
    documents = fields.IntField(required=True, default=0)
    differences = fields.IntField(required=True, default=0)
    repaired = fields.IntField(required=True, default=0)
    ids = fields.ListField(fields.StringField())
    digest = fields.StringField()
    at = fields.DateTimeField()


class Move(MasterDocument):
    """A move of an organization's documents, or the way back of one: then ``way_back_of`` is set,
    the source is the new place and the target the old copy.

    Of an organization's moves one is ``open`` at most. ``due_at`` is when a process may acquire
    it, and the end of the lease of the one that did; each take-over increments ``attempt``, without
    which nothing is written. ``token`` is where the change stream of the source goes on: all that
    came before is applied. ``copied_to`` is the last copied ``_id``, as BSON.
    """

    organization = fields.ObjectIdField(required=True)
    slug = fields.StringField(required=True)  # as it was when the move began
    way_back_of = fields.ObjectIdField()
    state = fields.StringField(required=True, choices=tuple(MoveState))
    outcome = fields.StringField(choices=tuple(Outcome))
    reason = fields.StringField()  # in words: of its outcome
    open = fields.BooleanField()
    source = fields.EmbeddedDocumentField(Placement, required=True)
    target = fields.EmbeddedDocumentField(Placement, required=True)
    due_at = fields.DateTimeField()
    attempt = fields.IntField(required=True, default=0)
    last_error = fields.StringField()
    tries = fields.IntField()
    cause = fields.StringField()
    # Of the creation of the target's collection, which is done once.
    birth = fields.ObjectIdField(required=True, default=ObjectId)
    token = fields.DictField()
    # The way back's record, and where its stream begins: before anybody could write the target.
    way_back = fields.ObjectIdField(required=True, default=ObjectId)
    reverse_token = fields.DictField()
    copied_to = fields.BinaryField()
    progress = fields.EmbeddedDocumentField(MoveProgress, required=True, default=MoveProgress)
    verification = fields.EmbeddedDocumentField(VerificationResult)
    # What persons want of it.
    origin = fields.EmbeddedDocumentField(Origin, required=True)
    requested_for = fields.DateTimeField()
    paused = fields.BooleanField()
    abort_wanted = fields.BooleanField()
    switch_wanted = fields.BooleanField()
    switch_at = fields.DateTimeField()
    switch_in_hours = fields.BooleanField()
    without_way_back = fields.BooleanField()
    # It switches although credentials have no user at the target, which end so.
    ends_credentials = fields.BooleanField()
    way_back_days = fields.IntField()
    documents_per_second = fields.IntField()
    neighbours_p99_ms = fields.IntField()
    drain = fields.StringField()  # the run that it is part of
    # What it waits for, in words, and how often a fence failed for that.
    waits_for = fields.StringField()
    fences_failed = fields.IntField()
    # The number of its last fence, counted over all moves of the organization.
    fences = fields.IntField(required=True, default=0)
    # What the last fence prepared for the switch is to be undone.
    undo = fields.BooleanField()
    # Of a way back: its target takes what is written.
    prepared = fields.BooleanField()
    next_fence_at = fields.DateTimeField()
    pause_ms = fields.FloatField()
    until = fields.DateTimeField()  # of a way back
    created_at = fields.DateTimeField(required=True)
    switched_at = fields.DateTimeField()
    ended_at = fields.DateTimeField()

    meta = {
        "collection": "moves",
        "indexes": [
            {
                "fields": ["organization"],
                "name": "one_open",
                "unique": True,
                "partialFilterExpression": {"open": True},
            },
            index_where_set("due_at", "state"),
            ["organization", "-created_at"],
            ["open", "state", "_id"],
            index_where_set("drain", "open"),
            index_where_set("drain", "created_at"),
        ],
    }
