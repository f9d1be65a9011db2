"""The engine of lifecycle operations.

An organization's document is its own write-ahead log. An operation is first written into it by
compare-and-set, then carried out in idempotent steps, then cleared together with its result.
Whoever finds one whose lease ran out takes it over and begins with the first step again. Only
one thing turns an operation back: a step that says forward is impossible; that is written into
the document before anything is undone.

Leases are set and compared with the server's clock, so no process's clock matters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pymongo
import structlog
from mongoengine import QuerySet
from mongoengine.errors import MongoEngineException
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from portal import database
from portal.errors import (
    AddressChanged,
    CollectionInTheWay,
    CollectionLost,
    DatabaseUnavailable,
    NotFound,
    OperationInProgress,
    PortalError,
    SlugTaken,
)
from portal.organizations.documents import (
    ACTIVE,
    COLLECTION_MISSING,
    CREATE,
    Operation,
    Organization,
)
from portal.tenants.collections import CollectionError

log = structlog.get_logger()

LEASE_SECONDS = 30
# Shorter than the lease: who is still at work has it.
RUN_SECONDS = 20

_LEASE = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": LEASE_SECONDS}}

Step = Callable[[Organization], Organization]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a kind of operation, each idempotent: onward, and back again."""

    forward: tuple[Step, ...]
    back: tuple[Step, ...]


class LeaseLost(Exception):
    """Somebody else carries the operation on, or has finished it."""


class ForwardImpossible(Exception):
    """Raised by a step: the operation must be turned back. The message becomes its failure,
    NAME_TAKEN or COLLECTION_MISSING."""


def insert_with_intent(organization: Organization) -> None:
    """Insert an organization together with its first operation, in the caller's transaction."""
    document = organization.to_mongo().to_dict()
    Organization._get_collection().update_one(
        {"_id": organization.id},
        [
            {"$replaceWith": {"$literal": document}},
            {"$set": {"operation.lease_until": _LEASE}},
        ],
        upsert=True,
    )


def write_intent(organization: Organization, operation: Operation) -> Organization:
    """Write ``operation`` into the document, in the caller's transaction.

    Raises OperationInProgress where another runs, AddressChanged where it was renamed since
    it was read, NotFound where it is gone; then nothing was written.
    """
    written = Organization._get_collection().find_one_and_update(
        {
            "_id": organization.id,
            "state": ACTIVE,
            "slug": organization.slug,
            "operation": None,
        },
        [
            {"$set": {"operation": {"$literal": operation.to_mongo().to_dict()}}},
            {"$set": {"operation.lease_until": _LEASE}},
        ],
        return_document=ReturnDocument.AFTER,
    )
    if written is None:
        raise refusal(organization)
    return Organization._from_son(written)


def refusal(organization: Organization) -> PortalError:
    """Why a change of ``organization`` as it was read found nothing to change."""
    current = Organization.objects(id=organization.id, state=ACTIVE).first()
    if current is None:
        return NotFound()
    if current.operation:
        running = current.operation
        return OperationInProgress(current.name, current.slug, running.kind, running.started_at)
    return AddressChanged(current.name, current.slug)


def carry_out(organization: Organization, plan: Plan) -> Organization:
    """Carry the organization's operation to its end and return the organization as it is then.

    Raises LeaseLost, ForwardImpossible after it was turned back, PyMongoError where MongoDB
    did not answer in time: the operation stays written and is taken over later.
    """
    with pymongo.timeout(RUN_SECONDS):
        failure = organization.operation.failure
        if not failure:
            try:
                return _walk(organization, plan.forward)
            except ForwardImpossible as impossible:
                failure = str(impossible)
                organization = advance(organization, set__operation__failure=failure)
        _walk(organization, plan.back)
        raise ForwardImpossible(failure)


def pursue(organization: Organization, plan: Plan) -> Organization:
    """Carry the operation out now as far as it goes; the rest is the runner's.

    Returns the organization as it is then, with its operation if that isn't finished. Raises
    SlugTaken, CollectionLost, CollectionInTheWay or DatabaseUnavailable where it had to be
    turned back.
    """
    try:
        return _outcome(organization, plan)
    except ForwardImpossible as impossible:
        log.error("operation.turned_back", reason=str(impossible), **labels(organization))
        raise _told(organization, str(impossible)) from impossible
    except (PyMongoError, MongoEngineException, CollectionError) as error:
        # The intent is committed, so whatever it is, the answer is that it will be done.
        level = log.warning if database.unavailable(error) else log.exception
        level("operation.left_to_runner", error=str(error), **labels(organization))
        return organization


def _outcome(organization: Organization, plan: Plan) -> Organization:
    try:
        return carry_out(organization, plan)
    except LeaseLost:  # somebody else carried it on; this is what came of it so far
        return Organization.objects(id=organization.id).first() or organization


def _told(organization: Organization, failure: str) -> PortalError:
    """A turned back operation's failure as services tell it."""
    operation = organization.operation
    if failure == COLLECTION_MISSING:
        created = operation.kind == CREATE
        return DatabaseUnavailable() if created else CollectionLost(organization.name)
    if operation.slug:
        return SlugTaken(operation.slug)
    return CollectionInTheWay(organization.name, operation.collection)


def _walk(organization: Organization, steps: tuple[Step, ...]) -> Organization:
    for step in steps:
        organization = step(organization)
    return organization


def advance(organization: Organization, **changes: object) -> Organization:
    """Change the document for as long as the operation is ours. Raises LeaseLost."""
    changed = mine(organization).modify(new=True, **changes)
    if changed is None:
        raise LeaseLost(str(organization.id))
    return changed


def mine(organization: Organization) -> QuerySet:
    """The query that finds the organization while this attempt at its operation is the last."""
    operation = organization.operation
    return Organization.objects(
        id=organization.id, operation__id=operation.id, operation__attempt=operation.attempt
    )


def labels(organization: Organization) -> dict[str, str | int]:
    """What names the organization's operation in the log."""
    operation = organization.operation
    return {
        "organization": str(organization.id),
        "kind": operation.kind,
        "attempt": operation.attempt,
    }


def take_over() -> Organization | None:
    """Take the lease of one operation whose holder let it run out, if there is one."""
    taken = Organization._get_collection().find_one_and_update(
        {
            "operation.lease_until": {"$exists": True},  # what the partial index holds
            "$expr": {"$lt": ["$operation.lease_until", "$$NOW"]},
        },
        [
            {
                "$set": {
                    "operation.lease_until": _LEASE,
                    "operation.attempt": {"$add": ["$operation.attempt", 1]},
                }
            }
        ],
        return_document=ReturnDocument.AFTER,
    )
    return Organization._from_son(taken) if taken else None
