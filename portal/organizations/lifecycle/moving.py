"""The operation of a move: from the fence of the source to the name of the target.

What went before, the copy, and what comes after, the way back, are the move's record alone; only in
between does the organization have an operation, and nobody can write its documents. Until the
switch each failure rolls back: the source gets its name back, and the move is as before. From the
switch on there is only forward.

The switch is one transaction: the placement, by compare-and-set of the operation's attempt, and the
state of the move. So every step can tell by the organization as it was read whether it was switched
already, and may be run again: before it, an earlier attempt can't switch any more, since this one
has another number; after it, the steps up to it do nothing.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo import ReturnDocument
from pymongo.errors import ExecutionTimeout, NetworkTimeout, PyMongoError

from portal import clock, settings
from portal.audit.trail import record
from portal.database.clusters import database_of, stays_in_region
from portal.database.connection import server_time
from portal.database.errors import ClusterLost
from portal.database.leases import Interrupted
from portal.database.portal_role import MOVED_COLLECTIONS
from portal.database.transactions import transactional, within_transaction
from portal.documents.moves import Move, MoveProgress, MoveState, Outcome
from portal.documents.organizations import (
    Failure,
    OperationKind,
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.errors import Unavailable
from portal.organizations.lifecycle import engine, moves, pools
from portal.organizations.lifecycle.moves import Attempt, held, is_at, lives_at
from portal.organizations.lifecycle.naming import name_after_move, name_as_source
from portal.organizations.lifecycle.privileges import (
    exchange_users,
    give_privileges,
    give_privileges_back,
    take_privileges,
)
from portal.organizations.lifecycle.states import check_may_follow
from portal.organizations.lifecycle.steps import rename_by_uuid
from portal.tenants import collections
from portal.tenants.collections import AT_ONCE, CollectionElsewhere, CollectionError, Tries
from portal.tenants.moving.blockers import find_blockers
from portal.tenants.moving.errors import (
    MovingError,
    NotReached,
    Overtaken,
    PlaceGone,
    StreamLost,
    StructureChanged,
    StructureUnfit,
    VerificationFailed,
)
from portal.web.context import RequestContext

log = structlog.get_logger()

FENCE_TRIES = Tries(0.2, (0.05, 0.1))
"""The tries of a fence: operations on the source wait behind each, and 0.75 s in all."""

DRAIN_SECONDS = 2
"""The longest wait for what was written before the fence."""

MOST_FENCES = 3
"""The fences that fail for one cause, until a person has to say that it is tried again."""

NOT_WANTED = dict.fromkeys(
    ("unset__switch_wanted", "unset__switch_at", "unset__switch_in_hours"), True
)
"""The change by which a move doesn't switch until a person says so."""

_LONGEST_PAUSE_SECONDS = 60
_LONGEST_TOLD = 300
# What persons say of the switch until it begins.
_WISHES = (
    "paused",
    "switch_wanted",
    "switch_at",
    "switch_in_hours",
    "without_way_back",
    "ends_credentials",
)


@transactional
def begin_switch(attempt: Attempt, wanted: Move) -> Organization | None:
    """Write the intent to switch into the organization, with the state of the move; ``None`` where
    it has another operation, or no longer lives at the source.

    The token is stored as it is: all before it is applied, so whoever takes over begins there, and
    no earlier fence is taken for this one. Raises Interrupted where the attempt is over, or a
    person paused the move, or changed how it is ``wanted``, since that was read.
    """
    move = attempt.move
    kept = {"state": {"$in": [OrganizationState.ACTIVE, OrganizationState.TRASHED]}}
    operation = engine.new_operation(OperationKind.MOVE, None, RequestContext(), move=move.id)
    operation.origin = move.origin
    organization = engine.write_intent_where(
        {"_id": move.organization, **lives_at(move.source), **kept}, operation
    )
    if organization is None:
        return None
    wishes = {name: getattr(wanted, name) for name in _WISHES}
    waiting = held(move).filter(state__in=(MoveState.READY, MoveState.SHADOW), open=True, **wishes)
    fenced = waiting.modify(
        new=True,
        set__state=MoveState.FENCED,
        set__token=dict(attempt.follower.token),
        inc__fences=1,
    )
    if fenced is None:
        raise Interrupted(str(move.id))
    attempt.move = fenced
    return organization


def _take_privileges(organization: Organization) -> Organization:
    if _is_switched(organization):
        return organization
    return take_privileges(organization)


