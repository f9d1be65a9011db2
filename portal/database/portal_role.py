"""The role of the portal's own MongoDB user: the least that it needs, by database.

Users are administered in the tenant database alone. With ``createUser`` and ``grantRole`` on
``admin`` the portal could make itself root (verified on 6.0.5). So it is with these on all
databases: there is no right to the databases ``t_…`` of organizations but by the names of
collections, which are few.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from portal.database.users import ADMINISTRATION

ROLE = "portal"
"""The name of the role and its user, both in ``admin``."""

OWN_COLLECTION = "portal_tenant_documents"
"""The name of the collection in an organization's own database."""

TRASHED_COLLECTION = "portal_trashed_documents"
"""Its name while the organization is in the trash: a fixed one, since a right to any name in these
databases would be one in all others as well."""

READ_ONLY_COLLECTION = "portal_readonly_documents"
"""Its name while the organization is suspended so that nobody changes its documents."""

LOCKED_COLLECTION = "portal_locked_documents"
"""Its name while the organization is suspended so that nobody reads them."""

MOVING_COLLECTION = "portal_moving_documents"
"""Its name until a move to it is done."""

MOVED_COLLECTIONS = tuple(f"portal_moved_documents_{number}" for number in range(1, 9))
"""Its names once a move from it has begun to switch; then it is the old copy. Each fence takes the
next, so that a rename on its way from an earlier one finds no collection under its name."""

_DOCUMENTS = ("find", "insert", "update", "remove")
# changeStream: moves follow what is written meanwhile.
_FOLLOWED = ("changeStream",)
_COLLECTIONS = ("createCollection", "listCollections", "createIndex", "dropIndex", "listIndexes")
# collMod: validators, and what is changed of indexes; indexStats: whether they are used.
_LIFECYCLE = ("dropCollection", "renameCollectionSameDB", "collStats", "collMod", "indexStats")
_OWN = (
    *_DOCUMENTS,
    *(one for one in _COLLECTIONS if one != "listCollections"),
    *_LIFECYCLE,
    *_FOLLOWED,
)
_IN_OWN_DATABASES = (
    OWN_COLLECTION,
    TRASHED_COLLECTION,
    READ_ONLY_COLLECTION,
    LOCKED_COLLECTION,
    MOVING_COLLECTION,
    *MOVED_COLLECTIONS,
)
# getDefaultRWConcern: a majority acknowledges; inprog: who still uses a former user's connection;
# hostInfo, getCmdLineOpts and serverStatus: how many collections the server may hold, and does.
# Its oplog's figures: whether it has room for a move. To read it would be to read all databases.
_CLUSTER = ("getDefaultRWConcern", "inprog", "hostInfo", "getCmdLineOpts", "serverStatus")
_ROLE_NOT_FOUND = 31


@dataclass(frozen=True, slots=True)
class Rights:
    """Actions on a ``collection`` of a ``database``; on all of them where that is empty; on the
    cluster where the database is ``None``."""

    database: str | None
    actions: tuple[str, ...]
    collection: str = ""

    @property
    def privilege(self) -> dict[str, Any]:
        """The privilege in the form of ``createRole``."""
        cluster = self.database is None
        on = {"cluster": True} if cluster else {"db": self.database, "collection": self.collection}
        return {"resource": on, "actions": list(self.actions)}

    def __str__(self) -> str:
        return f"{', '.join(self.actions)} on {self._resource}"

    @property
    def _resource(self) -> str:
        if self.database is None:
            return "the cluster"
        named = f"{self.collection} in " if self.collection else ""
        return named + (self.database or "every database")


OPLOG = Rights("local", ("collStats",), "oplog.rs")
"""The right without which moves go by the smallest size that the oplog may have."""


def internal_database(tenant_database: str) -> str:
    """The name of the database for the portal's own data beside tenant data, where no credential
    has a right, and no application but on collections that are called as in organizations' own
    databases, of which there are none here."""
    return f"{tenant_database}_internal"


def reports_database(tenant_database: str) -> str:
    """The name of the database where applications report about themselves, and may only insert."""
    return f"{tenant_database}_reports"


