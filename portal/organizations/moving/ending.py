"""The ends of moves: what isn't wanted any more goes, and nothing is left over.

That is the target of a move that was aborted or given up; the old copy, of a way back whose time is
over; or the new place, of one that was gone. All earlier attempts are refused there first, so that
none writes anew what is beside the documents. A collection is dropped by its UUID, which never
comes back; documents in a pool are deleted in transactions with the move's token, so that one on
its way doesn't meet an organization that has come back.
"""

import time
from datetime import UTC, datetime
from typing import Protocol

import structlog
from bson import ObjectId

from portal.audit.deletions import Deletion, deleting, deleting_each
from portal.database.clusters import database_of, is_lost
from portal.database.connection import server_time
from portal.database.kept_beside import delete_all
from portal.database.leases import Interrupted, Renewing
from portal.database.transactions import transactional
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.organizations.access.owners import email_owners
from portal.organizations.credentials.travelling import end_users_at
from portal.organizations.lifecycle.moves import held, internal_of, is_at, place_of
from portal.organizations.lifecycle.moving import record_places
from portal.organizations.lifecycle.naming import name_as_target
from portal.organizations.moving.mails import MOVE_DECLINED, WAY_BACK_LOST
from portal.tenants.births import forestall
from portal.tenants.collections import (
    CollectionElsewhere,
    CollectionMissing,
    drop_collection,
    uuid_of,
)
from portal.tenants.moving.errors import Overtaken
from portal.tenants.moving.writing import Target, close_token, raise_token

log = structlog.get_logger()

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""The time at which a move is due that somebody shall work on now."""

_LONGEST_REST_SECONDS = 0.5


class Ending(Protocol):
    """An attempt at a move that ends, and its lease."""

    move: Move
    lease: Renewing


def end(run: Ending) -> None:
    """Remove what isn't wanted any more, then the move's tokens, and close its record. May be run
    again at any point: what is gone is done. A last copy is kept. Raises UnderHold where a hold is
    open."""
    move = run.move
    unwanted = _unwanted(move)
    if is_last_copy(move.organization, unwanted):
        log.error("move.copy_kept", move=str(move.id), copy=unwanted.to_mongo().to_dict())
        end_users_at(move.organization, unwanted)
    elif is_lost(unwanted.cluster) or _take_over(move, unwanted, run.lease):
        if not is_lost(unwanted.cluster):
            _remove(move, unwanted, run.lease)
        end_users_at(move.organization, unwanted)
        _forget_beside(move, unwanted, run.lease)
    _close(run)


def is_last_copy(organization_id: ObjectId, copy: Placement) -> bool:
    """Tell whether a copy is all that is left of the organization's documents, since it lives in a
    cluster that is lost. What becomes of that isn't the portal's to decide on."""
    living = Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED).first()
    at_lost = living is not None and is_lost(living.placement.cluster)
    return at_lost and not is_lost(copy.cluster)


def _take_over(move: Move, unwanted: Placement, lease: Renewing) -> bool:
    """Have all earlier attempts refused where something is to be removed; ``False`` where all are,
    for good: the token is closed, which comes last."""
    try:
        raise_token(internal_of(unwanted.cluster), move.id, move.attempt)
    except Overtaken:
        lease.renew()  # else it is by a later attempt
        return False
    lease.renew()  # only now are earlier ones refused
    return True


def _close(run: Ending) -> None:
    """Refuse every attempt at the move from now on, and end its record. Raises Interrupted."""
    move = run.move
    for cluster in {move.source.cluster, move.target.cluster}:
        if not is_lost(cluster):
            run.lease.check()
            for one in (move.id, move.way_back_of or move.way_back):
                close_token(internal_of(cluster), one)
    run.lease.renew()
    kept = held(move).filter(state=MoveState.ENDING, open=True)
    done = kept.update_one(
        set__state=MoveState.DONE,
        set__ended_at=server_time(),
        unset__open=True,
        unset__paused=True,
        unset__due_at=True,
        unset__token=True,
        unset__reverse_token=True,
    )
    if not done:
        raise Interrupted(str(move.id))


@transactional
def end_shadow(move: Move, outcome: Outcome, reason: str | None = None) -> None:
    """Have a way back end, with its event; the copy stays while a hold is open. Raises Interrupted
    where this attempt isn't the last."""
    kept = held(move).filter(state=MoveState.SHADOW, open=True)
    if not kept.update_one(
        set__state=MoveState.ENDING,
        set__outcome=outcome,
        set__reason=reason,
        set__due_at=AT_ONCE,
    ):
        raise Interrupted(str(move.id))
    action = "way_back_lost" if outcome == Outcome.LOST else "way_back_ended"
    if outcome == Outcome.LOST:
        email_owners(WAY_BACK_LOST, Organization(id=move.organization), move=move.id)
    _record(move, f"organization.{action}", reason=reason)


