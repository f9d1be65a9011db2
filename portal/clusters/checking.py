"""Checks of a cluster: whether organizations' documents may be there."""

from dataclasses import dataclass, field
from typing import Any

import pymongo
from bson import ObjectId
from pymongo import MongoClient, ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from portal import settings
from portal.clusters.errors import ClusterSilent
from portal.database import connection, diagnosis, portal_role
from portal.database.clusters import needed_rights
from portal.database.errors import UnsuitableServer
from portal.documents.organizations import MAIN_CLUSTER

CHECK_SECONDS = 10
"""The time that one check takes at most."""

_IDENTITY = "identity"
_UNAUTHORIZED = 13
_MOST_SHARDS = 20


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: ``problems`` make the cluster unusable, ``warnings`` ask for somebody
    to act, ``remarks`` tell what is there."""

    version: str
    kind: str
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check_cluster(name: str, server: MongoClient) -> Checked:
    """Look at a cluster as at the first one: version, replica set, write concern, names of
    databases, rights, clock, CVE-2025-14847. Raises ClusterSilent."""
    try:
        with pymongo.timeout(CHECK_SECONDS):
            return _check(name, server)
    except PyMongoError as error:
        raise silent(name, server, error) from error


def silent(name: str, server: MongoClient, error: PyMongoError) -> ClusterSilent:
    """The error for a cluster that doesn't answer, or refuses the portal."""
    uri_name = "MONGO_URI" if name == MAIN_CLUSTER else name
    return ClusterSilent(name, diagnosis.explain(error, server.topology_description, uri_name))


def read_identity(server: MongoClient) -> ObjectId | None:
    """The identity of the cluster, which the portal gave it. Raises PyMongoError."""
    found = _identities(server).find_one(_IDENTITY)
    return found and found["identity"]


def write_identity(server: MongoClient) -> ObjectId:
    """The cluster's identity, a new one if it has none. Raises PyMongoError."""
    written: Any = _identities(server).find_one_and_update(
        {"_id": _IDENTITY},
        {"$setOnInsert": {"identity": ObjectId()}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    return written["identity"]


def delete_identity(server: MongoClient) -> None:
    """Take the cluster's identity away. Raises PyMongoError."""
    _identities(server).delete_one({"_id": _IDENTITY})


def _identities(server: MongoClient) -> Collection:
    return server[portal_role.internal_database(settings.current().tenant_db)]["cluster"]


def _check(name: str, server: MongoClient) -> Checked:
    hello = server.admin.command("hello")
    version = server.server_info()["version"]
    sharded = hello.get("msg") == "isdbgrid"
    kind = "sharded, behind mongos" if sharded else f"replica set {hello.get('setName')}"
    found = Checked(version, kind)
    uri_name = "its URI" if name != MAIN_CLUSTER else "MONGO_URI"
    try:
        connection.check_server(server, uri_name)
    except UnsuitableServer as error:
        found.problems.append(_sentence(str(error)))
    try:
        names = connection.database_names(master=name == MAIN_CLUSTER)
        connection.check_database_names(server, names)
    except UnsuitableServer as error:
        found.problems.append(_sentence(str(error)))
    if connection.leaks_memory(server):
        found.warnings.append(_sentence(connection.LEAKS_MEMORY))
    if connection.is_bound_to_one_member(server):
        found.warnings.append(_sentence(f"{uri_name} {connection.BOUND_TO_ONE_MEMBER}"))
    if sharded:
        found.remarks.extend(_look_behind_mongos(server))
    lacking = [str(rights) for rights in portal_role.missing_rights(server, needed_rights(name))]
    if lacking:
        found.problems.append(
            f"The portal's user lacks {'; '.join(lacking)}: grant it the portal's role "
            "(docs/operating.md)."
        )
    if words := connection.describe_clocks(server):
        found.warnings.append(_sentence(words))
    return found


def _look_behind_mongos(server: MongoClient) -> list[str]:
    """Words on shards and the balancer, as far as the portal's user may know."""
    words = [
        "The portal is untested behind mongos: docs/scaling.md says what follows of it.",
    ]
    try:
        shards = list(server.config.shards.find({}, {"_id": 1}).limit(_MOST_SHARDS))
        balancer = server.config.settings.find_one("balancer") or {}
        database = server.config.databases.find_one(settings.current().tenant_db) or {}
        sharded = server.config.collections.count_documents(
            {"_id": {"$regex": f"^{settings.current().tenant_db}\\."}}
        )
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return [*words, "The portal's user may not read the database config, which tells more."]
    names = ", ".join(shard["_id"] for shard in shards)
    stopped = " The balancer is stopped." if balancer.get("stopped") else ""
    primary = f" New collections are made on {database['primary']}." if database else ""
    words.append(f"Shards: {names}.{stopped}{primary} Sharded tenant collections: {sharded}.")
    return words


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:].rstrip('.')}."