def _fence(organization: Organization) -> Organization:
    """Give the source a name that nobody knows, or its pool the next generation.

    May be run again: the name is the same, and where the source has it nothing happens; a pool gets
    one more generation. Writers may come back in between only by ``_name_back``, which the record
    of the failure precedes; from then on this isn't run.
    """
    if _is_switched(organization):
        return organization
    move = _move_of(organization)
    with _or_back(organization):
        attempt = _attempt_for(organization, move)
        attempt.fenced_at = time.monotonic()
        placement = organization.placement
        try:
            if placement.strategy == Strategy.SHARED:
                pools.fence(placement.pool, FENCE_TRIES)
            else:
                *earlier, name = _fenced_names(move)
                _rename_from(placement, (placement.collection, *earlier), name, FENCE_TRIES)
        except PyMongoError as error:
            if not _is_timeout(error):
                raise
            _tell_blockers(attempt)
            raise engine.RollBack(Failure.BLOCKED) from error
    return organization


def _tell_blockers(attempt: Attempt) -> None:
    """Have the move tell who held the fence up."""
    blockers = find_blockers(attempt.source, open_seconds=0)
    told = ", ".join(map(str, blockers or ())) or "an operation that the database doesn’t tell"
    held(attempt.move).update_one(set__waits_for=told[:_LONGEST_TOLD])


def _fenced_names(move: Move) -> list[str]:
    """The names that the source's own collection may have by this fence and those before it."""
    first = max(1, move.fences - len(MOVED_COLLECTIONS) + 1)
    names = (name_as_source(move.source, move.id, n) for n in range(first, move.fences + 1))
    return [name for name in names if name]


def _rename_from(placement: Placement, names: Sequence[str], new_name: str, tries: Tries) -> None:
    """Rename the collection if it has one of these ``names``. Never from whatever name it has: a
    process that was suspended here would undo a later fence when it wakes. Raises
    CollectionElsewhere, and what ``rename_collection`` raises."""
    database, uuid = database_of(placement), placement.uuid
    try:
        collections.rename_collection(database, uuid, names[0], new_name, tries)
    except CollectionElsewhere as found:
        if found.actual_name not in names:
            raise
        collections.rename_collection(database, uuid, found.actual_name, new_name, tries)


def _drain(organization: Organization) -> Organization:
    """Apply all that was written before the fence, and end the writing of the target.

    What the source's cluster acknowledged before the fence isn't later than its time after it, up
    to which the stream is read. May be run again: the token isn't stored from the intent on, and
    applying is idempotent. With the move's token nothing that an earlier command has on its way can
    reach the target any more when writers come there.
    """
    if _is_switched(organization):
        return organization
    move = _move_of(organization)
    with _or_back(organization):
        attempt = _attempt_for(organization, move)
        attempt.drain(DRAIN_SECONDS)
    return organization


def _switch(organization: Organization) -> Organization:
    """Have the organization live at the target, under whatever name that has now.

    What isn't known of the transaction the next attempt reads; it is not rolled back for that. Not
    run again: afterwards the organization lives at the target.
    """
    if _is_switched(organization):
        return organization
    move = _move_of(organization)
    attempt = _attempt_for(organization, move)
    switched = _write_switch(organization, attempt)
    if attempt.fenced_at is not None:
        milliseconds = (time.monotonic() - attempt.fenced_at) * 1000
        Move.objects(id=move.id).update_one(set__pause_ms=round(milliseconds, 1))
    return switched


@transactional
def _write_switch(organization: Organization, attempt: Attempt) -> Organization:
    move, now = _recorded_move_of(organization), clock.now()
    if move.abort_wanted:
        raise engine.RollBack(Failure.ABORTED)
    # Under the name that it has until it gets its own.
    target = Placement._from_son(move.target.to_mongo())
    target.moved_from, target.moved_at = attempt.source.uuid, attempt.moved_at
    target.left_at = attempt.left_at
    exchange_users(organization, target)
    switched = engine.update_if_held(
        organization,
        set__placement=target,
        set__operation__collection=name_after_move(organization, target),
    )
    # It may have been bound to one since it was planned, or since it left the place to go back to.
    if switched.region and not stays_in_region(target.cluster, switched.region):
        raise engine.RollBack(Failure.OUTSIDE_REGION)
    _change(move, MoveState.FENCED, MoveState.SWITCHED, set__switched_at=now, unset__waits_for=True)
    if target.strategy != Strategy.SHARED:
        return switched
    # Nobody may write into a pool while an operation runs, and there is nothing left to do.
    return _write_end(switched, now)


