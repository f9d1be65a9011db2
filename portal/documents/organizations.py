"""Organizations, and the lifecycle operation that runs on one."""

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
    """Where an organization is in its life."""

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
    """Where an organization's documents are. The UUID is the truth, the name may be repaired."""

    collection = StringField(required=True)
    uuid = UUIDField(binary=True)

    meta = {"strict": False}


class Operation(EmbeddedDocument):
    """A lifecycle operation that runs: what is wanted, who carries it out, and until when.

    ``attempt`` grows with each take-over and is, with ``id``, in the filter of every write, so
    whoever lost the lease can't write any more. After an attempt that failed nobody carries it
    out until ``lease_until``, when it is due again; ``last_error`` says what it was. ``failure``
    is set once and turns the operation back.
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
    # Of the request that asked for it, if that had one: freed when the operation is turned back.
    request_key = StringField()
    failure = StringField(choices=tuple(Failure))

    meta = {"strict": False}


class RolledBack(EmbeddedDocument):
    """The last operation that nothing came of: who was overtaken by others is told by it."""

    operation = ObjectIdField(required=True)
    kind = StringField(required=True)
    failure = StringField(required=True)
    at = DateTimeField(required=True)

    meta = {"strict": False}


class Organization(Document):
    """A tenant. The document is the write-ahead log of its own lifecycle operations.

    A purged one is a tombstone: it has neither collection nor members, and ``owners`` are the
    accounts who owned it.
    """

    name = StringField(required=True)
    slug = StringField(required=True)
    state = StringField(
        required=True, choices=tuple(OrganizationState), default=OrganizationState.ACTIVE
    )
    placement = EmbeddedDocumentField(Placement, required=True)
    operation = EmbeddedDocumentField(Operation)
    turned_back = EmbeddedDocumentField(RolledBack)
    created_at = DateTimeField(required=True)
    created_by = ObjectIdField(required=True)
    trashed_at = DateTimeField()
    trashed_by = ObjectIdField()
    purge_at = DateTimeField()
    warn_at = DateTimeField()
    purged_at = DateTimeField()
    purged_by = ObjectIdField()
    owners = ListField(ObjectIdField(), default=None)
    # From when on members see nothing of it without a second factor.
    second_factor_from = DateTimeField()
    audit_head = EmbeddedDocumentField(Head, default=Head)

    meta = {
        "collection": "organizations",
        "auto_create_index": False,
        "strict": False,
        "indexes": [
            {
                # Only the organizations with a running operation are in it, so that what is
                # due stays cheap to find among a million.
                "fields": ["operation.lease_until"],
                "partialFilterExpression": {"operation.lease_until": {"$exists": True}},
            },
            "placement.uuid",  # whose collection is this?
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
        """The names under which the tenant collection may be found: the recorded ones."""
        names = [self.placement.collection]
        if self.operation:
            names.append(self.operation.collection)
        return tuple(names)
