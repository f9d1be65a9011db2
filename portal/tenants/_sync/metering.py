"""Counts what organizations use, and keeps them within their limits."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pymongo
from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import ReturnDocument
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.synchronous.collection import Collection

from ..budgets import BURST_SECONDS, Block, take
from ..directory import Entry, Located
from ..errors import LimitExceeded
from ..fence import rejection
from ..levels import Levels, growth_of
from ..placements import SHARED
from ..quotas import BYTES, DOCUMENTS, OPERATIONS, LimitBook, Limits
from ..runtime import Flights, Scoped, remaining, renew_after_fork, sleep
from ..usage import Meter

LIMIT_SECONDS = 1
"""The longest wait of an operation for the limit of operations per second."""

_BUDGET_SECONDS = 2
# A caller with less time than that gets an answer that says why, before its time is over.
_SHARE_OF_CALLERS = 4
_PLAIN: CodecOptions[dict[str, Any]] = CodecOptions()
_OF_OWN: list[dict[str, Any]] = [
    {"$collStats": {"count": {}, "storageStats": {}}},
    {"$project": {"documents": "$count", "bytes": "$storageStats.size"}},
]
_OF_SHARED: list[dict[str, Any]] = [
    {"$match": {}},
    {
        "$group": {
            "_id": None,
            "documents": {"$sum": 1},
            "bytes": {"$sum": {"$bsonSize": "$$ROOT"}},
        }
    },
]


class Metering:
    """Counts, and limits, for all organizations of one installation. Thread-safe.

    ``budgets`` is the collection of budgets, ``None`` while nobody knows where that is. Where it
    can't be asked, each process keeps an organization within its limit by itself. ``refuse`` makes
    the error of an operation that a limit refuses.
    """

    def __init__(
        self,
        meter: Meter,
        book: LimitBook,
        budgets: Callable[[], Collection | None],
        limit_seconds: float = LIMIT_SECONDS,
        refuse: Callable[[LimitExceeded], Exception] = lambda refusal: refusal,
    ) -> None:
        self.meter = meter
        self._book = book
        self._budgets = budgets
        self._limit_seconds = limit_seconds
        self._refuse = refuse
        self._levels = Levels()
        self._flights = Scoped(Flights)
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a child."""
        self._blocks: dict[ObjectId, Block] = {}
        self._alone: dict[ObjectId, float] = {}

    def limits_of(self, entry: Entry) -> Limits | None:
        """The limits of an organization, if it has any."""
        return self._book.limits_of(entry.id, entry.order, entry.entitled)

    def admit(self, entry: Entry, operations: int) -> None:
        """Count operations, and wait until they are within the organization's limit.

        Raises LimitExceeded where that takes longer than the caller has: a quarter of the time that
        it is bounded by, or ``limit_seconds``.
        """
        self.meter.operations(entry.id, operations)
        limits = self.limits_of(entry)
        if limits is not None and limits.operations is not None:
            self._wait(entry.id, limits.operations, operations)

    def charge(self, entry: Entry, operations: int) -> None:
        """Count operations that were done already: those after them wait."""
        self.meter.operations(entry.id, operations)
        limits = self.limits_of(entry)
        if limits is not None and limits.operations is not None:
            self._blocks.setdefault(entry.id, Block()).charge(operations)

    def admit_growth(
        self, located: Located, database: Any, verb: str, fields: Mapping[str, Any], size_bytes: int
    ) -> None:
        """Return if a command adds no more than the organization may keep. Counts what it keeps,
        the more often the nearer the limit is. Raises LimitExceeded, and Moved."""
        entry = located.entry
        limits = self.limits_of(entry)
        if limits is None or not limits.kept:
            return
        level, growth = self._levels.of(entry.id), growth_of(verb, fields, size_bytes)
        if growth is None:
            level.deleted()
            return
        # Nothing is refused by what others may have deleted since.
        refuses = not level.rests and level.passed(limits, growth)
        if refuses or not level.is_known(limits):
            begun = time.monotonic()
            documents, size_bytes = _measure(located, database)
            level.measured(documents, size_bytes, time.monotonic() - begun)
            self.count(entry, 0, 0, time.monotonic() - begun)
            for kind, kept in ((DOCUMENTS, documents), (BYTES, size_bytes)):
                if (allowed := getattr(limits, kind)) is not None:
                    self.meter.level(entry.id, kind, kept, allowed)
        if passed := level.passed(limits, growth):
            self.meter.refused(entry.id)
            raise self._refuse(LimitExceeded(entry.id, *passed))
        level.add(growth)

    def count(self, entry: Entry, bytes_in: int, bytes_out: int, seconds: float) -> None:
        """Count a command."""
        self.meter.command(entry.id, entry.cluster, bytes_in, bytes_out, seconds)

    def count_read(self, entry: Entry, bytes_out: int) -> None:
        """Count what a command read that was counted."""
        self.meter.read(entry.id, bytes_out)

    def count_changed(self, entry: Entry, verb: str, others: int) -> None:
        """Count the documents that a command changed beside one for each of its statements."""
        if verb == "delete":
            self._levels.deleted(entry.id)
        if others > 0:
            self.charge(entry, others)

    def _wait(self, organization: ObjectId, rate: int, operations: int) -> None:
        block = self._blocks.get(organization)
        if block is None:
            block = self._blocks.setdefault(organization, Block())
        while not block.use(operations):
            block.want(operations)

            def refill() -> float | None:
                return self._refill(organization, block, rate)

            refused_seconds = self._flights.get().share(organization, refill)
            if refused_seconds is not None:
                self.meter.refused(organization)
                raise self._refuse(
                    LimitExceeded(organization, OPERATIONS, rate, None, refused_seconds)
                )
        wait_seconds = block.begins - time.monotonic()
        if wait_seconds > 0:
            self.meter.waited(organization, wait_seconds)
            sleep(wait_seconds)

    def _refill(self, organization: ObjectId, block: Block, rate: int) -> float | None:
        """Take a block of operations; or tell in how many seconds that can be done, where that is
        too long."""
        wanted, most = block.size(rate), self._patience_seconds()
        try:
            granted, wait_seconds = self._take(organization, wanted, rate, most)
        except PyMongoError:
            granted, wait_seconds = self._take_alone(organization, wanted, rate, most)
        if not granted:
            return wait_seconds
        block.granted(wanted, wait_seconds)
        return None

    def _take(
        self, organization: ObjectId, operations: int, rate: int, most_seconds: float
    ) -> tuple[bool, float]:
        budgets = self._budgets()
        if budgets is None:
            return self._take_alone(organization, operations, rate, most_seconds)
        with pymongo.timeout(_BUDGET_SECONDS):
            budget: Any = budgets.find_one_and_update(
                {"_id": organization},
                take(operations, rate, most_seconds),
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return budget["granted"], budget["wait"] / 1000

    def _take_alone(
        self, organization: ObjectId, operations: int, rate: int, most_seconds: float
    ) -> tuple[bool, float]:
        """Take them from a budget of this process alone."""
        now = time.monotonic()
        begins = max(self._alone.get(organization, 0.0), now)
        wait_seconds = max(0.0, begins - now - BURST_SECONDS)
        if wait_seconds > most_seconds:
            return False, wait_seconds
        self._alone[organization] = begins + operations / rate
        return True, wait_seconds

    def _patience_seconds(self) -> float:
        left = remaining()
        if left is None:
            return self._limit_seconds
        return max(0.0, min(self._limit_seconds, left / _SHARE_OF_CALLERS))


def _measure(located: Located, database: Any) -> tuple[int, int]:
    """The number of an organization's documents, and their size. Raises Moved."""
    shared = located.entry.strategy == SHARED
    fields = {
        "pipeline": _OF_SHARED if shared else _OF_OWN,
        "cursor": {},
        "collectionUUID": located.uuid,
    }
    placement = located.placement
    command = {"aggregate": located.name, **placement.command("aggregate", fields, _PLAIN)}
    try:
        reply = database.command(command, codec_options=_PLAIN)
    except OperationFailure as error:
        raise rejection(error) or error from error
    found = reply["cursor"]["firstBatch"]
    return (found[0]["documents"], found[0]["bytes"]) if found else (0, 0)
