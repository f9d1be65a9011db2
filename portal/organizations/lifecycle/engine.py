"""The engine of lifecycle operations.

An organization's document is its own write-ahead log. An operation is first written into it by
compare-and-set, then run in idempotent steps, then cleared together with its result. Whoever finds
an expired lease acquires it and restarts from the first step. An operation is rolled back only
where a step raises RollBack; that is written into the document before anything is undone.

Leases are set and compared with the server's clock, so no process's clock matters. A new kind
of operation needs a ``Plan``, and its place in ``plans.PLANS``. Its steps depend on the strategy by
which the organization's documents are placed; where that needs no step, because only master data
change, the service writes intent and result in one transaction.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from mongoengine import QuerySet
from mongoengine.errors import MongoEngineException
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from portal import clock
from portal.audit.trail import head_changes, next_event
from portal.bidi import isolated
from portal.database import connection
from portal.database.background import start_loop, wake
from portal.database.clusters import lost_cluster
from portal.database.errors import ClusterLost, DatabaseUnavailable
from portal.database.leases import LeasedQueue
from portal.database.transactions import transactional, within_transaction
from portal.documents.organizations import (
    KNOWN_STRATEGY,
    MAIN_CLUSTER,
    Failure,
    Operation,
    OperationKind,
    Organization,
    OrganizationState,
    RolledBack,
    Strategy,
    next_version,
)
from portal.errors import NotFound, PortalError, Unavailable
from portal.organizations.access.errors import NotInTrash, OrganizationPurged, OrganizationRenamed
from portal.organizations.access.strategies import check_strategy
from portal.organizations.lifecycle import errors
from portal.tenants.collections import CollectionError
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key, release_key

log = structlog.get_logger()

LEASE_SECONDS = 30
MOVE_LEASE_SECONDS = 5
"""The lease of a move's operation: nobody can write the organization's documents meanwhile."""

# Another cluster may be away, and a request has to be answered in time all the same.
ELSEWHERE_SECONDS = 2.5
LONGEST_PAUSE_SECONDS = 45
RUNNER = "runner"
"""The background loop that runs what is due."""

# On a lost cluster these end as if it had done its part: nothing is left there to be in the way.
# A move rolls itself back until its switch.
_ENDED_WITHOUT_CLUSTER = (
    OperationKind.CREATE,
    OperationKind.TRASH,
    OperationKind.PURGE,
    OperationKind.MOVE,
)
# A step takes two thirds of the lease at most, which half of the rest is spared for: a running
# attempt holds it, also after a slow transaction for the intent.
_RUNNING, _SPARED = 2 / 3, 1 / 6

Step = Callable[[Organization], Organization | Generator[None, None, Organization]]

Check = Callable[[Organization], None]
"""Raises where an operation may not begin. Called in the transaction of its intent, so nothing that
is recorded about the organization changes in between."""


@dataclass(frozen=True, slots=True)
class Way:
    """The steps of an operation, forward and back. Without ``back`` it can't be rolled back.

    A step is idempotent, and takes two thirds of the lease at most. A longer one is a generator
    that yields at least as often, wherever it may be interrupted; the lease is renewed there.
    """

    forward: tuple[Step, ...]
    back: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A kind of operation: its name, what pages call it, and its way by strategy; none where only
    master data change. ``title`` is formatted with the operation's ``name``. Steps are run
    ``within`` a context, which ends what they opened."""

    kind: OperationKind
    title: str
    doing: str
    ways: Mapping[str, Way]
    within: Callable[[], AbstractContextManager[None]] = nullcontext


PLANS: dict[str, Plan] = {}
"""Every kind of operation that this version knows, as installed."""

_IS_MOVE = {"$eq": ["$operation.kind", OperationKind.MOVE]}
_QUEUE = LeasedQueue(
    Organization,
    due_field="operation.lease_until",
    attempt_field="operation.attempt",
    error_field="operation.last_error",
    lease_seconds={"$cond": [_IS_MOVE, MOVE_LEASE_SECONDS, LEASE_SECONDS]},
)


class LeaseLost(Exception):
    """Another attempt runs the operation, or has finished it."""


