"""The engine of lifecycle operations.

An organization's document is its own write-ahead log. An operation is first written into it by
compare-and-set, then carried out in idempotent steps, then cleared together with its result.
Whoever finds one whose lease ran out takes it over and begins with the first step again. Only
one thing turns an operation back: a step that says forward is impossible; that is written into
the document before anything is undone.

Leases are set and compared with the server's clock, so no process's clock matters. A new kind
of operation needs a ``Plan`` in a module of its own, and its place in ``plans.PLANS``.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from mongoengine import QuerySet
from mongoengine.errors import MongoEngineException
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from portal import clock
from portal.database import connection
from portal.database.errors import DatabaseUnavailable
from portal.database.leases import LeasedQueue
from portal.database.transactions import TRANSACTION_SECONDS, transaction, within_transaction
from portal.documents.organizations import (
    Failure,
    Operation,
    OperationKind,
    Organization,
    OrganizationState,
    RolledBack,
)
from portal.errors import NotFound, PortalError
from portal.organizations.access.errors import NotInTrash, OrganizationPurged, OrganizationRenamed
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    OperationInProgress,
    SlugTaken,
    TenantCollectionMissing,
)
from portal.tenants.collections import CollectionError
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key, release_key

log = structlog.get_logger()

LEASE_SECONDS = 30
# Shorter than the lease, also when the intent's transaction took its time: who is still at work
# has it.
RUN_SECONDS = 20
LONGEST_PAUSE_SECONDS = 45

_SPARE_SECONDS = LEASE_SECONDS - RUN_SECONDS - TRANSACTION_SECONDS

Step = Callable[[Organization], Organization | Generator[None, None, Organization]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A kind of operation: its name, what pages call it, and its steps, onward and back again.

    A step is idempotent, and takes RUN_SECONDS at most. One that takes longer is a generator
    that yields at least as often, wherever it may be interrupted; the lease is renewed there.
    ``title`` is filled with the operation's ``name``. A plan without ``back`` goes forward only.
    """

    kind: str
    title: str
    doing: str
    forward: tuple[Step, ...]
    back: tuple[Step, ...] = ()


PLANS: dict[str, Plan] = {}
"""Every kind of operation that this version knows, as ``install`` was given them."""

_QUEUE = LeasedQueue(
    Organization,
    due_field="operation.lease_until",
    attempt_field="operation.attempt",
    error_field="operation.last_error",
    lease_seconds=LEASE_SECONDS,
)


class LeaseLost(Exception):
    """Somebody else carries the operation on, or has finished it."""


class RollBack(Exception):
    """Raised by a step: the operation must be turned back. The message becomes its failure,
    NAME_TAKEN or COLLECTION_MISSING."""


def install(plans: tuple[Plan, ...]) -> None:
    """Make these the kinds of operations that this version knows."""
    PLANS.clear()
    PLANS.update({plan.kind: plan for plan in plans})


@within_transaction
def insert_with_intent(organization: Organization, context: RequestContext) -> None:
    """Insert an organization together with its first operation, in the caller's transaction.
    Raises DuplicateRequest where the same request did it already."""
    _claim_key(organization.id, organization.operation, context)
    document = organization.to_mongo().to_dict()
    Organization._get_collection().update_one(
        {"_id": organization.id},
        [
            {"$replaceWith": {"$literal": document}},
            {"$set": _QUEUE.lease},
        ],
        upsert=True,
    )


@within_transaction
def write_intent(
    organization: Organization,
    operation: Operation,
    context: RequestContext,
    *,
    states: tuple[str, ...] = (OrganizationState.ACTIVE,),
) -> Organization:
    """Write ``operation`` into the document, which is in one of the ``states``, in the caller's
    transaction.

    Raises OperationInProgress where another runs; OrganizationRenamed, NotInTrash,
    OrganizationPurged or NotFound where it isn't what it was when it was read; DuplicateRequest
    where the same request did it already. Then nothing was written.
    """
    _claim_key(organization.id, operation, context)
    as_read = {"_id": organization.id, "state": organization.state, "slug": organization.slug}
    written = write_intent_where(as_read, operation) if organization.state in states else None
    if written is None:
        raise refusal(organization)
    return written