def rights(master_database: str, tenant_database: str) -> tuple[Rights, ...]:
    """All that the portal needs on these databases of the cluster with the master data."""
    return (
        Rights(master_database, (*_DOCUMENTS, *_COLLECTIONS, "collMod")),
        *tenant_rights(tenant_database),
        Rights(reports_database(tenant_database), (*_DOCUMENTS, *_COLLECTIONS)),
    )


def tenant_rights(tenant_database: str) -> tuple[Rights, ...]:
    """All that the portal needs on a cluster with organizations' documents."""
    return (
        Rights(
            tenant_database, (*_DOCUMENTS, *_COLLECTIONS, *_LIFECYCLE, *_FOLLOWED, *ADMINISTRATION)
        ),
        Rights(internal_database(tenant_database), (*_DOCUMENTS, *_COLLECTIONS, "dropCollection")),
        *(Rights("", _OWN, name) for name in _IN_OWN_DATABASES),
        # Tells what else is in an organization's database.
        Rights("", ("listCollections",)),
        OPLOG,
        Rights(None, _CLUSTER),
    )


def write_role(
    admin: Database, master_database: str, tenant_database: str, name: str = ROLE
) -> None:
    """Create the role in ``admin``, or give the one that exists these rights and no others. Needs
    an administrator's client."""
    privileges = [each.privilege for each in rights(master_database, tenant_database)]
    try:
        admin.command("updateRole", name, privileges=privileges, roles=[])
    except OperationFailure as error:
        if error.code != _ROLE_NOT_FOUND:
            raise
        admin.command("createRole", name, privileges=privileges, roles=[])


def missing_rights(client: MongoClient, needed_rights: Iterable[Rights]) -> Iterator[Rights]:
    """The part of these rights that the user of ``client`` lacks; nothing on a server without
    authentication."""
    status = client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not status["authenticatedUsers"]:
        return
    granted = status["authenticatedUserPrivileges"]
    for needed in needed_rights:
        held = {action for each in granted if _covers(each, needed) for action in each["actions"]}
        lacking = tuple(action for action in needed.actions if action not in held)
        if lacking and "anyAction" not in held:
            yield Rights(needed.database, lacking, needed.collection)


def mongosh(master_expression: str = "MASTER_DB", tenant_expression: str = "TENANT_DB") -> str:
    """The role as an object of JavaScript, for whoever creates it in mongosh, with expressions for
    the names of the databases."""
    names = {
        "master": master_expression,
        "tenant": tenant_expression,
        internal_database("tenant"): f'{tenant_expression} + "{internal_database("")}"',
        reports_database("tenant"): f'{tenant_expression} + "{reports_database("")}"',
        "local": '"local"',
        "": '""',
    }
    privileges = "".join(_in_javascript(each, names) for each in rights("master", "tenant"))
    head = f'const role = {{\n  role: "{ROLE}",\n  roles: [],\n  privileges: [\n'
    return f"{head}{privileges}  ],\n}};\n"


def _covers(privilege: Mapping[str, Any], needed: Rights) -> bool:
    resource = privilege["resource"]
    if resource.get("anyResource"):
        return True
    if needed.database is None:
        return bool(resource.get("cluster"))
    database, collection = resource.get("db"), resource.get("collection")
    return database in ("", needed.database) and collection in ("", needed.collection)


def _in_javascript(needed: Rights, names: Mapping[str, str]) -> str:
    if needed.database is None:
        resource = "{ cluster: true }"
    else:
        resource = f'{{ db: {names[needed.database]}, collection: "{needed.collection}" }}'
    actions = "".join(_wrapped(needed.actions))
    return f"    {{\n      resource: {resource},\n      actions: [\n{actions}      ],\n    }},\n"


def _wrapped(actions: Sequence[str]) -> Iterator[str]:
    """The actions, a few a line."""
    for start in range(0, len(actions), 5):
        line = " ".join(f'"{action}",' for action in actions[start : start + 5])
        yield f"        {line}\n"