class RollBack(Exception):
    """Raised by a step: the operation can't go forward, for the reason ``failure``."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


def install(plans: tuple[Plan, ...]) -> None:
    """Make these the kinds of operations that this version knows."""
    PLANS.clear()
    PLANS.update({plan.kind: plan for plan in plans})


def takes_steps(kind: OperationKind, strategy: Strategy) -> bool:
    """Tell whether an operation of this kind has steps; else only master data change."""
    return strategy in PLANS[kind].ways


def new_operation(
    kind: OperationKind, collection: str | None, context: RequestContext, **values: object
) -> Operation:
    """An operation that the caller starts now, on or towards the name ``collection``, if the
    organization has one of its own."""
    return Operation(
        kind=kind, started_at=clock.now(), origin=context.origin, collection=collection, **values
    )


@within_transaction
def insert_with_intent(organization: Organization, context: RequestContext) -> None:
    """Insert an organization together with its first operation. Raises DuplicateRequest."""
    _claim_key(organization.id, organization.operation, context)
    document = organization.to_mongo().to_dict()
    Organization._get_collection().update_one(
        {"_id": organization.id},
        [{"$replaceWith": {"$literal": document}}, {"$set": _QUEUE.lease}],
        upsert=True,
    )


@within_transaction
def write_intent(
    organization: Organization,
    operation: Operation,
    context: RequestContext,
    *,
    states: tuple[OrganizationState, ...] = (OrganizationState.ACTIVE,),
    check: Check | None = None,
) -> Organization:
    """Write ``operation`` into the document, which is in one of the ``states``, and which ``check``
    accepts.

    Raises OperationInProgress where another runs; OrganizationRenamed, NotInTrash,
    OrganizationPurged or NotFound where the document has changed since it was read;
    DuplicateRequest where the same request did it already; UnknownStrategy. Then nothing was
    written.
    """
    check_strategy(organization)
    _claim_key(organization.id, operation, context)
    as_read = {
        "_id": organization.id,
        "state": organization.state,
        "slug": organization.slug,
        "restricted": organization.restricted,
    }
    written = write_intent_where(as_read, operation) if organization.state in states else None
    if written is None:
        raise refusal(organization)
    if check:
        check(written)
    return written


commit_intent = transactional(write_intent)
"""``write_intent`` in a transaction of its own."""


def write_intent_where(query: dict[str, Any], operation: Operation) -> Organization | None:
    """Write ``operation`` into an organization that matches ``query`` and has none, if one does."""
    written = Organization._get_collection().find_one_and_update(
        {**query, "operation": None},
        [
            {"$set": {"operation": {"$literal": operation.to_mongo().to_dict()}}},
            {
                "$set": {
                    "version": {"$add": [{"$ifNull": ["$version", 0]}, 1]},
                    "version_at": "$$NOW",
                    **_QUEUE.lease,
                }
            },
        ],
        return_document=ReturnDocument.AFTER,
    )
    return Organization._from_son(written) if written else None


def _claim_key(organization_id: ObjectId, operation: Operation, context: RequestContext) -> None:
    key = context.idempotency_key
    operation.request_key = key and key.id
    claim_key(context, organization_id, operation.kind, operation.id)


def refusal(organization: Organization) -> PortalError:
    """The reason why a change of ``organization``, as it was read, matched nothing."""
    current = Organization.objects(id=organization.id).first()
    if current is None:
        return NotFound()
    if current.state == OrganizationState.PURGED:
        return OrganizationPurged(current.name, current.purged_at)
    if current.operation and current.state == organization.state:
        return in_progress(current)
    return _refusal_of_state(organization, current)


def _refusal_of_state(organization: Organization, current: Organization) -> PortalError:
    if current.restricted != organization.restricted and current.state == organization.state:
        return errors.RestrictionChanged(current.name, current.slug)
    if current.state == OrganizationState.TRASHED:
        return NotFound()  # as by its slug
    if organization.state == OrganizationState.TRASHED:
        return NotInTrash(current.name, current.slug)
    return OrganizationRenamed(current.name, current.slug)


def in_progress(organization: Organization) -> errors.OperationInProgress:
    """The error for a change of ``organization`` while its operation runs."""
    running = organization.operation
    slug = "" if organization.state == OrganizationState.TRASHED else organization.slug
    return errors.OperationInProgress(
        organization.name, slug, running.kind, doing(running.kind), running.started_at
    )


def run(organization: Organization) -> Organization:
    """Run the organization's operation to its end; the organization after it.

    Where its cluster was given up the operation ends, too: rolled back, if it is of a kind that
    needs the collection. Raises LeaseLost, RollBack once it is rolled back, PyMongoError where
    MongoDB did not respond in time: the operation stays written and is recovered later.
    """
    with PLANS[organization.operation.kind].within():
        return _run(organization)


def _run(organization: Organization) -> Organization:
    operation = organization.operation
    way, stored = PLANS[operation.kind].ways[organization.placement.strategy], operation.failure
    if stored:
        rollback = RollBack(_failure_of(stored))
    else:
        try:
            without_cluster = operation.kind in _ENDED_WITHOUT_CLUSTER
            return _run_steps(organization, way.forward, pass_over_lost=without_cluster)
        except RollBack as raised:
            rollback = raised
        except ClusterLost:
            rollback = RollBack(Failure.CLUSTER_LOST)
        organization = _write_failure(organization, rollback.failure)
    _run_steps(organization, way.back, pass_over_lost=True)
    raise rollback


@within_transaction
def fail(organization: Organization, failure: Failure) -> Organization:
    """Have the operation rolled back, and release its idempotency key: the request may be retried.
    Raises LeaseLost."""
    operation = organization.operation
    rolled_back = RolledBack(
        operation=operation.id, kind=operation.kind, failure=failure, at=clock.now()
    )
    failed = update_if_held(
        organization, set__operation__failure=failure, set__rolled_back=rolled_back
    )
    release_key(failed.operation.request_key, failed.operation.id)
    return failed


_write_failure = transactional(fail)


def run_now(organization: Organization) -> Organization:
    """Run the organization's operation, if it has one, as far as possible; the runner finishes the
    rest.

    Returns the organization with its operation, where that isn't finished. Raises SlugTaken,
    TenantCollectionMissing, CollectionNameConflict, ClusterFull, ClusterLost or DatabaseUnavailable
    where it was rolled back.
    """
    if organization.operation is None:
        return organization
    try:
        try:
            return run(organization)
        except LeaseLost:
            return _overtaken(organization)
    except RollBack as rollback:
        log.error(
            "operation.turned_back", reason=str(rollback.failure), **log_context(organization)
        )
        raise _error_of(organization, rollback.failure) from rollback
    except (PyMongoError, MongoEngineException, CollectionError, Unavailable) as error:
        # The intent is committed, so the operation will be done, whatever the error.
        level = log.warning if connection.is_unavailable(error) else log.exception
        level("operation.left_to_runner", error=str(error), **log_context(organization))
        reschedule(organization, error)
        return organization


def roll_back_now(organization: Organization) -> Organization:
    """Undo the organization's operation, whose failure is written, as far as possible; the runner
    finishes the rest. Returns the organization after that, with its operation if it isn't undone
    yet."""
    try:
        run(organization)
    except (RollBack, LeaseLost):
        pass
    except (PyMongoError, MongoEngineException, CollectionError, Unavailable) as error:
        log.warning("operation.left_to_runner", error=str(error), **log_context(organization))
        reschedule(organization, error)
    return Organization.objects.get(id=organization.id)


def repair_organization(organization: Organization, context: RequestContext) -> Organization:
    """Rename the collection to its recorded name, whatever it is called now.

    Raises TenantCollectionMissing, CollectionNameConflict, and what ``write_intent`` raises.
    """
    operation = new_operation(OperationKind.REPAIR, organization.placement.collection, context)
    states = OrganizationState.ACTIVE, OrganizationState.TRASHED
    return run_now(commit_intent(organization, operation, context, states=states))


def reschedule(organization: Organization, error: Exception) -> None:
    """Have the operation retried after a pause that grows with each attempt, and store the
    ``error``. Where even that can't be written, the operation is made due as soon as it can be."""
    operation = organization.operation
    move = operation.kind == OperationKind.MOVE
    pause = min(2**operation.attempt, MOVE_LEASE_SECONDS if move else LONGEST_PAUSE_SECONDS)
    try:
        _delay(organization, pause, error)
    except (PyMongoError, MongoEngineException) as again:
        log.warning("operation.not_put_off", error=str(again), **log_context(organization))
        start_loop("operation", partial(_resume, organization, error), pause_seconds=1, once=True)


