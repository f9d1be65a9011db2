"""Organizations and their lifecycle operations."""

from enum import StrEnum

from bson import ObjectId
from mongoengine import (
    BooleanField,
    DateTimeField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
    UUIDField,
)

from portal.documents.audit import Head, Origin


class OrganizationState(StrEnum):
    """The state of an organization."""

    ACTIVE = "active"
    TRASHED = "trashed"
    PURGED = "purged"


class OperationKind(StrEnum):
    """The kinds of lifecycle operations."""

    CREATE = "create"
    RENAME = "rename"
    TRASH = "trash"
    RESTORE = "restore"
    PURGE = "purge"
    REPAIR = "repair"


class Failure(StrEnum):
    """Why an operation is rolled back."""

    NAME_TAKEN = "name taken"
    COLLECTION_MISSING = "collection missing"


class Placement(EmbeddedDocument):
    """Where an organization's documents are. The UUID is authoritative, the name repairable."""

    collection = StringField(required=True)
    uuid = UUIDField(binary=True)

    meta = {"strict": False}


class Operation(EmbeddedDocument):
    """A running lifecycle operation: its target, its requester, and the lease of its executor.

    Each take-over increments ``attempt``, which is, with ``id``, in the filter of every write, so
    that an executor that lost the lease can't write any more. After a failed attempt the operation
    is due again at ``lease_until``; ``last_error`` says why. ``failure`` is set once and rolls the
    operation back.
    """

    id = ObjectIdField(required=True, default=ObjectId)
    kind = StringField(required=True)
    attempt = IntField(required=True, default=1)
    lease_until = DateTimeField()
    started_at = DateTimeField(required=True)
    origin = EmbeddedDocumentField(Origin, required=True)
    collection = StringField(required=True)
    name = StringField()
    slug = StringField()
    founds_account = BooleanField()
    last_error = StringField()
    # The idempotency key of its request, if any: released when the operation is rolled back.
    request_key = StringField()
    failure = StringField(choices=tuple(Failure))

    meta = {"strict": False}


class RolledBack(EmbeddedDocument):
    """The last operation that was rolled back, for the executor that was overtaken meanwhile."""

    operation = ObjectIdField(required=True)
    kind = StringField(required=True)
    failure = StringField(required=True)
    at = DateTimeField(required=True)

    meta = {"strict": False}


class Organization(Document):
    """A tenant. The document is the write-ahead log of its own lifecycle operations.

    A purged organization is a tombstone without collection or members; ``owners`` are the accounts
    that owned it.
    """

    name = StringField(required=True)
    slug = StringField(required=True)
    state = StringField(
        required=True, choices=tuple(OrganizationState), default=OrganizationState.ACTIVE
    )
    placement = EmbeddedDocumentField(Placement, required=True)
    operation = EmbeddedDocumentField(Operation)
    rolled_back = EmbeddedDocumentField(RolledBack, db_field="turned_back")
    created_at = DateTimeField(required=True)
    created_by = ObjectIdField(required=True)
    trashed_at = DateTimeField()
    trashed_by = ObjectIdField()
    purge_at = DateTimeField()
    warn_at = DateTimeField()
    purged_at = DateTimeField()
    purged_by = ObjectIdField()
    owners = ListField(ObjectIdField(), default=None)
    # From when on it locks out members without a second factor.
    second_factor_from = DateTimeField()
    audit_head = EmbeddedDocumentField(Head, default=Head)

    meta = {
        "collection": "organizations",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            {
                # Contains only organizations with a running operation, so that finding due ones
                # among a million stays cheap.
                "fields": ["operation.lease_until"],
                "partialFilterExpression": {"operation.lease_until": {"$exists": True}},
            },
            "placement.uuid",
            {
                "fields": ["purge_at"],
                "partialFilterExpression": {"purge_at": {"$exists": True}},
            },
            {
                "fields": ["warn_at"],
                "partialFilterExpression": {"warn_at": {"$exists": True}},
            },
        ],
    }

    @property
    def collections(self) -> tuple[str, ...]:
        """The names that the tenant collection may have: placement's and the operation's."""
        names = [self.placement.collection]
        if self.operation:
            names.append(self.operation.collection)
        return tuple(names)
