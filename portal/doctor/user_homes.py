"""The databases in which MongoDB users of organizations may be: the tenant database of each
cluster, and databases of organizations' own, whatever master data count there. An older backup of
those knows nothing of users that were made since.

An administrator sees users in all databases, also in those that were dropped: users outlive them.
Without one each database that exists is looked into, as far as the portal may.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pymongo import MongoClient
from pymongo.database import Database

from portal import settings
from portal.database.clusters import client_of
from portal.doctor.databases import OWN_DATABASE
from portal.doctor.placements import reached_clusters
from portal.documents.organizations import MAIN_CLUSTER

Administrators = Mapping[str, MongoClient]
"""The clients of MongoDB's administrators, by cluster."""

NO_ADMINISTRATORS: Administrators = {}


@dataclass(frozen=True, slots=True)
class Home:
    """A database in which there may be users, ``opened`` by a client that may look at them, as far
    as there is one; ``expected`` where master data say that there are, or may be."""

    cluster: str
    opened: Database
    expected: bool

    @property
    def database(self) -> str:
        """The database's name."""
        return self.opened.name

    @property
    def words(self) -> str:
        """The place, for people."""
        return self.database if self.cluster == MAIN_CLUSTER else f"{self.cluster}: {self.database}"


def find_homes(
    prefix: str, expected: Iterable[tuple[str, str]], administrators: Administrators
) -> Iterator[Home]:
    """The databases in which there may be users whose names begin with ``prefix``, on each cluster
    that answers: the tenant database, those ``expected``, by cluster and name, and all others of
    organizations' own."""
    tenant = settings.current().tenant_db
    wanted = {*expected}
    for cluster in reached_clusters():
        administrator = administrators.get(cluster)
        client = client_of(cluster) if administrator is None else administrator
        yield Home(cluster, client[tenant], expected=True)
        known = {name for place, name in wanted if place == cluster}
        there = _existing(client) if administrator is None else _with_users(client, prefix)
        for name in sorted((known | there) - {tenant}):
            yield Home(cluster, client[name], expected=name in known)


def _existing(client: MongoClient) -> set[str]:
    return {
        row["name"] for row in client.list_databases(filter={"name": OWN_DATABASE}, nameOnly=True)
    }


def _with_users(administrator: MongoClient, prefix: str) -> set[str]:
    """The databases of organizations' own with such a user or role, by two commands."""
    ours = {"$regex": f"^{re.escape(prefix)}"}
    found = administrator.admin.command("usersInfo", {"forAllDBs": True}, filter={"user": ours})
    roles = administrator.admin["system.roles"].distinct("db", {"role": ours})
    names = {user["db"] for user in found["users"]} | {*roles}
    return {name for name in names if OWN_DATABASE.fullmatch(name)}
