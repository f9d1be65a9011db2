"""Sends commands fenced to one tenant collection, and checks their whole replies.

Each command carries ``collectionUUID``. Where the name belongs to another collection, or to none,
the server rejects it with code 361 and the collection's actual name: reads raise that, but insert,
update and delete reply ``ok: 1`` with the rejection among ``writeErrors``. Without checking those a
lost write looks acknowledged.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bson.codec_options import CodecOptions
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

from portal.tenants.errors import DocumentExists

_COLLECTION_UUID_MISMATCH = 361
_DUPLICATE_KEY = 11000
_MAX_TIME_EXPIRED = 50
# The collection was renamed while the command ran.
_QUERY_PLAN_KILLED = 175
_WRITE_CONCERN_TIMEOUT = 64
# Transient while a primary is elected; the codes of the retryable reads specification.
_TRANSIENT = frozenset(
    {6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
     _QUERY_PLAN_KILLED, _WRITE_CONCERN_TIMEOUT}
)  # fmt: skip


@dataclass
class Moved(Exception):
    """The collection has another name, or (``None``) is not in this database. The command did only
    what its reply counts."""

    name: str | None


def send(
    database: Database,
    command: dict[str, Any],
    uuid: UUID,
    *,
    session: ClientSession | None = None,
    codec_options: CodecOptions | None = None,
) -> dict[str, Any]:
    """The reply to a ``command`` that succeeded completely.

    Raises Moved, DocumentExists, and the driver's errors, including those in a reply that is
    otherwise ``ok``.
    """
    command["collectionUUID"] = uuid
    try:
        answer = database.command(
            command,
            session=session,
            # Without them native UUIDs raise ValueError, and dates are naive.
            codec_options=codec_options or database.client.codec_options,
        )
    except OperationFailure as error:
        if error.code == _COLLECTION_UUID_MISMATCH:
            raise Moved((error.details or {}).get("actualCollection")) from error
        raise
    _check(answer)
    return answer


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


def _check(answer: dict[str, Any]) -> None:
    if concern := answer.get("writeConcernError"):  # first: the rest may still be rolled back
        kind = WTimeoutError if concern["code"] == _MAX_TIME_EXPIRED else WriteConcernError
        raise kind(concern["errmsg"], concern["code"], answer)
    for error in answer.get("writeErrors", ()):
        if error["code"] == _COLLECTION_UUID_MISMATCH:
            raise Moved(error.get("actualCollection"))
        if error["code"] == _DUPLICATE_KEY:
            raise DocumentExists(error["index"], dict(error.get("keyValue", {})))
        raise WriteError(error["errmsg"], error["code"], error)