def _resume(organization: Organization, error: Exception) -> None:
    """Have this process's runner run the operation at once rather than when its lease expires."""
    _delay(organization, 0, error)
    wake(RUNNER)


def _delay(organization: Organization, seconds: int, error: Exception) -> None:
    change = [{"$set": _QUEUE.delay(seconds, error)}]
    current_attempt(organization).update_one(__raw__=change)


def _overtaken(organization: Organization) -> Organization:
    """The organization whose operation another attempt took, as it is now.

    Raises RollBack where that one rolled it back.
    """
    current = Organization.objects(id=organization.id).first()
    if current is None:  # a creation was rolled back; nearly always since the name is taken
        raise RollBack(Failure.NAME_TAKEN)
    set_right = _set_right(current)
    rolled_back = current.rolled_back
    if rolled_back and rolled_back.operation == organization.operation.id:
        raise RollBack(_failure_of(rolled_back.failure))
    return set_right


def _set_right(organization: Organization) -> Organization:
    """The organization after what this attempt did once it was overtaken is undone.

    Its last command may have arrived after another attempt had finished, or rolled the operation
    back. Nothing fences that off, and only the collection's name and the privileges of credentials
    can be wrong.
    """
    if organization.operation or organization.state == OrganizationState.PURGED:
        return organization
    if not takes_steps(OperationKind.REPAIR, organization.placement.strategy):
        return organization
    try:
        return repair_organization(organization, RequestContext())
    except PortalError as error:  # the operation itself is done
        log.warning(
            "collection.not_repaired", reason=repr(error), organization=str(organization.id)
        )
        return organization


