"""Leases by the server's clock: work recorded in documents, done by one process at a time."""

from dataclasses import dataclass
from typing import Any

from mongoengine import Document, QuerySet
from pymongo import ReturnDocument

_LONGEST_ERROR = 300


def seconds_from_now(seconds: int) -> dict[str, Any]:
    """``seconds`` from now by the server's clock, for an update pipeline."""
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": seconds}}


def is_past(field: str) -> dict[str, Any]:
    """The filter for documents whose ``field`` is now or in the past by the server's clock."""
    return {field: {"$exists": True}, "$expr": {"$lte": [f"${field}", "$$NOW"]}}


@dataclass(frozen=True, slots=True)
class LeasedQueue:
    """A queue in the documents of one class, given the names of its fields.

    A document is due once ``due_field`` is past. ``acquire`` moves that to the end of a lease and
    increments ``attempt_field``, in one command, so only one process gets it. The lease of a
    process that died runs out; a process that was only slow finds another attempt, and changes
    nothing.
    """

    document: type[Document]
    due_field: str
    attempt_field: str
    error_field: str
    lease_seconds: int

    @property
    def lease(self) -> dict[str, Any]:
        """The update that begins or renews a lease."""
        return {self.due_field: seconds_from_now(self.lease_seconds)}

    def acquire(
        self, wanted: dict[str, Any], sort: dict[str, int] | None = None
    ) -> Document | None:
        """Lease and return the first due document that matches ``wanted``, if there is one."""
        next_attempt = {"$add": [f"${self.attempt_field}", 1]}
        acquired = self.document._get_collection().find_one_and_update(
            {**is_past(self.due_field), **wanted},
            [{"$set": {**self.lease, self.attempt_field: next_attempt}}],
            sort=sort,
            return_document=ReturnDocument.AFTER,
        )
        return self.document._from_son(acquired) if acquired else None

    def held(self, document_id: Any, attempt: int) -> QuerySet:
        """The query for the document while ``attempt`` is still the current one."""
        return self.document.objects(__raw__={"_id": document_id, self.attempt_field: attempt})

    def delay(self, seconds: int, error: Exception) -> dict[str, Any]:
        """The update that makes it due again in ``seconds`` and stores the error."""
        return {
            self.due_field: seconds_from_now(seconds),
            self.error_field: {"$literal": summary(error)},
        }


def summary(error: BaseException) -> str:
    """An error on one line, as stored and logged."""
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
