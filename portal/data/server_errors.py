"""Refusals of the server and of the store, as the room's errors. None has a value of a document in
it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo.errors import BulkWriteError, ExecutionTimeout, OperationFailure, PyMongoError

from portal.data.errors import (
    DocumentInvalid,
    DuplicateDocument,
    IndexAddedBeside,
    InvalidQuery,
    NeedsOwnPlacement,
    QueryCancelled,
    QueryTooSlow,
    WriteRefused,
)
from portal.tenants.errors import NeedsOwnPlacement as SharedRefusal
from portal.tenants.errors import QueryRefused as StoreRefusal

_LONGEST_REASON = 300
_DUPLICATE_KEY, _VALIDATION = 11000, 121
# Interrupted by killOp or by the end of its session.
_INTERRUPTED = (11601, 237)
# What the server answers while it fails, moves or is asked too much, and what a role lacks.
_TRANSIENT = frozenset(
    {6, 7, 8, 13, 18, 64, 89, 91, 112, 134, 175, 189, 211, 225, 251, 262, 9001, 10107, 11600, 11602,
     13435, 13436, 14031}
)  # fmt: skip


@contextmanager
def reading() -> Iterator[None]:
    """Turn the server's refusals of a query into the room's errors."""
    with _refusals(_of_query):
        yield


@contextmanager
def writing() -> Iterator[None]:
    """Turn the server's refusals of a write into the room's errors, without values."""
    with _refusals(_of_write):
        yield


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound what is done with MongoDB to so many seconds. Raises QueryTooSlow beyond them."""
    try:
        with pymongo.timeout(seconds):
            yield
    except PyMongoError as error:
        if not error.timeout:
            raise
        raise QueryTooSlow from error


def is_transient(error: OperationFailure) -> bool:
    """Tell whether the same may succeed later: the server fails, moves or is asked too much."""
    return error.code in _TRANSIENT or error.has_error_label("TransientTransactionError")


@contextmanager
def _refusals(of_operation: Callable[[OperationFailure], Exception]) -> Iterator[None]:
    try:
        yield
    except StoreRefusal as error:
        raise InvalidQuery(_sentence(error.reason)) from error
    except SharedRefusal as error:
        raise NeedsOwnPlacement(error.what) from error
    except ExecutionTimeout as error:
        raise QueryTooSlow from error
    except OperationFailure as error:
        told = of_operation(error)
        if told is error:
            raise
        raise told from error


def _of_query(error: OperationFailure) -> Exception:
    if error.code in _INTERRUPTED:
        return QueryCancelled()
    if is_transient(error):
        return error
    details = error.details or {}
    return InvalidQuery(_sentence(str(details.get("errmsg", ""))[:_LONGEST_REASON]))


def _of_write(error: OperationFailure) -> Exception:
    details: Any = error.details or {}
    if isinstance(error, BulkWriteError):
        details = (details.get("writeErrors") or [{}])[0]
    elif error.code in _INTERRUPTED:
        return QueryCancelled()
    elif is_transient(error):
        return error
    code = details.get("code")
    if code == _DUPLICATE_KEY:
        return DuplicateDocument(", ".join(details.get("keyPattern") or {}))
    if code == _VALIDATION:
        return DocumentInvalid()
    if "addedIndex" in details:
        return IndexAddedBeside(", ".join(details["addedIndex"]))
    return WriteRefused(f"{details.get('codeName') or 'code'} ({code})")


def _sentence(reason: str) -> str:
    words = reason.strip().rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."