def _failure_of(stored: str) -> Failure:
    """A stored reason; NAME_TAKEN for the free text that an earlier version stored."""
    return Failure(stored) if stored in tuple(Failure) else Failure.NAME_TAKEN


def _error_of(organization: Organization, failure: Failure) -> PortalError:
    """The error that a service raises for an operation that was rolled back."""
    operation = organization.operation
    if operation.kind == OperationKind.MOVE:
        return errors.MoveRolledBack(organization.name, str(failure))
    if failure == Failure.COLLECTION_MISSING:
        if operation.kind == OperationKind.CREATE:
            return DatabaseUnavailable()
        return errors.TenantCollectionMissing(organization.name)
    by_name = {
        Failure.USERS_REFUSED: errors.CredentialsNotCarried,
        Failure.ABORTED: errors.OperationUndone,
    }
    if failure in by_name:
        return by_name[failure](organization.name)
    by_cluster = {Failure.CLUSTER_LOST: lost_cluster, Failure.NO_ROOM: errors.ClusterFull}
    if failure in by_cluster:
        return by_cluster[failure](organization.placement.cluster)
    return _name_taken(organization)


def _name_taken(organization: Organization) -> PortalError:
    operation = organization.operation
    if operation.slug:
        return errors.SlugTaken(operation.slug)
    return errors.CollectionNameConflict(organization.name, operation.collection)


def _run_steps(
    organization: Organization, steps: tuple[Step, ...], *, pass_over_lost: bool
) -> Organization:
    """Run the steps; with ``pass_over_lost`` a step whose cluster was given up counts as done."""
    lease = _Lease(organization)
    for step in steps:
        if organization.operation is None:  # a step before ended it
            break
        try:
            organization = _run_step(step, organization, lease)
        except ClusterLost:
            if not pass_over_lost:
                raise
            log.warning("operation.step_given_up", **log_context(organization))
    return organization


def _run_step(step: Step, organization: Organization, lease: "_Lease") -> Organization:
    """Run a step, in as many parts as it has."""
    elsewhere = organization.placement.cluster != MAIN_CLUSTER
    run_seconds = _lease_seconds(organization.operation) * _RUNNING
    seconds = min(ELSEWHERE_SECONDS, run_seconds) if elsewhere else run_seconds
    lease.ensure()
    with pymongo.timeout(seconds):
        result = step(organization)
    if isinstance(result, Organization):
        return result
    while True:
        lease.ensure()
        try:
            with pymongo.timeout(seconds):
                next(result)
        except StopIteration as end:
            return end.value


