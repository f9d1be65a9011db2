"""The directory's answers: the place of each organization's documents, and what follows of it.

The portal keeps three read-only views in its master database. ``directory_organizations`` has the
place of each organization's documents, with a version that grows with each change within an epoch
of the installation; ``directory_slugs`` leads from a slug, also an old one, to an organization;
``directory_pools`` has the collections that organizations share.

An answer may be old, and that is no danger: a command under a name that the collection doesn't have
any more is rejected by the server, which tells the actual name. That name is used only if the
directory records it, as the placement or as the target of a running operation; names that begin
with ``org_`` belong to active organizations only.

While an organization moves, its documents are out of reach between two names: the old place refuses
commands, and tells a name that the directory doesn't record. Then ``Moving`` is raised, and whoever
meets it waits until the directory says something else. At a new place the UUID is another one.

The state of an organization that is suspended is ``read-only``, ``locked`` or ``hidden``. Each is
behind a fence, as the trash is: whoever knew it in a milder state is rejected, and reads it here.

A shared collection gets another name whenever one of its organizations must not be written any
more, after that was recorded of the organization. So a name of it may be used for an organization
only if the organization's entry was read *after* the pool's answer that has the name.
"""

import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from uuid import UUID

from bson import Binary, ObjectId, Timestamp

from . import limits
from .errors import (
    CollectionMissing,
    Hidden,
    Locked,
    Misplaced,
    Moving,
    NotReady,
    Purged,
    ReadOnly,
    Restricted,
    StateError,
    Trashed,
    UnknownState,
    UnknownStrategy,
)
from .placements import SHARED, Placement, is_known, placement_of
from .quotas import Entitled

ORGANIZATIONS = "directory_organizations"
SLUGS = "directory_slugs"
POOLS = "directory_pools"
MAIN = "main"
"""The cluster that has the directory."""

_ACTIVE = "active"
_SHUT: Mapping[str, type[Restricted]] = {each.kind: each for each in (Locked, Hidden)}
_LEAVING = "moving"  # of one that leaves a shared collection, so that older versions stop
_MOVE = "move"
_REMOVING = ("trash", "purge")
_MAX_CHECKED_SLUGS = 1000


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """The directory's answer about a collection that organizations share. ``next_generation`` is
    recorded before the collection gets its name."""

    number: int
    cluster: str
    database: str
    uuid: UUID
    generation: int
    next_generation: int | None = None
    epoch: int = 0

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "PoolEntry":
        """Read what this version knows, and pass over fields that a later one adds."""
        return cls(
            number=document["_id"],
            cluster=sys.intern(document["cluster"]),
            database=sys.intern(document["database"]),
            uuid=document["uuid"],
            generation=document["generation"],
            next_generation=document.get("next_generation"),
            epoch=document["epoch"],
        )

    @property
    def order(self) -> tuple[int, int, int]:
        """Grows with each change."""
        return self.epoch, self.generation, self.next_generation or 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the collection may have now."""
        generations = (self.generation, self.next_generation)
        return tuple(pool_name(self.number, each) for each in generations if each is not None)


def pool_name(number: int, generation: int) -> str:
    """The name of a shared collection in one of its generations."""
    return f"shared_{number}_{generation}"


def own_name(slug: str) -> str:
    """The name of an active organization's collection in a database that it shares. It tells the
    slug, which has no underscore; no other name does."""
    return f"org_{slug.replace('-', '_')}"


@dataclass(frozen=True, slots=True)
class Entry:
    """The directory's answer about an organization. ``target`` is the collection's name when the
    running ``operation`` is done. One that shares a collection has the number of its ``pool``,
    and neither name nor UUID: those are the pool's. One that has moved tells the UUID of the
    collection that it came from, until when changes there were its own, and since when they are at
    its place. ``home`` is the tenant database of the first cluster."""

    id: ObjectId
    slug: str
    state: str
    order: tuple[int, int]
    strategy: str
    cluster: str
    database: str
    collection: str
    uuid: UUID | None
    operation: str | None = None
    target: str | None = None
    pool: int | None = None
    moved_from: UUID | None = None
    moved_at: Timestamp | None = None
    left_at: Timestamp | None = None
    entitled: Entitled | None = None
    home: str = ""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Entry":
        """Read what this version knows, and pass over fields that a later one adds."""
        placement, operation = document["placement"], document.get("operation") or {}
        return cls(
            id=document["_id"],
            slug=document["slug"],
            state=sys.intern(document["state"]),
            order=(document["epoch"], document["version"]),
            strategy=sys.intern(placement["strategy"]),
            cluster=sys.intern(placement.get("cluster", "")),
            database=sys.intern(placement.get("database", "")),
            collection=placement.get("collection", ""),
            uuid=placement.get("uuid"),
            operation=operation.get("kind"),
            target=operation.get("collection"),
            pool=placement.get("pool"),
            moved_from=placement.get("moved_from"),
            moved_at=placement.get("moved_at"),
            left_at=placement.get("left_at"),
            entitled=Entitled.of(document),
            home=sys.intern(document.get("home", "")),
        )

    @property
    def moves(self) -> bool:
        """True while it is being moved."""
        return self.operation == _MOVE

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which documents may be reached in a collection of their own."""
        removing = self.operation in _REMOVING
        return (self.collection,) if removing or not self.target else (self.collection, self.target)

    @property
    def shut(self) -> bool:
        """True while it is suspended so that nobody reads its documents."""
        return self.state in _SHUT

    @property
    def read_only(self) -> bool:
        """True while it is suspended so that nobody changes its documents."""
        return self.state == ReadOnly.kind

    def check_writable(self) -> None:
        """Raise ReadOnly where documents can only be read."""
        if self.read_only:
            raise ReadOnly(self.id)

    def check(self) -> None:
        """Raise the reason why documents can't be reached now."""
        if self.state == "trashed":
            raise Trashed(self.id)
        if self.state == "purged":
            raise Purged(self.id)
        if self.state in _SHUT:
            raise _SHUT[self.state](self.id)
        # A shared collection's name doesn't tell who leaves it: the organization alone does.
        leaving = self.strategy == SHARED and self.operation == _MOVE
        if leaving and self.state in (_ACTIVE, _LEAVING, ReadOnly.kind):
            raise Moving(self.id, self.order)
        if self.state not in (_ACTIVE, ReadOnly.kind):
            raise UnknownState(self.id, self.state)
        if not is_known(self.strategy):
            raise UnknownStrategy(self.id, self.strategy)
        if self.strategy == SHARED and self.operation in _REMOVING:
            raise Trashed(self.id) if self.operation == "trash" else Purged(self.id)


