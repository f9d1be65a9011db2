"""Limits of organizations: how much they keep, how many operations a second they have."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

LIMITS = "portal_limits"
"""The collection of changed limits, in the tenant database: of an organization by its id, of a plan
by its name."""

DOCUMENTS, BYTES, OPERATIONS = "documents", "bytes", "operations"

REFRESH_SECONDS = 5
"""The time after which a process knows of a changed limit."""

_OVERLAP = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits: of documents and bytes that are kept, of operations per second; ``None`` is
    anything."""

    documents: int | None = None
    bytes: int | None = None
    operations: int | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> "Limits | None":
        """The limits in a document of the directory, if there are any."""
        if not document:
            return None
        return cls(document.get(DOCUMENTS), document.get(BYTES), document.get(OPERATIONS))

    def over(self, others: "Limits | None") -> "Limits":
        """These limits, and those of ``others`` where there is none here."""
        if others is None:
            return self
        return Limits(
            others.documents if self.documents is None else self.documents,
            others.bytes if self.bytes is None else self.bytes,
            others.operations if self.operations is None else self.operations,
        )

    @property
    def kept(self) -> bool:
        """True where it is limited how much is kept."""
        return self.documents is not None or self.bytes is not None


_NONE = Limits()


@dataclass(frozen=True, slots=True)
class Entitled:
    """An organization's limits in the directory: its own, and those of its plan."""

    plan: str | None = None
    own: Limits | None = None
    by_plan: Limits | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Entitled | None":
        """The limits in an entry of the directory; ``None`` for one without plan and limits."""
        plan = document.get("plan")
        own, by_plan = Limits.of(document.get("limits")), Limits.of(document.get("plan_limits"))
        return cls(plan, own, by_plan) if plan or own or by_plan else None


class LimitBook:
    """The limits in force: what the directory said when an entry was read, and what was changed
    since. Thread-safe."""

    def __init__(self) -> None:
        self._changed: dict[ObjectId, tuple[tuple[int, int], Entitled | None]] = {}
        self._plans: dict[str, Limits] = {}
        self._read_until: datetime | None = None

    def limits_of(
        self, organization: ObjectId, order: tuple[int, int], entitled: Entitled | None
    ) -> Limits | None:
        """The limits of an organization, whose entry of this ``order`` says ``entitled``."""
        changed = self._changed.get(organization)
        if changed is not None and changed[0] > order:
            entitled = changed[1]
        if entitled is None:
            return None
        by_plan = entitled.by_plan
        if entitled.plan is not None:
            by_plan = self._plans.get(entitled.plan, by_plan)
        own = entitled.own
        limits = (own or _NONE).over(by_plan)
        return None if limits == _NONE else limits

    @property
    def unread(self) -> dict[str, Any]:
        """The filter for changes that weren't read; they are few, but for the first time."""
        if self._read_until is None:
            return {}
        return {"changed_at": {"$gt": self._read_until - _OVERLAP}}

    @property
    def begun(self) -> bool:
        """True once it is known where reading goes on."""
        return self._read_until is not None

    def begin(self, newest: Mapping[str, Any] | None, now: datetime) -> None:
        """Go on behind what was the ``newest`` change: what entries are read from now on say it."""
        self._read_until = newest["changed_at"] if newest else now

    def accept(self, changed: Iterable[Mapping[str, Any]]) -> None:
        """Keep these changes."""
        for each in changed:
            if isinstance(each["_id"], ObjectId):
                order = each["epoch"], each["version"]
                self._changed[each["_id"]] = order, Entitled.of(each)
            else:
                self._plans[each["_id"]] = Limits.of(each.get("limits")) or _NONE
            if self._read_until is None or each["changed_at"] > self._read_until:
                self._read_until = each["changed_at"]