class _Lease:
    """The lease of a running operation."""

    def __init__(self, organization: Organization) -> None:
        self.organization, self.since = organization, time.monotonic()
        self.spared_seconds = _lease_seconds(organization.operation) * _SPARED

    def ensure(self) -> None:
        """Renew it unless it lasts as long as a step. Raises LeaseLost."""
        if time.monotonic() - self.since < self.spared_seconds:
            return
        renew_lease(self.organization)
        self.since = time.monotonic()


def _lease_seconds(operation: Operation) -> int:
    return MOVE_LEASE_SECONDS if operation.kind == OperationKind.MOVE else LEASE_SECONDS


def renew_lease(organization: Organization) -> None:
    """Begin this attempt's lease anew. Raises LeaseLost."""
    if not current_attempt(organization).update_one(__raw__=[{"$set": _QUEUE.lease}]):
        raise LeaseLost(str(organization.id))


def update_if_held(organization: Organization, **changes: object) -> Organization:
    """Change the document, and its version, while this attempt holds the lease. Raises
    LeaseLost."""
    changed = current_attempt(organization).modify(new=True, **next_version(), **changes)
    if changed is None:
        raise LeaseLost(str(organization.id))
    return changed


@within_transaction
def update_and_record(
    organization: Organization, action: str, details: dict[str, str | None], **changes: object
) -> Organization:
    """Change the document as ``update_if_held`` does, and record the ``action`` of whoever began
    the operation in the same write. Raises LeaseLost."""
    seen: Organization | None = organization
    while seen is not None:
        origin = organization.operation.origin
        event = next_event(seen.audit_head, organization.id, action, origin, details)
        unrecorded = current_attempt(organization).filter(audit_head__seq=seen.audit_head.seq)
        recorded = {**changes, **head_changes(organization, event)}
        changed = unrecorded.modify(new=True, **next_version(), **recorded)
        if changed is not None:
            event.insert()
            return changed
        seen = current_attempt(organization).first()  # something else was recorded meanwhile
    raise LeaseLost(str(organization.id))


def new_place(operation: Operation) -> dict[str, str]:
    """The change of the placement by an operation that is done."""
    target = operation.collection
    return {"set__placement__collection": target} if target else {}


def current_attempt(organization: Organization) -> QuerySet:
    """The query that matches the organization while this attempt at its operation is the last."""
    operation = organization.operation
    return _QUEUE.held(organization.id, operation.attempt).filter(operation__id=operation.id)


def log_context(organization: Organization) -> dict[str, str | int]:
    """The log fields of the organization's operation."""
    operation = organization.operation
    return {
        "organization": str(organization.id),
        "kind": operation.kind,
        "attempt": operation.attempt,
    }


def doing(kind: str) -> str:
    """The words on pages for what an operation of this kind does, a newer version's too."""
    return PLANS[kind].doing if kind in PLANS else "being changed"


def title_of(operation: Operation) -> str:
    """The title of the running ``operation`` on pages."""
    if operation.kind not in PLANS:
        return "A change is running"
    return PLANS[operation.kind].title.format(name=isolated(operation.name or ""))


@within_transaction
def overtake(organization_id: ObjectId, operation_id: ObjectId) -> Organization | None:
    """Acquire this operation, whoever holds its lease; ``None`` where it is over, or where only a
    newer version knows it."""
    this = {"_id": organization_id, "operation.id": operation_id}
    overtaken = Organization._get_collection().find_one_and_update(
        {**this, "operation.kind": {"$in": list(PLANS)}, **KNOWN_STRATEGY},
        [{"$set": {**_QUEUE.lease, "operation.attempt": {"$add": ["$operation.attempt", 1]}}}],
        return_document=ReturnDocument.AFTER,
    )
    return Organization._from_son(overtaken) if overtaken else None


def acquire_lease(*kinds: OperationKind) -> Organization | None:
    """Acquire the lease of one operation that is due, of these ``kinds`` or any, if there is one:
    its lease expired, or it was rescheduled. Kinds and strategies that only a newer version knows
    are left to that."""
    return _QUEUE.acquire({"operation.kind": {"$in": list(kinds or PLANS)}, **KNOWN_STRATEGY})
