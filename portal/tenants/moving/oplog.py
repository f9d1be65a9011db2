"""The oplog of a cluster, in bytes: how much it keeps, and how fast it is written.

Told in time it deceives: an idle oplog reaches back for weeks, and the copy that is about to begin
fills it within minutes.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

WATCHED_SECONDS = 1.0
LEAST_BYTES = 990 * 1024 * 1024
"""The smallest size that a server chooses by itself."""

# Unauthorized, CommandNotFound, and what Atlas answers instead.
_NOT_PERMITTED = (13, 59, 8000)
# Of a document in a transaction, beside itself. Measured on 6.0.5.
_ENTRY_BYTES = 100
# Its journal is compressed. Documents of one repeated letter were seen to take a third.
_COMPRESSED = 3
_SLIM = dict.fromkeys(("tcmalloc", "locks", "metrics", "opLatencies", "indexStats"), 0)


@dataclass(frozen=True, slots=True)
class Oplog:
    """The oplog of a cluster's primary: how many bytes it keeps, and how many are written to it in
    a second. Not ``exact`` is what a server told that doesn't let the portal look: the smallest
    that it may be, and the most that may be written."""

    max_bytes: int
    bytes_per_second: float
    exact: bool

    def lacks(self, seconds: float, copied_bytes: int = 0) -> int:
        """The bytes by which it is too small to keep what is written in so many ``seconds``, with
        ``copied_bytes`` by a move; 0 where it isn't."""
        needed = copied_bytes + self.bytes_per_second * seconds
        return max(0, int(needed - self.max_bytes))


def read_oplog(client: MongoClient, watched_seconds: float = WATCHED_SECONDS) -> Oplog:
    """The oplog, watched for some time; what is written is taken to be no less than on average over
    all that it keeps. Raises PyMongoError."""
    first = _look(client)
    begun = time.monotonic()
    time.sleep(watched_seconds)
    second = _look(client)
    seconds = time.monotonic() - begun
    # Where the server has cut it meanwhile, its journal tells.
    if first.size is not None and second.size is not None and second.size >= first.size:
        rate = (second.size - first.size) / seconds
    else:
        rate = _COMPRESSED * (second.journal - first.journal) / seconds
    kept_seconds = max(1, second.latest - second.earliest)
    average = (second.size or 0) / kept_seconds
    return Oplog(second.max_size or LEAST_BYTES, max(rate, average), first.size is not None)


def copied_bytes(documents: int, size_bytes: int) -> int:
    """The bytes that a copy of these documents takes in the target's oplog."""
    return size_bytes + documents * _ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class _Look:
    size: int | None
    max_size: int | None
    journal: int
    earliest: int
    latest: int


def _look(client: MongoClient) -> _Look:
    status = _if_permitted(client, "admin", {"serverStatus": 1, "oplog": 1, **_SLIM})
    told = status.get("oplog", {})
    stats = _if_permitted(client, "local", {"collStats": "oplog.rs"})
    return _Look(
        size=stats.get("size"),
        max_size=stats.get("maxSize") or _size_at_start(client),
        # Of a replica set's member nothing but the oplog is in the journal.
        journal=status.get("wiredTiger", {}).get("log", {}).get("log bytes of payload data", 0),
        earliest=told["earliestOptime"].time if told else 0,
        latest=told["latestOptime"].time if told else 0,
    )


def _size_at_start(client: MongoClient) -> int | None:
    options = _if_permitted(client, "admin", {"getCmdLineOpts": 1}).get("parsed", {})
    megabytes = options.get("replication", {}).get("oplogSizeMB")
    return megabytes and int(megabytes) * 1024 * 1024


def _if_permitted(client: MongoClient, database: str, command: dict[str, Any]) -> Mapping[str, Any]:
    try:
        return client[database].command(command)
    except OperationFailure as error:
        if error.code not in _NOT_PERMITTED:
            raise
        return {}
