"""The answers of a cluster about what it holds and what limits it; empty where it refuses them.

Hosted servers refuse some of the commands to everybody, others to a user who lacks the right.
"""

import math
import random
import re
import time
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal import settings
from portal.database.portal_role import OWN_COLLECTION
from portal.documents.organizations import MAIN_CLUSTER

ATLAS_ERROR = 8000
"""The code that Atlas answers instead of others', and where its tier's limit is reached."""

_NOT_PERMITTED = (13, 59, ATLAS_ERROR)  # Unauthorized, CommandNotFound
_NO_COLLECTION = (26, 166)  # NamespaceNotFound, CommandNotSupportedOnView
_EARLY_SECONDS = 60
_CLOSING = re.compile(r"close_idle_time=(\d+)")
_OWN_DATABASES = {"$regex": "^t_[0-9a-f]{24}$"}
# To ask each takes 0.5 ms, on throttled tiers 10.
_ASKED_COLLECTIONS = 5_000
_ASKING_SECONDS = 60
_ANSWER_SECONDS = 10
# What is counted needs no more of ``serverStatus``.
_SLIM = dict.fromkeys(
    (
        "asserts", "batchedDeletes", "defaultRWConcern", "electionMetrics",
        "extra_info", "flowControl", "globalLock", "indexBulkBuilder", "locks",
        "logicalSessionRecordCache", "metrics", "mirroredReads", "network", "opLatencies",
        "opcounters", "opcountersRepl", "oplogTruncation", "readConcernCounters", "repl",
        "scramCache", "security", "storageEngine", "tcmalloc", "tenantMigrations",
        "trafficRecording", "transactions", "transportSecurity", "twoPhaseCommitCoordinator",
    ),
    0,
)  # fmt: skip


def read_counters(client: MongoClient) -> dict[str, Any]:
    """The collections, indexes and open files, by the server's own counters."""
    status = _answer_of(client, {"serverStatus": 1, **_SLIM})
    if "catalogStats" not in status:
        return {}
    catalog = status["catalogStats"]
    open_files = status.get("wiredTiger", {}).get("connection", {}).get("files currently open")
    connections = status.get("connections", {}).get("current", 0)
    return {
        "collections": catalog["collections"] + catalog["timeseries"],
        "indexes": status.get("indexStats", {}).get("count", catalog["collections"]),
        "open_files": open_files and open_files + connections,
    }


def read_limits(client: MongoClient) -> dict[str, Any]:
    """The limits, without those that the server doesn't tell."""
    limits: dict[str, Any] = {}
    if host := _answer_of(client, {"hostInfo": 1}):
        memory = host.get("system", {}).get("memLimitMB")
        limits["max_open_files"] = host.get("extra", {}).get("extra", {}).get("maxOpenFiles")
        limits["memory_bytes"] = memory and memory * 1024 * 1024
    if options := _answer_of(client, {"getCmdLineOpts": 1}):
        storage = options.get("parsed", {}).get("storage", {})
        engine = storage.get("wiredTiger", {}).get("engineConfig", {})
        closing = _CLOSING.search(engine.get("configString", ""))
        limits["closes_early"] = closing is not None and int(closing[1]) <= _EARLY_SECONDS
    return limits


def count_databases(client: MongoClient) -> int | None:
    """The number of all databases; ``None`` where it may not be told."""
    names = _answer_of(client, {"listDatabases": 1, "nameOnly": True})
    return len(names["databases"]) if names else None


def known_collections(client: MongoClient, cluster: str) -> list[tuple[str, str]]:
    """The database and the name of each collection of the portal's and of organizations', those
    with databases of their own where these may be listed."""
    own = {"listDatabases": 1, "nameOnly": True, "filter": {"name": _OWN_DATABASES}}
    listed = _answer_of(client, own).get("databases", ())
    databases = [settings.current().tenant_db]
    if cluster == MAIN_CLUSTER:  # hosted tiers count those of all databases
        databases.append(settings.current().master_db)
    return [(database["name"], OWN_COLLECTION) for database in listed] + [
        (name, each) for name in databases for each in client[name].list_collection_names()
    ]


def count_indexes(client: MongoClient, collections: list[tuple[str, str]]) -> int:
    """The number of indexes of these collections; of very many, or where answers are slow, by a
    sample. Each is asked, so not in a request. Raises PyMongoError where one isn't answered."""
    asked = random.sample(collections, min(len(collections), _ASKED_COLLECTIONS))
    found = answered = 0
    until = time.monotonic() + _ASKING_SECONDS
    for collection in asked:
        with pymongo.timeout(_ANSWER_SECONDS):
            found += _indexes_of(client, *collection)
        answered += 1
        if time.monotonic() >= until:
            break
    return math.ceil(found * len(collections) / max(1, answered))


def _indexes_of(client: MongoClient, database: str, collection: str) -> int:
    """The number of its indexes; one where it doesn't tell them, is gone, or has another name for
    now."""
    try:
        return len(client[database].command("listIndexes", collection)["cursor"]["firstBatch"])
    except OperationFailure as error:
        if error.code not in (*_NO_COLLECTION, *_NOT_PERMITTED):
            raise
        return 1


def _answer_of(client: MongoClient, command: dict[str, Any]) -> dict[str, Any]:
    """The server's answer; empty where it, or its role, doesn't let the portal ask."""
    try:
        return client.admin.command(command)
    except OperationFailure as error:
        if error.code not in _NOT_PERMITTED:
            raise
        return {}