def write_intent_where(wanted: dict[str, Any], operation: Operation) -> Organization | None:
    """Write ``operation`` into an organization that is as ``wanted`` and has none, if there is
    one."""
    written = Organization._get_collection().find_one_and_update(
        {**wanted, "operation": None},
        [
            {"$set": {"operation": {"$literal": operation.to_mongo().to_dict()}}},
            {"$set": _QUEUE.lease},
        ],
        return_document=ReturnDocument.AFTER,
    )
    return Organization._from_son(written) if written else None


def _claim_key(organization_id: ObjectId, operation: Operation, context: RequestContext) -> None:
    key = context.idempotency_key
    operation.request_key = key and key.id
    claim_key(context, organization_id, operation.kind, operation.id)


def refusal(organization: Organization) -> PortalError:
    """Why a change of ``organization`` as it was read found nothing to change."""
    current = Organization.objects(id=organization.id).first()
    if current is None:
        return NotFound()
    if current.state == OrganizationState.PURGED:
        return OrganizationPurged(current.name, current.purged_at)
    if current.operation and current.state == organization.state:
        return in_progress(current)
    if current.state == OrganizationState.TRASHED:
        return NotFound()  # as for everybody who asks for it by its slug
    if organization.state == OrganizationState.TRASHED:
        return NotInTrash(current.name, current.slug)
    return OrganizationRenamed(current.name, current.slug)


def in_progress(organization: Organization) -> OperationInProgress:
    """What is running on ``organization``, as it is told to who wants something else."""
    running = organization.operation
    back_at = "" if organization.state == OrganizationState.TRASHED else organization.slug
    return OperationInProgress(
        organization.name, back_at, running.kind, doing(running.kind), running.started_at
    )


def run(organization: Organization) -> Organization:
    """Carry the organization's operation to its end and return the organization as it is then.

    Raises LeaseLost, RollBack after it was turned back, PyMongoError where MongoDB
    did not answer in time: the operation stays written and is taken over later.
    """
    plan, failure = PLANS[organization.operation.kind], organization.operation.failure
    if not failure:
        try:
            return _run_steps(organization, plan.forward)
        except RollBack as impossible:
            failure = str(impossible)
            organization = _roll_back(organization, failure)
    _run_steps(organization, plan.back)
    raise RollBack(failure)


def _roll_back(organization: Organization, failure: str) -> Organization:
    """Write down that nothing will come of the operation: so whoever asks again may try again."""

    def body() -> Organization:
        operation = organization.operation
        noted = RolledBack(
            operation=operation.id, kind=operation.kind, failure=failure, at=clock.now()
        )
        turned = update_if_held(
            organization, set__operation__failure=failure, set__turned_back=noted
        )
        release_key(turned.operation.request_key, turned.operation.id)
        return turned

    return transaction(body)


def run_now(organization: Organization) -> Organization:
    """Carry the operation out now as far as it goes; the rest is the runner's.

    Returns the organization as it is then, with its operation if that isn't finished. Raises
    SlugTaken, TenantCollectionMissing, CollectionNameConflict or DatabaseUnavailable where it had
    to be turned back.
    """
    try:
        try:
            return run(organization)
        except LeaseLost:
            return _overtaken(organization)
    except RollBack as impossible:
        log.error("operation.turned_back", reason=str(impossible), **log_context(organization))
        raise _error_of(organization, str(impossible)) from impossible
    except (PyMongoError, MongoEngineException, CollectionError) as error:
        # The intent is committed, so whatever it is, the answer is that it will be done.
        level = log.warning if connection.is_unavailable(error) else log.exception
        level("operation.left_to_runner", error=str(error), **log_context(organization))
        reschedule(organization, error)
        return organization


def repair_organization(organization: Organization, context: RequestContext) -> Organization:
    """Give the collection the name that is recorded for it, wherever it is found.

    Raises TenantCollectionMissing, CollectionNameConflict; OperationInProgress or another refusal
    where the organization isn't what it was when it was read.
    """
    operation = Operation(
        kind=OperationKind.REPAIR,
        started_at=clock.now(),
        origin=context.origin,
        collection=organization.placement.collection,
    )
    return run_now(
        transaction(
            lambda: write_intent(
                organization,
                operation,
                context,
                states=(OrganizationState.ACTIVE, OrganizationState.TRASHED),
            )
        )
    )


