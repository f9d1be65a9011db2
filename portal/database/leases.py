"""Leases by the server's clock: work recorded in documents, done by one process at a time."""

import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import pymongo
import structlog
from mongoengine import Document, QuerySet
from mongoengine.errors import MongoEngineException
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

log = structlog.get_logger()

_LONGEST_ERROR = 300


class Interrupted(Exception):
    """The work was paused or ended by somebody, or acquired by another process."""


def seconds_from_now(seconds: int | dict[str, Any]) -> dict[str, Any]:
    """``seconds`` from now by the server's clock, for an update pipeline; they may be an expression
    of one."""
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
    lease_seconds: int | dict[str, Any]  # an expression where documents have different ones

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


class Renewing:
    """The lease of an acquired document, renewed in a thread of its own while the block runs, so
    that one step of the work may take long. Thread-safe.

    ``held`` is the query for the document while this attempt may work on it. Where it matches
    nothing any more, ``check`` raises Interrupted.
    """

    def __init__(
        self,
        queue: LeasedQueue,
        held: QuerySet,
        name: str,
        *,
        renew_seconds: float,
        stale_seconds: float,
    ) -> None:
        self.held = held
        self._lease, self._name = queue.lease, name
        self._renew_seconds, self.stale_seconds = renew_seconds, stale_seconds
        self._reported: dict[str, Any] = {}
        self._interrupted: Interrupted | None = None
        self._renewed = time.monotonic()
        self._lock = threading.Lock()
        self._renewing = threading.Lock()  # or an older report may be written after a newer one
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_over, daemon=True)

    def report(self, values: dict[str, Any]) -> None:
        """Have these values, for an update pipeline, written with the next renewal."""
        with self._lock:
            self._reported |= values

    def check(self) -> None:
        """Return if this attempt is still the document's. Whoever was stopped for ``stale_seconds``
        looks. Raises Interrupted, and PyMongoError where that can't be told."""
        if self._interrupted:
            raise self._interrupted
        if time.monotonic() - self._renewed > self.stale_seconds:
            self.renew()

    def renew(self) -> None:
        """Begin the lease anew, and write what was reported. Raises as ``check``."""
        with self._renewing:
            with self._lock:
                reported = self._reported.copy()
            begun = time.monotonic()
            with pymongo.timeout(self.stale_seconds):
                ours = self.held.update_one(__raw__=[{"$set": {**self._lease, **reported}}])
            if not ours:
                self._interrupted = Interrupted(self._name)
                raise self._interrupted
            self._renewed = begun
            with self._lock:
                if self._reported == reported:
                    self._reported = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _renew_until_over(self) -> None:
        while not self._over.wait(self._renew_seconds) and not self._interrupted:
            try:
                self.renew()
            except Interrupted:
                return
            except (PyMongoError, MongoEngineException) as error:  # ``check`` raises it
                log.warning("lease.not_renewed", document=self._name, error=summary(error))


def summary(error: BaseException) -> str:
    """An error on one line, as stored and logged."""
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
