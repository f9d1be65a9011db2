"""Moves as the engine and movers share them: their lease, their places, and an attempt at one, with
its open change stream.

A move is leased by its record while it copies, follows and ends, and by the organization's
operation from the fence to the end. Whoever takes it over, either way, increments the record's
``attempt``, raises it at the target, and only then looks whether the lease is still its own. So
what an earlier attempt has in hand is refused by the target, and nothing is written by who has been
overtaken in between.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from bson import ObjectId, Timestamp
from mongoengine import QuerySet
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from portal import settings
from portal.database.clusters import client_of, database_of
from portal.database.leases import LeasedQueue
from portal.database.portal_role import internal_database
from portal.documents.moves import Move
from portal.documents.organizations import Organization, Placement, Strategy
from portal.organizations.lifecycle.pools import find_pool
from portal.tenants.collections import CollectionMissing
from portal.tenants.moving.applying import apply_dirty
from portal.tenants.moving.following import Follower
from portal.tenants.moving.parts import PARTS, Part, Phase, Sides, run
from portal.tenants.moving.places import Place, time_of
from portal.tenants.moving.verifying import verify_ids
from portal.tenants.moving.writing import Target

LEASE_SECONDS = 10

QUEUE = LeasedQueue(
    Move,
    due_field="due_at",
    attempt_field="attempt",
    error_field="last_error",
    lease_seconds=LEASE_SECONDS,
)

_MAJORITY = WriteConcern("majority")


class Attempt:
    """An attempt at a move: its source, its target, and the stream of what is written at the
    source, from the token of the record on. For one thread, in a ``with`` statement."""

    def __init__(self, move: Move, source: Place, target: Place) -> None:
        self.move, self.source = move, source
        self.target = Target(target, move.id, move.attempt)
        self.follower = Follower(source, move.token or None)
        self.sides = Sides(source, target, move.id, move.attempt, self.apply)

    @classmethod
    def at(cls, move: Move, organization: Organization) -> "Attempt":
        """The attempt of the record that the caller acquired; before its stream begins all earlier
        ones are refused at the target. Raises Overtaken, PlaceGone, StreamLost, ClusterUnavailable,
        PyMongoError."""
        source = place_of(organization.id, organization.placement)
        target = place_of(organization.id, move.target)
        Target(target, move.id, move.attempt).take_over()
        return cls(move, source, target)

    fenced_at: float | None = None
    left_at: Timestamp | None = None
    moved_at: Timestamp | None = None
    """The time of the target's cluster after which this attempt wrote nothing there."""

    brought = False
    """Set once the target was given the source's structure by this attempt."""

    told_change: datetime | None = None
    """The last change that was reported."""

    newest: tuple[bytes, ...] = ()
    """The ids that were written last, to be compared once more when nobody writes."""

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.close()

    def apply(self, ids: Iterable[bytes] = ()) -> int:
        """Have the target's documents of these ids, and of all that are dirty, be as the source's;
        how many those were."""
        self.follower.mark(ids)
        return apply_dirty(self.source, self.target, self.follower)

    def drain(self, seconds: float) -> None:
        """Apply all that was written until now, when nobody writes any more, compare it with what
        was written last before, and have nothing be written to the target by this attempt from now
        on. Raises NotReached, VerificationFailed, and as ``apply``."""
        self.left_at = time_of(self.source)
        self.follower.reach(self.left_at, seconds)
        newest = {*self.newest, *self.follower.dirty}
        self.apply()
        if newest:
            verify_ids(
                self.source, self.target.place, self.follower, self.apply, newest, fenced=True
            )
        # Changes of the structure are in the stream as well.
        self.sides.unchanged = self.brought and not self.follower.structure_changed
        run_parts(Phase.AFTER_FENCE, self.sides)
        place = self.target.place
        Target(place, self.move.id, self.move.attempt + 1).take_over()  # the next has this number
        self.moved_at = time_of(place)

    def bring_parts(self, meanwhile: Callable[[], object]) -> None:
        """Have the target have all that travels beside documents, as far as it may before the
        fence. ``meanwhile`` is called about each second. Raises as ``run_parts``."""
        self.follower.structure_changed = False  # what is changed from here on is seen again
        self.sides.unchanged, self.sides.meanwhile = False, meanwhile
        run_parts(Phase.BEFORE_READY, self.sides)
        self.brought = True


def held(move: Move) -> QuerySet:
    """The query for the move while this attempt at it is the last."""
    return QUEUE.held(move.id, move.attempt)


def place_of(organization: ObjectId, placement: Placement) -> Place:
    """The place that a placement means; a shared one as its pool has it now. Raises
    CollectionMissing where it has no collection, ClusterUnavailable."""
    if placement.strategy == Strategy.SHARED:
        pool = find_pool(placement.pool)
        database, uuid, name = database_of(pool), pool.uuid, pool.collection
    else:
        database, uuid, name = database_of(placement), placement.uuid, placement.collection
    if uuid is None:
        raise CollectionMissing(name or f"of {organization}")
    return Place(
        organization=organization,
        strategy=placement.strategy,
        database=database.with_options(write_concern=_MAJORITY),
        internal=internal_of(placement.cluster).with_options(write_concern=_MAJORITY),
        uuid=uuid,
        name=name,
        pool=placement.pool,
    )


def internal_of(cluster: str) -> Database:
    """The database for the portal's own data of a cluster. Raises ClusterUnavailable."""
    name = internal_database(settings.current().tenant_db)
    return client_of(cluster)[name]


def is_at(organization: Organization, placement: Placement) -> bool:
    """Tell whether the organization lives at this place, whatever its name is there."""
    here = organization.placement
    if placement.strategy == Strategy.SHARED:
        return here.strategy == Strategy.SHARED and here.pool == placement.pool
    return here.uuid is not None and here.uuid == placement.uuid


def lives_at(placement: Placement) -> Mapping[str, Any]:
    """The query for an organization that lives at this place."""
    if placement.strategy == Strategy.SHARED:
        return {"placement.strategy": Strategy.SHARED, "placement.pool": placement.pool}
    return {"placement.uuid": placement.uuid}


_at_hand: ContextVar[Attempt | None] = ContextVar("attempt_at_hand", default=None)


@contextmanager
def at_hand(attempt: Attempt) -> Iterator[None]:
    """Have the steps of the operation use this attempt, whose stream is open already."""
    token = _at_hand.set(attempt)
    try:
        yield
    finally:
        _at_hand.reset(token)


@contextmanager
def closing() -> Iterator[None]:
    """Close what ``attempt_for`` opens meanwhile."""
    before = _at_hand.get()
    try:
        yield
    finally:
        opened = _at_hand.get()
        if opened is not None and opened is not before:
            opened.follower.close()
        _at_hand.set(before)


def attempt_at_hand(move_id: ObjectId) -> Attempt | None:
    """The attempt at this move whose stream is open in this thread."""
    attempt = _at_hand.get()
    return attempt if attempt is not None and attempt.move.id == move_id else None


def keep_at_hand(attempt: Attempt) -> Attempt:
    """Have later steps use this attempt too; ``closing`` ends it."""
    _at_hand.set(attempt)
    return attempt


_installed: list[Part[Sides]] = []


def install(portal_parts: tuple[Part[Sides], ...]) -> None:
    """Make these the parts that travel beside what is kept with the documents."""
    _installed[:] = portal_parts


def run_parts(phase: Phase, sides: Sides) -> None:
    """Carry a phase out for all that travels. May be run again. Raises what ``parts.run`` raises,
    and those of the portal's parts."""
    run(phase, PARTS, sides)
    run(phase, tuple(_installed), sides)