def give_up(move: Move, reason: str) -> None:
    """Have a move from or to a cluster that is lost end. One that ends already keeps its outcome:
    it goes on by itself with what isn't lost."""
    _write_given_up(move, reason, server_time())


@transactional
def _write_given_up(move: Move, reason: str, now: datetime) -> None:
    changes = {"set__outcome": Outcome.GIVEN_UP, "set__reason": reason}
    open_move = Move.objects(id=move.id, open=True)
    begun = open_move.filter(
        state__in=(
            MoveState.COPYING,
            MoveState.VERIFYING,
            MoveState.READY,
            MoveState.SHADOW,
        )
    )
    given_up = begun.update_one(
        set__state=MoveState.ENDING, set__due_at=now, unset__paused=True, **changes
    )
    declined = not given_up and open_move.filter(state=MoveState.REQUESTED).update_one(
        set__state=MoveState.DONE,
        set__ended_at=now,
        unset__open=True,
        unset__due_at=True,
        **changes,
    )
    if declined:
        email_owners(MOVE_DECLINED, Organization(id=move.organization), move=move.id)
    if given_up or declined:
        _record(move, "organization.move_given_up", reason=reason)


def _record(move: Move, action: str, **details: str | None) -> None:
    organization = Organization.objects(id=move.organization).first()
    if organization is not None and organization.state != OrganizationState.PURGED:
        record_places(organization, action, move, **details)


def _unwanted(move: Move) -> Placement:
    """The place that the organization doesn't live at, whatever became of the move."""
    gone_there = (Outcome.MOVED, Outcome.WENT_BACK)
    return move.source if move.outcome in gone_there else move.target


def _remove(move: Move, unwanted: Placement, lease: Renewing) -> None:
    organization = Organization.objects.get(id=move.organization)
    if organization.state != OrganizationState.PURGED and is_at(organization, unwanted):
        raise AssertionError(f"the organization of move {move.id} lives at what is to be removed")
    if unwanted.strategy == Strategy.SHARED:
        _clear(move, unwanted, lease)
    else:
        _drop(move, unwanted)


def _forget_beside(move: Move, unwanted: Placement, lease: Renewing) -> None:
    """Delete what is kept beside the documents in a cluster that the organization isn't in."""
    organization = Organization.objects.get(id=move.organization)
    lives_there = organization.placement.cluster == unwanted.cluster
    if is_lost(unwanted.cluster) or (
        lives_there and organization.state != OrganizationState.PURGED
    ):
        return
    lease.renew()
    rows = delete_all(unwanted.cluster, organization.id)
    for _ in deleting_each(organization.id, Deletion.COPY, rows):
        lease.check()


def _clear(move: Move, unwanted: Placement, lease: Renewing) -> None:
    """Delete the documents in a pool. After each batch it rests for as long as that took, so that
    neighbours have the server half of the time."""
    try:
        target = Target(place_of(move.organization, unwanted), move.id, move.attempt)
    except CollectionMissing:
        return
    begun = time.monotonic()
    for _ in deleting_each(move.organization, Deletion.COPY, target.clear()):
        lease.check()
        time.sleep(min(time.monotonic() - begun, _LONGEST_REST_SECONDS))
        begun = time.monotonic()


def _drop(move: Move, unwanted: Placement) -> None:
    database, uuid, name = database_of(unwanted), unwanted.uuid, unwanted.collection
    if uuid is None:
        # Whoever was about to create it can't any more; if somebody did, it has this name.
        if forestall(internal_of(unwanted.cluster), move.birth):
            return
        name = name_as_target(unwanted, move.id) or ""
        uuid = uuid_of(database, name)
        if uuid is None:
            return
    with deleting(move.organization, Deletion.COPY):
        try:
            drop_collection(database, uuid, name)
        except CollectionElsewhere as found:
            drop_collection(database, uuid, found.actual_name)
