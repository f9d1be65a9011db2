"""Sends a command to one tenant collection and no other, and reads the whole answer.

Each command carries ``collectionUUID``. Where the name belongs to another collection, or to none,
the server refuses it with code 361 and says where the collection is: a read raises that, but
insert, update and delete answer ``ok: 1`` with the refusal among ``writeErrors``. Whoever
doesn't look there takes a lost write for an acknowledged one.
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
# The collection was renamed under a command at work.
_QUERY_PLAN_KILLED = 175
_WRITE_CONCERN_TIMEOUT = 64
# What passes when there is a primary again; the codes of the specification of retryable reads.
_PASSING = frozenset(
    {6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
     _QUERY_PLAN_KILLED, _WRITE_CONCERN_TIMEOUT}
)  # fmt: skip


@dataclass
class Moved(Exception):
    """The collection has another name, or (``None``) is nowhere in this database. Nothing of the
    command was done that its answer doesn't count."""

    name: str | None


def send(
    database: Database,
    command: dict[str, Any],
    uuid: UUID,
    *,
    session: ClientSession | None = None,
    codec_options: CodecOptions | None = None,
) -> dict[str, Any]:
    """The answer to ``command``, which did all that it says.

    Raises Moved, DocumentExists, and the driver's errors: also those that the server tells
    in an answer that is otherwise ``ok``.
    """
    command["collectionUUID"] = uuid
    try:
        answer = database.command(
            command,
            session=session,
            # Without them a native UUID raises ValueError, and dates come back naive.
            codec_options=codec_options or database.client.codec_options,
        )
    except OperationFailure as error:
        if error.code == _COLLECTION_UUID_MISMATCH:
            raise Moved((error.details or {}).get("actualCollection")) from error
        raise
    _check(answer)
    return answer


def will_pass(error: PyMongoError) -> bool:
    """Whether the same command sent again may go well."""
    if error.timeout:
        return False  # the time of whoever asked is up
    code = error.code if isinstance(error, OperationFailure) else None
    return (
        isinstance(error, ConnectionFailure)
        or code in _PASSING
        or error.has_error_label("RetryableWriteError")
    )


def _check(answer: dict[str, Any]) -> None:
    if "writeConcernError" in answer:  # first: what else it says may yet be rolled back
        _refuse_concern(answer["writeConcernError"], answer)
    for error in answer.get("writeErrors", ()):
        if error["code"] == _COLLECTION_UUID_MISMATCH:
            raise Moved(error.get("actualCollection"))
        if error["code"] == _DUPLICATE_KEY:
            raise DocumentExists(error["index"], dict(error.get("keyValue", {})))
        raise WriteError(error["errmsg"], error["code"], error)


def _refuse_concern(error: dict[str, Any], answer: dict[str, Any]) -> None:
    kind = WTimeoutError if error["code"] == _MAX_TIME_EXPIRED else WriteConcernError
    raise kind(error["errmsg"], error["code"], answer)