def _name_target(organization: Organization) -> Organization:
    """Give the target's collection the organization's name.

    May be run again: where it has the name nothing happens. Both names are usable meanwhile. A
    stranger's collection under the name, which came since it was looked for, is waited for.
    """
    rename_by_uuid(
        organization, organization.placement.collection, organization.operation.collection
    )
    return organization


def _give_privileges(organization: Organization) -> Organization:
    if organization.state != OrganizationState.ACTIVE:
        return organization
    return give_privileges(organization)


def _end(organization: Organization) -> Organization:
    return _write_named(organization, server_time())


@transactional
def _write_named(organization: Organization, now: datetime) -> Organization:
    named = engine.update_if_held(organization, **engine.new_place(organization.operation))
    return _write_end(named, now)


@within_transaction
def _write_end(organization: Organization, now: datetime) -> Organization:
    """End the operation, and the move: with its way back, or else by having the old copy go."""
    move = _recorded_move_of(organization)
    ended = engine.update_if_held(organization, unset__operation=True)
    outcome = Outcome.WENT_BACK if move.way_back_of else Outcome.MOVED
    if move.way_back_of or move.without_way_back:
        _change(
            move,
            MoveState.SWITCHED,
            MoveState.ENDING,
            set__outcome=outcome,
            set__due_at=now,
            unset__token=True,
        )
    else:
        _change(
            move,
            MoveState.SWITCHED,
            MoveState.DONE,
            set__outcome=outcome,
            set__ended_at=now,
            unset__open=True,
            unset__due_at=True,
            unset__token=True,
            unset__reverse_token=True,
        )
        _way_back_of(move, ended.placement, now).insert()
    action = "organization.went_back" if move.way_back_of else "organization.moved"
    record_places(ended, action, move)
    return ended


def _way_back_of(move: Move, here: Placement, now: datetime) -> Move:
    """The record of the way back, which begins where the reverse stream was exercised."""
    days = move.way_back_days or settings.current().way_back_days
    return Move(
        id=move.way_back,
        organization=move.organization,
        slug=move.slug,
        way_back_of=move.id,
        state=MoveState.SHADOW,
        open=True,
        source=here,
        target=old_copy_of(move),
        due_at=now,
        token=move.reverse_token,
        fences=move.fences,
        progress=MoveProgress(documents=move.progress.documents, bytes=move.progress.bytes),
        origin=move.origin,
        drain=move.drain,
        documents_per_second=move.documents_per_second,
        neighbours_p99_ms=move.neighbours_p99_ms,
        until=now + timedelta(days=days),
        created_at=now,
    )


def old_copy_of(move: Move) -> Placement:
    """The placement of the source from the fence on."""
    placement = Placement._from_son(move.source.to_mongo())
    if placement.strategy != Strategy.SHARED:
        placement.collection = name_as_source(placement, move.id, move.fences)
    return placement


def _name_back(organization: Organization) -> Organization:
    """Give the source its name back. May be run again. A pool needs none: its generation goes on
    being used, by this organization too once its operation has ended."""
    placement = organization.placement
    if placement.strategy == Strategy.SHARED:
        return organization
    if _keeps_its_name(placement):
        return organization  # a rename may be held up, as the fence's was
    names = _fenced_names(_move_of(organization))
    try:
        _rename_from(placement, names[::-1], placement.collection, AT_ONCE)
    except CollectionError as error:
        # It is gone, or its name is taken: only the record can be rolled back.
        log.error(
            "collection.not_moved_back", error=repr(error), **engine.log_context(organization)
        )
    return organization


def _keeps_its_name(placement: Placement) -> bool:
    """Tell whether the source has its recorded name, and no rename of the fence is on its way any
    more, whose answer was lost, say: each takes as long at most."""
    if not _has_its_name(placement):
        return False
    time.sleep(FENCE_TRIES.seconds)
    return _has_its_name(placement)


def _has_its_name(placement: Placement) -> bool:
    names = collections.names_of(database_of(placement), [placement.uuid])
    return names.get(placement.uuid) == placement.collection


def _undo(organization: Organization) -> Organization:
    return _write_undone(organization, server_time())


