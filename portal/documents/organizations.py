"""Organizations, their lifecycle operations, and their slugs."""

import re
from enum import StrEnum
from typing import Any

from bson import ObjectId
from mongoengine import fields

from portal import clock
from portal.documents import MasterDocument, MasterPart, index_where_set
from portal.documents.audit import Head, Origin


class OrganizationState(StrEnum):
    """The state of an organization."""

    ACTIVE = "active"
    TRASHED = "trashed"
    PURGED = "purged"


class Restriction(StrEnum):
    """The restrictions of an organization by a suspension, from the mildest to the strictest:
    nobody changes its documents; nobody reads them either, and members see why; it is as if there
    were none."""

    READ_ONLY = "read-only"
    LOCKED = "locked"
    HIDDEN = "hidden"


class OperationKind(StrEnum):
    """The kinds of lifecycle operations."""

    CREATE = "create"
    RENAME = "rename"
    TRASH = "trash"
    RESTORE = "restore"
    PURGE = "purge"
    REPAIR = "repair"
    MOVE = "move"
    RESTRICT = "restrict"


class Failure(StrEnum):
    """The reason for rolling an operation back."""

    NAME_TAKEN = "name taken"
    COLLECTION_MISSING = "collection missing"
    USERS_REFUSED = "MongoDB users can't be changed"
    CLUSTER_LOST = "cluster lost"
    NO_ROOM = "the cluster takes no further collection"
    BLOCKED = "another operation in the database held the fence up"
    BEHIND = "the target did not catch up in time"
    STREAM_LOST = "changes were missed"
    PLACE_FAILED = "a place did not do its part in time"
    DIFFERENT = "source and target differ"
    OUTSIDE_REGION = "the target is not in the region that it is bound to"
    ABORTED = "aborted"


class Strategy(StrEnum):
    """The ways in which an organization's documents are kept apart from others'."""

    COLLECTION = "collection"
    DATABASE = "database"
    SHARED = "shared"


# The first versions wrote no strategy.
KNOWN_STRATEGY: dict[str, Any] = {"placement.strategy": {"$in": [None, *Strategy]}}
"""The filter for organizations that are placed by a strategy that this version knows; a newer one
beside it looks after the others."""

MAIN_CLUSTER = "main"
"""The cluster of ``MONGO_URI``, which has the master data."""


class Placement(MasterPart):
    """The place of an organization's documents.

    Of its own collection the UUID is authoritative, the name repairable. A shared one is a pool's,
    which is renamed at each fence: its record has name and UUID. The first versions wrote neither
    strategy nor cluster; without a ``database`` it is the tenant database.

    After a move ``moved_from`` is the UUID of the collection, own or a pool's, that it came from;
    ``moved_at`` a BSON timestamp of this place's cluster: the move wrote nothing here after it, and
    nobody else anything before. ``left_at`` is one of the former place's: nobody but the move wrote
    there after it.
    """

    strategy = fields.StringField(required=True, default=Strategy.COLLECTION)
    cluster = fields.StringField(required=True, default=MAIN_CLUSTER)
    database = fields.StringField()
    collection = fields.StringField()
    uuid = fields.UUIDField(binary=True)
    pool = fields.IntField()
    moved_from = fields.UUIDField(binary=True)
    moved_at = fields.DynamicField()
    left_at = fields.DynamicField()

    @property
    def shown(self) -> str:
        """The name on pages: of the collection or database that is the organization's alone, else
        of the pool, whose collection has another name after each fence."""
        return shown_place(self.strategy, self.pool, self.database, self.collection)


def shown_place(
    strategy: str, pool: int | None, database: str | None, collection: str | None
) -> str:
    """The name of a placement of these parts on pages, as ``Placement.shown`` has it."""
    if strategy == Strategy.SHARED:
        return f"shared_{pool}"
    return (database if strategy == Strategy.DATABASE else collection) or ""


class Operation(MasterPart):
    """A running lifecycle operation: its target, its requester, and the lease of its executor.

    Each take-over increments ``attempt``, which is, with ``id``, in the filter of every write, so
    that an executor that lost the lease can't write any more. After a failed attempt the operation
    is due again at ``lease_until``; ``last_error`` says why. ``failure`` is set once and rolls the
    operation back.
    """

    id = fields.ObjectIdField(required=True, default=ObjectId)
    kind = fields.StringField(required=True)
    attempt = fields.IntField(required=True, default=1)
    lease_until = fields.DateTimeField()
    started_at = fields.DateTimeField(required=True)
    origin = fields.EmbeddedDocumentField(Origin, required=True)
    # Of an organization with a collection of its own.
    collection = fields.StringField()
    name = fields.StringField()
    slug = fields.StringField()
    founds_account = fields.BooleanField()
    # The move that it is part of.
    move = fields.ObjectIdField()
    # Of a restriction: the suspension that begins, or is lifted, and what the organization is
    # restricted to afterwards, and was before.
    suspension = fields.ObjectIdField()
    restricted = fields.StringField()
    restricted_before = fields.StringField()
    last_error = fields.StringField()
    # The idempotency key of its request, if any: released when the operation is rolled back.
    request_key = fields.StringField()
    failure = fields.StringField(choices=tuple(Failure))


class Deletion(MasterPart):
    """A deletion of something of an organization's that is under way, until ``until`` at most."""

    id = fields.ObjectIdField(required=True)
    until = fields.DateTimeField(required=True)