@dataclass(frozen=True, slots=True)
class Located:
    """The place at which an operation is tried: an entry, the name to use, and how documents are
    kept there; for one that shares a collection also the pool's answer, which was read before the
    entry. ``doubted`` is the name that the server told, if the directory didn't record it."""

    entry: Entry
    name: str
    uuid: Binary
    placement: Placement
    pool: PoolEntry | None = None
    doubted: tuple[str | None] | None = None

    @classmethod
    def of(cls, entry: Entry, pool: PoolEntry | None = None, found: str | None = None) -> "Located":
        """The recorded place, under the name that the server ``found`` if that is recorded too.

        ``pool`` is the answer about the entry's pool: the entry must have been read after it.
        Raises the reason why documents can't be reached there.
        """
        entry.check()
        if entry.strategy != SHARED:
            names, uuid, pool = entry.names, entry.uuid, None
        elif pool is not None and pool.number == entry.pool:
            names, uuid = pool.names, pool.uuid
        else:
            raise CollectionMissing(entry.id)
        if uuid is None:  # it is being created
            raise NotReady(entry.id)
        name = found if found is not None and found in names else names[0]
        placement = placement_of(entry.strategy, entry.id)
        return cls(entry, name, Binary.from_uuid(uuid), placement, pool)

    @property
    def order(self) -> tuple[tuple[int, ...], ...]:
        """Grows with each change of what the directory says."""
        return self.entry.order, () if self.pool is None else self.pool.order

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which documents may be reached."""
        return self.entry.names if self.pool is None else self.pool.names

    def is_at(self, other: "Located | None") -> bool:
        """Tell whether both say the same."""
        return other is not None and self.entry is other.entry and self.name == other.name


def follow(
    entry: Entry, used: Located, found: str | None, pool: PoolEntry | None = None
) -> Located:
    """The place to go on at, where the server ``found`` the collection under another name than
    ``used``, and ``entry`` was read since, after ``pool`` where it shares a collection.

    Where it records another name than the one found, that is tried once more, since there may have
    been another rename meanwhile; and until the caller's time ends while an operation runs. Raises
    Moving where the collection is being left, and StateError otherwise.
    """
    current = Located.of(entry, pool, found)
    if current.uuid != used.uuid:  # it has moved: nothing was found of its new place
        return current
    if entry.operation in _REMOVING and found == entry.target:
        raise Trashed(entry.id) if entry.operation == "trash" else Purged(entry.id)
    if found is None and entry.operation == "purge":
        raise Purged(entry.id)
    if found is not None and found in current.names:
        return current
    if found is not None and entry.operation == _MOVE:
        raise Moving(entry.id, entry.order)
    tried = used.order == current.order and used.doubted == (found,)
    if tried and found is None:
        raise CollectionMissing(entry.id)
    if tried and found is not None and not entry.operation:
        raise Misplaced(entry.id, found, current.names[0])
    return replace(current, doubted=(found,))


class Misses:
    """The pace of look-ups after those that found no organization. Thread-safe, near enough."""

    def __init__(self) -> None:
        self._even_at = 0.0

    def add(self) -> None:
        """Count one that found nothing."""
        begun = time.monotonic() - limits.MISSES_AT_ONCE / limits.MISSES_A_SECOND
        self._even_at = max(self._even_at, begun) + 1 / limits.MISSES_A_SECOND

    @property
    def pause_seconds(self) -> float:
        """The time to wait before the next look-up."""
        return min(max(self._even_at - time.monotonic(), 0.0), limits.MISS_SECONDS)


class Entries:
    """The latest answers about at most ``limit`` organizations, the least recently used ones
    forgotten. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a child, where the lock may be held by a thread that isn't there."""
        self._lock = Lock()
        self._located: OrderedDict[ObjectId, Located] = OrderedDict()
        self._ids: dict[str, ObjectId] = {}
        self._checked: OrderedDict[str, tuple[Located, ObjectId]] = OrderedDict()
        self._pools: Mapping[int, PoolEntry] = {}
        self._read_at: dict[str, Timestamp] = {}

    def __len__(self) -> int:
        return len(self._located)

    def get(self, organization_id: ObjectId) -> Located | None:
        """The known place of the organization."""
        with self._lock:
            located = self._located.get(organization_id)
            if located is not None:
                self._located.move_to_end(organization_id)
            return located

    def of_slug(self, slug: str) -> Located | None:
        """The known place of the organization that had this slug, where the server rejects it if
        another one has it since: under all other names a slug has to be read."""
        organization_id = self._ids.get(slug)
        located = None if organization_id is None else self.get(organization_id)
        return located if located is not None and located.name == own_name(slug) else None

    def has_slug(self, slug: str) -> bool:
        """Tell whether a known organization had this slug."""
        return slug in self._ids

    @property
    def pools(self) -> Mapping[int, PoolEntry]:
        """The latest answers about pools. What is read of an organization after this may be joined
        with them."""
        return self._pools

    def accept(self, entry: Entry, pool: PoolEntry | None = None, found: str | None = None) -> None:
        """Keep an answer if it is newer than what is known, and tells where documents are; under
        the name that the server ``found``, if it records that."""
        with self._lock:
            known = self._located.get(entry.id)
            if known is not None and known.order >= (entry.order, pool.order if pool else ()):
                return
            self._forget(entry.id)
            try:
                self._located[entry.id] = Located.of(entry, pool, found)
            except StateError:  # what can't be reached isn't kept
                return
            self._ids[entry.slug] = entry.id
            if len(self._located) > self._limit:
                self._forget(next(iter(self._located)))

    def read_at(self, uri: str) -> Timestamp | None:
        """The time of the latest answer by this URI, by the server's clock."""
        return self._read_at.get(uri)

    def advance(self, uri: str, read_at: Timestamp | None) -> None:
        """Note the time of an answer by this URI: what is read later must not be older."""
        with self._lock:
            known = self._read_at.get(uri)
            if read_at is not None and (known is None or read_at > known):
                self._read_at[uri] = read_at

    def accept_pool(self, pool: PoolEntry) -> None:
        """Keep an answer about a pool if it is newer than what is known."""
        with self._lock:
            known = self._pools.get(pool.number)
            if known is None or pool.order > known.order:
                self._pools = {**self._pools, pool.number: pool}

    def move(self, located: Located) -> Located:
        """Keep the name that the collection was found under."""
        with self._lock:
            known = self._located.get(located.entry.id)
            if known is not None and known.entry is located.entry and located.doubted is None:
                self._located[located.entry.id] = located
        return located

    def forget(self, organization_id: ObjectId) -> None:
        """Forget an organization that the directory doesn't know any more."""
        with self._lock:
            self._forget(organization_id)

    def checked(self, slug: str, used: Located) -> ObjectId | None:
        """The organization that the slug was found to belong to after ``used`` was rejected."""
        refused, organization_id = self._checked.get(slug, (None, None))
        return organization_id if used.is_at(refused) else None

    def check_slug(self, slug: str, used: Located, organization_id: ObjectId) -> None:
        """Keep that answer for all who used the same; nobody else does where it is another one."""
        with self._lock:
            if organization_id != used.entry.id == self._ids.get(slug):
                del self._ids[slug]
            self._checked[slug] = used, organization_id
            if len(self._checked) > _MAX_CHECKED_SLUGS:
                self._checked.popitem(last=False)

    def _forget(self, organization_id: ObjectId) -> None:
        known = self._located.pop(organization_id, None)
        if known is not None and self._ids.get(known.entry.slug) == organization_id:
            del self._ids[known.entry.slug]
