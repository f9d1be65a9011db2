"""Leases by the server's clock: work that stands in documents, done by one process at a time."""

from dataclasses import dataclass
from typing import Any

from mongoengine import Document, QuerySet
from pymongo import ReturnDocument

_LONGEST_ERROR = 300


def seconds_from_now(seconds: int) -> dict[str, Any]:
    """So many seconds from now by the server's clock, for the pipeline of an update."""
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": seconds}}


def is_past(field: str) -> dict[str, Any]:
    """The filter that finds documents whose ``field`` is past by the server's clock."""
    return {field: {"$exists": True}, "$expr": {"$lt": [f"${field}", "$$NOW"]}}


@dataclass(frozen=True, slots=True)
class LeasedQueue:
    """Work in the documents of one class, by the names of its fields.

    A document is due once ``due_field`` is past. Whoever acquires it moves that to the end of a
    lease and adds one to ``attempt_field``, in one command, so only one process gets it. A process
    that died lets its lease run out; one that was only slow finds another attempt, and changes
    nothing.
    """

    document: type[Document]
    due_field: str
    attempt_field: str
    error_field: str
    lease_seconds: int

    @property
    def lease(self) -> dict[str, Any]:
        """The change that begins a lease, or renews it."""
        return {self.due_field: seconds_from_now(self.lease_seconds)}

    def acquire(
        self, wanted: dict[str, Any], sort: dict[str, int] | None = None
    ) -> Document | None:
        """The first document as ``wanted`` that is due, with a lease on it, if there is one."""
        acquired = self.document._get_collection().find_one_and_update(
            {**is_past(self.due_field), **wanted},
            [{"$set": {**self.lease, self.attempt_field: self._next_attempt}}],
            sort=sort,
            return_document=ReturnDocument.AFTER,
        )
        return self.document._from_son(acquired) if acquired else None

    def held(self, document_id: Any, attempt: int) -> QuerySet:
        """The query that finds the document while ``attempt`` is the last one."""
        return self.document.objects(__raw__={"_id": document_id, self.attempt_field: attempt})

    def delay(self, seconds: int, error: Exception) -> dict[str, Any]:
        """The change that makes it due again after so many seconds, and keeps why."""
        return {
            self.due_field: seconds_from_now(seconds),
            self.error_field: {"$literal": summary(error)},
        }

    @property
    def _next_attempt(self) -> dict[str, Any]:
        return {"$add": [f"${self.attempt_field}", 1]}


def summary(error: Exception) -> str:
    """An error in a few words, as it is kept and logged."""
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