def reschedule(organization: Organization, error: Exception) -> None:
    """Have the operation tried again after a pause that grows with each attempt, and keep why.

    Where even that can't be written, its lease runs out by itself.
    """
    operation = organization.operation
    pause = min(2**operation.attempt, LONGEST_PAUSE_SECONDS)
    change = _QUEUE.delay(pause, error)
    try:
        current_attempt(organization).update_one(__raw__=[{"$set": change}])
    except (PyMongoError, MongoEngineException) as again:
        log.warning("operation.not_put_off", error=str(again), **log_context(organization))


def _overtaken(organization: Organization) -> Organization:
    """The organization whose operation somebody else carried on, as it is now.

    Raises RollBack where they turned it back.
    """
    current = Organization.objects(id=organization.id).first()
    if current is None:  # a creation that was turned back; nearly always since the name is taken
        raise RollBack(Failure.NAME_TAKEN)
    turned_back = current.turned_back
    if turned_back and turned_back.operation == organization.operation.id:
        raise RollBack(turned_back.failure)
    if current.operation or current.state == OrganizationState.PURGED:
        return current
    # What this attempt sent last may have come after the others were done: no fence is against
    # that, and only the name can have suffered.
    try:
        return repair_organization(current, RequestContext())
    except PortalError as error:  # the operation itself is done, by others
        log.warning("collection.not_repaired", reason=repr(error), organization=str(current.id))
        return current


def _error_of(organization: Organization, failure: str) -> PortalError:
    """A turned back operation's failure as services tell it."""
    operation = organization.operation
    if failure == Failure.COLLECTION_MISSING:
        created = operation.kind == OperationKind.CREATE
        return DatabaseUnavailable() if created else TenantCollectionMissing(organization.name)
    if operation.slug:
        return SlugTaken(operation.slug)
    return CollectionNameConflict(organization.name, operation.collection)


def _run_steps(organization: Organization, steps: tuple[Step, ...]) -> Organization:
    lease = _Lease(organization)
    for step in steps:
        organization = _run_step(step, organization, lease)
    return organization


def _run_step(step: Step, organization: Organization, lease: "_Lease") -> Organization:
    """Take a step, in as many parts as it has."""
    lease.hold()
    with pymongo.timeout(RUN_SECONDS):
        taken = step(organization)
    if isinstance(taken, Organization):
        return taken
    while True:
        lease.hold()
        try:
            with pymongo.timeout(RUN_SECONDS):
                next(taken)
        except StopIteration as end:
            return end.value


class _Lease:
    """The lease of an operation that is being carried out."""

    def __init__(self, organization: Organization) -> None:
        self.organization, self.since = organization, time.monotonic()

    def hold(self) -> None:
        """Make sure that it lasts for RUN_SECONDS more. Raises LeaseLost."""
        if time.monotonic() - self.since < _SPARE_SECONDS:
            return
        renewed = [{"$set": _QUEUE.lease}]
        if not current_attempt(self.organization).update_one(__raw__=renewed):
            raise LeaseLost(str(self.organization.id))
        self.since = time.monotonic()


def update_if_held(organization: Organization, **changes: object) -> Organization:
    """Change the document for as long as the operation is ours. Raises LeaseLost."""
    changed = current_attempt(organization).modify(new=True, **changes)
    if changed is None:
        raise LeaseLost(str(organization.id))
    return changed


def current_attempt(organization: Organization) -> QuerySet:
    """The query that finds the organization while this attempt at its operation is the last."""
    operation = organization.operation
    return _QUEUE.held(organization.id, operation.attempt).filter(operation__id=operation.id)


def log_context(organization: Organization) -> dict[str, str | int]:
    """What names the organization's operation in the log."""
    operation = organization.operation
    return {
        "organization": str(organization.id),
        "kind": operation.kind,
        "attempt": operation.attempt,
    }


def doing(kind: str) -> str:
    """What pages say of an organization with an operation of a kind, a newer version's too."""
    return PLANS[kind].doing if kind in PLANS else "being changed"


def title_of(operation: Operation) -> str:
    """What pages call the running ``operation``."""
    if operation.kind not in PLANS:
        return "A change is running"
    return PLANS[operation.kind].title.format(name=operation.name)


def acquire_lease() -> Organization | None:
    """Take the lease of one operation that is due, if there is one: its holder let it run out,
    or put it off until now. Those of a kind that only a newer version knows are left to it."""
    return _QUEUE.acquire({"operation.kind": {"$in": list(PLANS)}})