@transactional
def _write_undone(organization: Organization, now: datetime) -> Organization:
    """Have the move be as before its fence."""
    operation, move = organization.operation, _recorded_move_of(organization)
    failure = Failure(operation.failure)
    undone = engine.update_if_held(organization, unset__operation=True)
    failed = (move.fences_failed or 0) + 1 if move.cause == failure else 1
    changes: dict[str, Any] = {
        "set__cause": failure,
        "set__fences_failed": failed,
        "set__next_fence_at": now + timedelta(seconds=min(2**failed, _LONGEST_PAUSE_SECONDS)),
        "set__due_at": now,
        "set__undo": True,
    }
    if move.way_back_of:  # else the mover ends it
        changes["unset__abort_wanted"] = True
    if failure != Failure.BLOCKED:
        changes["set__waits_for"] = f"another try: {failure}"
    if failed >= MOST_FENCES or move.abort_wanted:
        # A person has to say that it is tried again; until then it is kept current.
        changes |= NOT_WANTED
    before = MoveState.SHADOW if move.way_back_of else MoveState.READY
    _change(move, MoveState.FENCED, before, **changes)
    return undone


def _is_switched(organization: Organization) -> bool:
    return is_at(organization, _move_of(organization).target)


def _move_of(organization: Organization) -> Move:
    """The move of the operation, as it was when its switch began: its places and names."""
    move_id = organization.operation.move
    attempt = moves.attempt_at_hand(move_id)
    return attempt.move if attempt else Move.objects.get(id=move_id)


def _recorded_move_of(organization: Organization) -> Move:
    """The move of the operation as it is recorded now, with what persons want of it."""
    return Move.objects.get(id=organization.operation.move)


@within_transaction
def _change(move: Move, state: MoveState, following: MoveState, **changes: Any) -> None:
    """Change the state of a move that is in ``state``, in the transaction that checks the
    operation's lease."""
    check_may_follow(state, following)
    kept = Move.objects(id=move.id, state=state)
    if not kept.update_one(set__state=following, **changes):
        raise engine.LeaseLost(str(move.organization))


def _attempt_for(organization: Organization, move: Move) -> Attempt:
    """The attempt at the move that this thread has, or another one, which then is the last."""
    attempt = moves.attempt_at_hand(move.id)
    if attempt is not None:
        return attempt
    acquired = Move._get_collection().find_one_and_update(
        {"_id": move.id, "state": MoveState.FENCED},
        {"$inc": {"attempt": 1}},
        return_document=ReturnDocument.AFTER,
    )
    if acquired is None or not engine.current_attempt(organization):
        raise engine.LeaseLost(str(organization.id))
    attempt = Attempt.at(Move._from_son(acquired), organization)
    if not engine.current_attempt(organization):  # only now are earlier ones refused
        raise engine.LeaseLost(str(organization.id))
    return moves.keep_at_hand(attempt)


@contextmanager
def _or_back(organization: Organization) -> Iterator[None]:
    """Roll the operation back where something fails before the switch."""
    try:
        yield
    except Overtaken as error:
        raise engine.LeaseLost(str(organization.id)) from error
    except (PyMongoError, MovingError, CollectionError, Unavailable) as error:
        log.warning("move.turns_back", error=repr(error), **engine.log_context(organization))
        raise engine.RollBack(_failure_of(error)) from error


def _failure_of(error: Exception) -> Failure:
    if isinstance(error, NotReached):
        return Failure.BEHIND
    if isinstance(error, VerificationFailed | StructureChanged | StructureUnfit):
        return Failure.DIFFERENT
    if isinstance(error, StreamLost):
        return Failure.STREAM_LOST
    if isinstance(error, ClusterLost):
        return Failure.CLUSTER_LOST
    if isinstance(error, PlaceGone | collections.CollectionMissing):
        return Failure.COLLECTION_MISSING
    return Failure.PLACE_FAILED


def _is_timeout(error: PyMongoError) -> bool:
    return error.timeout or isinstance(error, ExecutionTimeout | NetworkTimeout)


@within_transaction
def record_places(
    organization: Organization, action: str, move: Move, **details: str | None
) -> None:
    """Record an event about a move, with its places and its id."""
    record(
        organization,
        action,
        move.origin,
        target=None,
        target_email=None,
        place_before=_in_words(move.source),
        place=_in_words(move.target),
        move=str(move.id),
        **details,
    )


def _in_words(placement: Placement) -> str:
    return f"{placement.strategy} on {placement.cluster}"


_WAY = engine.Way(
    forward=(
        _take_privileges,
        _fence,
        _drain,
        _switch,
        _name_target,
        _give_privileges,
        _end,
    ),
    back=(_name_back, give_privileges_back, _undo),
)
MOVE = engine.Plan(
    kind=OperationKind.MOVE,
    title="Moving to another place",
    doing="being moved",
    ways=dict.fromkeys(Strategy, _WAY),
    within=moves.closing,
)
