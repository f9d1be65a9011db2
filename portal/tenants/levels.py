"""Sizes of organizations, against what they may keep.

Nothing is added up: the collection is asked, the more often the nearer the limit is. So what others
delete counts, and nothing can drift. This process adds what it writes in between.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from .quotas import BYTES, DOCUMENTS, Limits
from .runtime import renew_after_fork

_TRUSTED_SECONDS = 60
_TRUSTED_SHARE = 0.05
# So those that are refused spend a tenth of their time on counting at most.
_REST = 10


@dataclass(frozen=True, slots=True)
class Growth:
    """The most that a write may add."""

    documents: int = 0
    bytes: int = 0


class Level:
    """An organization's size, as last measured, and what this process has added since."""

    __slots__ = ("_measured_at", "_stale", "_took_seconds", "added_bytes", "added_documents",
                 "bytes", "documents")  # fmt: skip

    def __init__(self) -> None:
        self.documents = self.bytes = self.added_documents = self.added_bytes = 0
        self._measured_at = self._took_seconds = 0.0
        self._stale = True

    def measured(self, documents: int, size_bytes: int, took_seconds: float) -> None:
        """Note what was counted just now."""
        self.documents, self.bytes = documents, size_bytes
        self.added_documents = self.added_bytes = 0
        self._measured_at, self._took_seconds = time.monotonic(), took_seconds
        self._stale = False

    def deleted(self) -> None:
        """Measure before the next one is refused: something was deleted."""
        self._stale = True

    def add(self, growth: Growth) -> None:
        """Note what is being added."""
        self.added_documents += growth.documents
        self.added_bytes += growth.bytes

    @property
    def rests(self) -> bool:
        """True where it was measured just now, so that one refusal after another costs little: what
        others took away since is known in a moment."""
        age = time.monotonic() - self._measured_at
        return not self._stale and age < self._took_seconds * _REST

    def is_known(self, limits: Limits) -> bool:
        """Tell whether what was measured is still good enough to go by: it is measured more often
        the nearer the limit is."""
        age = time.monotonic() - self._measured_at
        if self._stale or age > _TRUSTED_SECONDS:
            return False
        return all(
            added <= (allowed - known) * _TRUSTED_SHARE
            for allowed, known, added in (
                (limits.documents, self.documents, self.added_documents),
                (limits.bytes, self.bytes, self.added_bytes),
            )
            if allowed is not None
        )

    def passed(self, limits: Limits, growth: Growth) -> tuple[str, int, int] | None:
        """The limit that would be passed by ``growth``, what is allowed, and what is kept."""
        documents = self.documents + self.added_documents
        size = self.bytes + self.added_bytes
        for kind, allowed, kept, added in (
            (DOCUMENTS, limits.documents, documents, growth.documents),
            (BYTES, limits.bytes, size, growth.bytes),
        ):
            if allowed is not None and added and kept + added > allowed:
                return kind, allowed, kept
        return None


class Levels:
    """The levels of organizations whose keeping is limited. Thread-safe."""

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a child."""
        self._lock = threading.Lock()
        self._levels: dict[ObjectId, Level] = {}

    def of(self, organization: ObjectId) -> Level:
        """The level of the organization."""
        with self._lock:
            return self._levels.setdefault(organization, Level())

    def deleted(self, organization: ObjectId) -> None:
        """Note that something was deleted."""
        level = self._levels.get(organization)
        if level is not None:
            level.deleted()


# What only takes away from a document is let through where no more bytes may be kept.
_TAKING = frozenset({"$unset", "$pull", "$pullAll", "$pop"})


def growth_of(verb: str, fields: Mapping[str, Any], size_bytes: int) -> Growth | None:
    """The most that a command may add; ``None`` where it adds nothing. Of an update that is its own
    size: what it adds truly shows when it is measured."""
    match verb:
        case "insert":
            return Growth(len(fields["documents"]), size_bytes)
        case "update":
            updates = fields["updates"]
            upserts = sum(1 for each in updates if each.get("upsert"))
            if not upserts and all(_only_takes(each.get("u")) for each in updates):
                return None
            return Growth(upserts, size_bytes)
        case "findAndModify":
            if fields.get("remove") or _only_takes(fields.get("update")):
                return None
            return Growth(1 if fields.get("upsert") else 0, size_bytes)
    return None


def _only_takes(update: Any) -> bool:
    return isinstance(update, Mapping) and bool(update) and _TAKING.issuperset(update)