class OwnLimits(MasterPart):
    """Limits of an organization or of a plan: documents and bytes that are kept, operations per
    second. Without one there is none."""

    documents = fields.LongField()
    bytes = fields.LongField()
    operations = fields.LongField()


class RolledBack(MasterPart):
    """The last operation that was rolled back, for the executor that was overtaken meanwhile."""

    operation = fields.ObjectIdField(required=True)
    kind = fields.StringField(required=True)
    failure = fields.StringField(required=True)
    at = fields.DateTimeField(required=True)


class Organization(MasterDocument):
    """A tenant. The document is the write-ahead log of its own lifecycle operations.

    A purged organization is a tombstone without collection or members; ``owners`` are the accounts
    that owned it.
    """

    name = fields.StringField(required=True)
    slug = fields.StringField(required=True)
    state = fields.StringField(
        required=True, choices=tuple(OrganizationState), default=OrganizationState.ACTIVE
    )
    placement = fields.EmbeddedDocumentField(Placement, required=True)
    # Grows with each change of state, placement or operation, in the same write. The first
    # versions wrote none.
    version = fields.IntField(default=0)
    # When it grew last; the first one is as old as the organization.
    version_at = fields.DateTimeField()
    # Set by whoever runs the portal; the placement policy goes by them.
    plan = fields.StringField()
    region = fields.StringField()
    # What other systems know it by: set by whoever runs the portal, and not seen by its members.
    external_id = fields.StringField()
    metadata = fields.MapField(fields.StringField(), default=None)
    # The strictest of its open suspensions, written in the transaction of each; but while one is
    # being lifted as before.
    restricted = fields.StringField()
    # Set while a legal hold is open: whatever deletes asks for it in the write that begins it.
    held = fields.BooleanField()
    deletions = fields.EmbeddedDocumentListField(Deletion, default=None)
    # Its own, which go before those of its plan.
    limits = fields.EmbeddedDocumentField(OwnLimits)
    operation = fields.EmbeddedDocumentField(Operation)
    rolled_back = fields.EmbeddedDocumentField(RolledBack, db_field="turned_back")
    created_at = fields.DateTimeField(required=True)
    created_by = fields.ObjectIdField(required=True)
    trashed_at = fields.DateTimeField()
    trashed_by = fields.ObjectIdField()
    purge_at = fields.DateTimeField()
    # When to warn the owners, until they were; then the ``purge_at`` that they were warned of. The
    # first versions set neither.
    warn_at = fields.DateTimeField()
    warned_of = fields.DateTimeField()
    purged_at = fields.DateTimeField()
    purged_by = fields.ObjectIdField()
    owners = fields.ListField(fields.ObjectIdField(), default=None)
    # Set by an owner; without it viewers see that there are documents, but none of them.
    viewers_read_documents = fields.BooleanField()
    # Dotted paths of fields that only who has ``documents.unmask`` sees.
    masked_fields = fields.ListField(fields.StringField(), default=None)
    # Fields that are suggested as sensitive no longer.
    passed_over_fields = fields.ListField(fields.StringField(), default=None)
    # What programs write by the API can be undone too.
    records_programs = fields.BooleanField()
    # From when on it locks out members without a second factor.
    second_factor_from = fields.DateTimeField()
    # The number of its credentials; without any, operations need not look for them.
    credentials = fields.IntField()
    # Likewise the number of MongoDB users by whom operators read its documents.
    support_users = fields.IntField()
    # The end of the last support grant in force, which may be over.
    support_until = fields.DateTimeField()
    audit_head = fields.EmbeddedDocumentField(Head, default=Head)
    # Set by each event, to another value, until the listing shows what it changed.
    unlisted = fields.ObjectIdField()

    meta = {
        "collection": "organizations",
        "indexes": [
            index_where_set("unlisted"),
            index_where_set("operation.lease_until"),
            "placement.uuid",
            index_where_set("placement.pool", "state"),
            ("placement.strategy", "placement.cluster", "_id"),
            index_where_set("plan", "placement.strategy", "placement.cluster", "_id"),
            index_where_set("region", "placement.strategy", "placement.cluster", "_id"),
            {**index_where_set("external_id"), "unique": True},
            index_where_set("purge_at"),
            index_where_set("warn_at"),
            index_where_set("restricted"),
            index_where_set("held"),
        ],
    }

    @property
    def collections(self) -> tuple[str, ...]:
        """The names that its own collection may have: placement's and the operation's."""
        names = [self.placement.collection, self.operation and self.operation.collection]
        return tuple(filter(None, names))


def next_version() -> dict[str, Any]:
    """The change by which an organization's version grows, as an update's."""
    return {"inc__version": 1, "set__version_at": clock.now()}


SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class SlugState(StrEnum):
    """The state of a slug in the organization that holds it."""

    CURRENT = "current"
    TARGET = "target"
    OLD = "old"


class Slug(MasterDocument):
    """A claim on a slug. Its ``_id`` is the slug, so the unique index decides every race. An old
    slug has the ``name`` that its organization had with it."""

    id = fields.StringField(primary_key=True)
    organization = fields.ObjectIdField(required=True)
    state = fields.StringField(required=True, choices=tuple(SlugState))
    held_until = fields.DateTimeField()
    name = fields.StringField()

    meta = {"collection": "slugs", "indexes": ["organization"]}
