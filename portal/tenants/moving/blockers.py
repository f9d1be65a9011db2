"""Operations in the way of a move at the server: a rename waits for them, or the collection must
not be changed under them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.errors import OperationFailure

from .places import Place

OPEN_SECONDS = 5.0
"""The time from which on a transaction counts as a long one."""

_NOT_PERMITTED = (13, 59, 8000)
_ON_COLLECTION = {
    "createIndexes": "an index build",
    "compact": "compact",
    "validate": "validate",
}


@dataclass(frozen=True, slots=True)
class Blocker:
    """An operation in the way: what it is, in words, and as far as it is known its number at the
    server, the application that began it, and for how long it has run. ``by_time`` is one that
    ends by itself: a transaction."""

    what: str
    opid: int | str | None = None
    application: str | None = None
    seconds: float | None = None
    by_time: bool = False

    def __str__(self) -> str:
        told = [
            f"opid {self.opid}" if self.opid is not None else "",
            self.application or "",
            f"for {self.seconds:.0f} s" if self.seconds is not None else "",
        ]
        known = ", ".join(filter(None, told))
        return f"{self.what} ({known})" if known else self.what


def find_blockers(place: Place, open_seconds: float = OPEN_SECONDS) -> list[Blocker] | None:
    """The operations that run on the place's collection, or hold its server, and transactions that
    have been open for longer than ``open_seconds``, whatever they touched: the server doesn't tell.

    ``None`` where the portal's user may not see them. Raises PyMongoError.
    """
    admin = place.database.client.admin
    try:
        with admin.aggregate(
            [{"$currentOp": {"allUsers": True, "idleSessions": True}}]
        ) as operations:
            found = list(_among(operations, place, open_seconds))
        return found + list(_holding(place))
    except OperationFailure as error:
        if error.code not in _NOT_PERMITTED:
            raise
        return None


def _among(
    operations: Iterator[Mapping[str, Any]], place: Place, open_seconds: float
) -> Iterator[Blocker]:
    seen = set()
    for operation in operations:
        if blocker := _on_collection(operation, place):
            # Whoever asked for an index is there beside the server's own thread.
            if blocker.what not in seen:
                seen.add(blocker.what)
                yield blocker
        elif (blocker := _transaction(operation)) and (blocker.seconds or 0) >= open_seconds:
            yield blocker


def _on_collection(operation: Mapping[str, Any], place: Place) -> Blocker | None:
    command = operation.get("command", {})
    for verb, what in _ON_COLLECTION.items():
        if command.get(verb) == place.name and command.get("$db") == place.database.name:
            return Blocker(
                what, operation.get("opid"), operation.get("appName"), operation.get("secs_running")
            )
    return None


def _transaction(operation: Mapping[str, Any]) -> Blocker | None:
    transaction = operation.get("transaction")
    if transaction is None or "timeOpenMicros" not in transaction:
        return None
    seconds = transaction["timeOpenMicros"] / 1_000_000
    application, opid = operation.get("appName"), operation.get("opid")
    return Blocker("a transaction", opid, application, seconds, by_time=True)


def _holding(place: Place) -> Iterator[Blocker]:
    """The operations that hold the whole server."""
    admin = place.database.client.admin
    if admin.command({"currentOp": 1, "opid": -1}).get("fsyncLock"):
        yield Blocker("fsyncLock, which lets nobody write")
    if admin.command("serverStatus").get("storageEngine", {}).get("backupCursorOpen"):
        yield Blocker("a backup, which keeps what is dropped")
