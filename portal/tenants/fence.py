"""Tells from replies whether a fenced command reached its collection.

Each command carries ``collectionUUID``. Where the name belongs to another collection, or to none,
the server rejects it with code 361 and the collection's actual name: reads raise that, but insert,
update and delete reply ``ok: 1`` with the rejection among ``writeErrors``. Without checking those a
lost write looks acknowledged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

_COLLECTION_UUID_MISMATCH = 361
_DUPLICATE_KEYS = frozenset({11000, 11001, 12582})
_MAX_TIME_EXPIRED = 50
_CURSOR_NOT_FOUND = 43
# The collection was renamed while the command ran.
_QUERY_PLAN_KILLED = 175
_WRITE_CONCERN_TIMEOUT = 64
_KEY_NOT_FOUND = 211
# Transient while a primary is elected; the codes of the retryable reads specification, and
# KeyNotFound, while a server has no key for its cluster's time.
_TRANSIENT = frozenset(
    {6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
     _KEY_NOT_FOUND, _QUERY_PLAN_KILLED, _WRITE_CONCERN_TIMEOUT}
)  # fmt: skip
UNAUTHORIZED = 13
# UserNotFound; also on a connection whose user was dropped; AuthenticationFailed.
_REFUSED = frozenset({11, UNAUTHORIZED, 18})
# Not a primary: it was refused before it ran.
_NOT_RUN = frozenset({10107, 13435, 13436})
_LONGEST_PAUSE_SECONDS = 0.25
# Between two places of an organization, mostly for 20 to 80 ms.
_SHORTEST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.004, 0.1


@dataclass(eq=False)
class Moved(Exception):
    """The collection has another name, or (``None``) is not in this database. The command did only
    what its reply counts."""

    name: str | None


def rejection(error: OperationFailure) -> Moved | None:
    """The error to raise in place of ``error``, if that is the rejection of a fence."""
    if error.code != _COLLECTION_UUID_MISMATCH:
        return None
    return Moved((error.details or {}).get("actualCollection"))


def is_rejection(error: Mapping[str, Any]) -> bool:
    """Tell whether this one of a reply's ``writeErrors`` is the rejection of a fence."""
    return error["code"] == _COLLECTION_UUID_MISMATCH


def check_write(reply: Mapping[str, Any], *, single: bool) -> None:
    """Raise what a reply to a write says that is otherwise ``ok``: Moved, and errors after which
    the same command may be sent again. With ``single``, the error of a statement as well."""
    if concern := reply.get("writeConcernError"):  # first: the rest may still be rolled back
        kind = WTimeoutError if concern["code"] == _MAX_TIME_EXPIRED else WriteConcernError
        raise kind(concern["errmsg"], concern["code"], dict(reply))
    for error in reply.get("writeErrors", ()):
        if is_rejection(error):
            raise Moved(error.get("actualCollection"))
        if single or error["code"] in _TRANSIENT:
            raise write_error(error)


def write_error(error: Mapping[str, Any]) -> WriteError:
    """The error that PyMongo raises for this one of a reply's ``writeErrors``."""
    kind = DuplicateKeyError if error["code"] in _DUPLICATE_KEYS else WriteError
    return kind(error["errmsg"], error["code"], dict(error))


def refused_write(error: OperationFailure) -> WriteError | None:
    """The error of a write whose documents the server refused to look for, if it is no error of the
    server's state: the write itself would be refused so."""
    conflict = error.has_error_label("TransientTransactionError")
    if error.timeout or conflict or is_transient(error) or is_refused(error) or lost_cursor(error):
        return None
    return write_error({"code": error.code, "errmsg": "", **(error.details or {})})


def is_transient(error: PyMongoError) -> bool:
    """Tell whether the same command may succeed when sent again."""
    if error.timeout:
        return False  # the caller's time limit is exceeded
    code = error.code if isinstance(error, OperationFailure) else None
    return (
        isinstance(error, ConnectionFailure)
        or code in _TRANSIENT
        or error.has_error_label("RetryableWriteError")
    )


def is_refused(error: PyMongoError) -> bool:
    """Tell whether the server knows the client's user no more, or refuses it: nothing was run."""
    return isinstance(error, OperationFailure) and error.code in _REFUSED


def may_have_run(error: PyMongoError) -> bool:
    """Tell whether a command that ended with the error may have been executed."""
    if isinstance(error, ServerSelectionTimeoutError):
        return False  # it was never sent
    details = getattr(error, "details", None)
    return not isinstance(details, Mapping) or details.get("code") not in _NOT_RUN


def lost_cursor(error: PyMongoError) -> bool:
    """Tell whether a server's cursor ended since its collection was renamed, or was forgotten."""
    code = error.code if isinstance(error, OperationFailure) else None
    return code in (_QUERY_PLAN_KILLED, _CURSOR_NOT_FOUND)


def is_out_of_time(error: PyMongoError) -> bool:
    """Tell whether a command took longer than its time, or a cursor than that of its first one."""
    return isinstance(error, OperationFailure) and error.code == _MAX_TIME_EXPIRED


def pauses() -> Iterator[float]:
    """Seconds to wait before each retry: first none, then exponential."""
    yield 0
    pause_seconds = 0.005
    while True:
        yield pause_seconds
        pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)


def polls() -> Iterator[float]:
    """Seconds to wait before each look whether an organization is at its new place: a tenth of the
    time that has passed, so that nobody waits much longer than the move takes."""
    passed_seconds = 0.0
    while True:
        pause_seconds = max(_SHORTEST_POLL_SECONDS, passed_seconds / 10)
        yield min(pause_seconds, _LONGEST_POLL_SECONDS)
        passed_seconds += pause_seconds
