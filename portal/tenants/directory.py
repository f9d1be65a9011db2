"""The directory's answers: the place of each organization's documents, and what follows of it.

The portal keeps two read-only views in its master database. ``directory_organizations`` has the
place of each organization's documents, with a version that grows with each change within an epoch
of the installation; ``directory_slugs`` leads from a slug, also an old one, to an organization.

An answer may be old, and that is no danger: a command under a name that the collection doesn't have
any more is rejected by the server, which tells the actual name. That name is used only if the
directory records it, as the placement or as the target of a running operation; names that begin
with ``org_`` belong to active organizations only.
"""

import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from uuid import UUID

from bson import Binary, ObjectId

from .errors import (
    CollectionMissing,
    Misplaced,
    NotReady,
    Purged,
    Trashed,
    UnknownState,
    UnknownStrategy,
)

ORGANIZATIONS = "directory_organizations"
SLUGS = "directory_slugs"
STRATEGY = "collection"
MAIN = "main"
"""The cluster that has the directory."""

_ACTIVE = "active"
_MAX_CHECKED_SLUGS = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """The directory's answer about an organization. ``target`` is the collection's name when the
    running ``operation`` is done."""

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
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which documents may be reached."""
        removing = self.operation in ("trash", "purge")
        return (self.collection,) if removing or not self.target else (self.collection, self.target)

    @property
    def settled(self) -> bool:
        """True if documents can be reached, and the answer may be kept."""
        return self.state == _ACTIVE and self.strategy == STRATEGY and self.uuid is not None

    def check(self) -> UUID:
        """The collection's UUID. Raises the reason why documents can't be reached now."""
        if self.state == "trashed":
            raise Trashed(self.id)
        if self.state == "purged":
            raise Purged(self.id)
        if self.state != _ACTIVE:
            raise UnknownState(self.id, self.state)
        if self.strategy != STRATEGY:
            raise UnknownStrategy(self.id, self.strategy)
        if self.uuid is None:
            raise NotReady(self.id)
        return self.uuid


@dataclass(frozen=True, slots=True)
class Located:
    """The place at which an operation is tried: an entry, and the name to use. ``doubted`` is the
    name that the server told, if the directory didn't record it."""

    entry: Entry
    name: str
    uuid: Binary
    doubted: tuple[str | None] | None = None

    @classmethod
    def of(cls, entry: Entry, name: str | None = None) -> "Located":
        """The recorded place. Raises the reason why documents can't be reached there."""
        return cls(entry, name or entry.collection, Binary.from_uuid(entry.check()))

    def is_at(self, other: "Located | None") -> bool:
        """Tell whether both say the same."""
        return other is not None and self.entry is other.entry and self.name == other.name


def follow(entry: Entry, used: Located, found: str | None) -> Located:
    """The place to go on at, where the server ``found`` the collection under another name than
    ``used``, and ``entry`` was read since.

    Where it records another name than the one found, that is tried once more, since there may have
    been another rename meanwhile; and until the caller's time ends while an operation runs. Raises
    StateError otherwise.
    """
    current = Located.of(entry)
    if entry.operation in ("trash", "purge") and found == entry.target:
        raise Trashed(entry.id) if entry.operation == "trash" else Purged(entry.id)
    if found is None and entry.operation == "purge":
        raise Purged(entry.id)
    if found is not None and found in entry.names:
        return replace(current, name=found)
    tried = used.entry.order == entry.order and used.doubted == (found,)
    if tried and found is None:
        raise CollectionMissing(entry.id)
    if tried and found is not None and not entry.operation:
        raise Misplaced(entry.id, found, entry.collection)
    return replace(current, doubted=(found,))


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
        """The known place of the organization that had this slug; another may have it since."""
        organization_id = self._ids.get(slug)
        return None if organization_id is None else self.get(organization_id)

    def accept(self, entry: Entry, name: str | None = None) -> None:
        """Keep an answer if it is newer than what is known, and tells where documents are; with the
        ``name`` that the server told, if it records that."""
        with self._lock:
            known = self._located.get(entry.id)
            if known is not None and known.entry.order >= entry.order:
                return
            self._forget(entry.id)
            if entry.settled:
                self._located[entry.id] = Located.of(entry, name if name in entry.names else None)
                self._ids[entry.slug] = entry.id
                if len(self._located) > self._limit:
                    self._forget(next(iter(self._located)))

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
        """Keep that answer for all who used the same."""
        with self._lock:
            self._checked[slug] = used, organization_id
            if len(self._checked) > _MAX_CHECKED_SLUGS:
                self._checked.popitem(last=False)

    def _forget(self, organization_id: ObjectId) -> None:
        known = self._located.pop(organization_id, None)
        if known is not None and self._ids.get(known.entry.slug) == organization_id:
            del self._ids[known.entry.slug]
