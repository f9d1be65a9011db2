"""The states of the organizations that a job works on, which outlive the job."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from portal.documents.jobs import ItemState, JobItem


@dataclass(frozen=True, slots=True)
class Item:
    """The state of an organization, and the attempt that it is of."""

    organization: ObjectId
    state: ItemState
    attempt: int
    wave: int | None = None
    strategy: str | None = None
    reason: str | None = None
    begun_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """The organizations in all jobs of a ``kind`` about a ``subject``."""

    kind: str
    subject: str

    def begin(self, organization: ObjectId, attempt: int, wave: int, strategy: str) -> bool:
        """Begin to work on it, unless it is done, or this attempt or a later one has begun it."""
        begun = {
            "state": ItemState.RUNNING,
            "attempt": attempt,
            "wave": wave,
            "strategy": strategy,
            "begun_at": "$$NOW",
            "reason": "$$REMOVE",
            "ended_at": "$$REMOVE",
        }
        before = {"attempt": {"$lt": attempt}, "state": {"$ne": ItemState.DONE}}
        try:
            JobItem._get_collection().update_one(
                {**self._of(organization), **before}, [{"$set": begun}], upsert=True
            )
        except DuplicateKeyError:
            return False
        return True

    def end(
        self, organization: ObjectId, attempt: int, state: ItemState, reason: str | None = None
    ) -> bool:
        """End what this attempt began; False where a later one has begun it again."""
        ended = {
            "state": state,
            "ended_at": "$$NOW",
            "reason": {"$literal": reason} if reason else "$$REMOVE",
        }
        current = {**self._of(organization), "attempt": attempt, "state": ItemState.RUNNING}
        return bool(JobItem._get_collection().update_one(current, [{"$set": ended}]).matched_count)

    def give_up(self, organization: ObjectId, attempt: int) -> None:
        """Leave what this attempt began to a later job, as if it had not been begun."""
        current = {**self._of(organization), "attempt": attempt, "state": ItemState.RUNNING}
        JobItem._get_collection().delete_one(current)

    def forget(self, organizations: Sequence[ObjectId]) -> None:
        """Forget what became of these, while no job is open."""
        among = {**self._of(), "organization": {"$in": list(organizations)}}
        JobItem._get_collection().delete_many(among)

    def between(self, first: ObjectId, last: ObjectId) -> dict[ObjectId, Item]:
        """The states there are of organizations with ids from ``first`` to ``last``."""
        found = self._find({"organization": {"$gte": first, "$lte": last}})
        return {item.organization: item for item in found}

    def in_state(self, state: ItemState, *, after_attempt: int = 0) -> Iterable[Item]:
        """The organizations in this state, of attempts after that one, in the order of their
        ids."""
        return self._find({"state": state, "attempt": {"$gt": after_attempt}})

    def counts(self, *, after_attempt: int = 0) -> dict[int, Counter[str]]:
        """The number of organizations by wave and state, of attempts after that one."""
        counts: dict[int, Counter[str]] = {}
        rows = JobItem._get_collection().aggregate(
            [
                {"$match": {**self._of(), "attempt": {"$gt": after_attempt}}},
                {"$group": {"_id": {"wave": "$wave", "state": "$state"}, "n": {"$sum": 1}}},
            ]
        )
        for row in rows:
            counts.setdefault(row["_id"]["wave"], Counter())[row["_id"]["state"]] = row["n"]
        return counts

    def any_done(self) -> int:
        """The number of organizations that are done."""
        done = {**self._of(), "state": ItemState.DONE}
        return JobItem._get_collection().count_documents(done)

    def _find(self, query: dict[str, Any]) -> Iterable[Item]:
        names = tuple(Item.__dataclass_fields__)
        shown = {"_id": 0, **dict.fromkeys(names, 1)}
        found = JobItem._get_collection().find({**self._of(), **query}, shown)
        return (Item(**row) for row in found.sort("organization", 1))

    def _of(self, organization: ObjectId | None = None) -> dict[str, Any]:
        of: dict[str, Any] = {"kind": self.kind, "subject": self.subject}
        return of | ({"organization": organization} if organization else {})
