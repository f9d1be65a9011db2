"""The rights of an application's MongoDB user, and how it is recognized.

It reads the three views of the directory, works in the tenant database, and with the two names that
collections in organizations' own databases have, when they have just arrived there and later; under
the name of one that is read-only it reads alone. Nothing else of the master database, where
password hashes are. Whoever may insert into a database creates collections
in it, and ``$out`` replaces one, UUID included (verified on 6.0.5); so it is trusted with all
tenant data, and what is the portal's own beside them is in the internal database.
"""

import hashlib
import json

from portal.database import directory
from portal.database.portal_role import (
    MOVING_COLLECTION,
    OWN_COLLECTION,
    READ_ONLY_COLLECTION,
    reports_database,
)
from portal.database.users import Privilege

_VERBS = (
    "find",
    "insert",
    "update",
    "remove",
    "createIndex",
    "dropIndex",
    "listIndexes",
    "changeStream",
    "collStats",
)


_READING = ("find", "listIndexes", "changeStream", "collStats")


def user_prefix(master_database: str, tenant_database: str) -> str:
    """The beginning of the names of this installation's users in ``admin``, which those of others
    on the same cluster don't have."""
    names = f"{master_database}/{tenant_database}"
    return f"app{hashlib.sha256(names.encode()).hexdigest()[:8]}"


def privileges(master_database: str, tenant_database: str) -> tuple[Privilege, ...]:
    """All that an application may on the first cluster."""
    return (
        *privileges_on_documents(tenant_database),
        Privilege(master_database, directory.ORGANIZATIONS, frozenset({"find"})),
        Privilege(master_database, directory.SLUGS, frozenset({"find"})),
        Privilege(master_database, directory.POOLS, frozenset({"find"})),
        Privilege(reports_database(tenant_database), "", frozenset({"insert"})),
    )


def privileges_on_documents(tenant_database: str) -> tuple[Privilege, ...]:
    """All that it may on a cluster without the master data. The latter reach collections of these
    names in any database, since MongoDB knows no right by the beginning of a database's name."""
    return (
        Privilege(tenant_database, "", frozenset(_VERBS)),
        *(Privilege("", name, frozenset(_VERBS)) for name in (OWN_COLLECTION, MOVING_COLLECTION)),
        Privilege("", READ_ONLY_COLLECTION, frozenset(_READING)),
    )


def creation_script(user: str, password: str, granted: tuple[Privilege, ...]) -> str:
    """A script that creates the user and its role, for an administrator to paste into mongosh."""
    role = {
        "role": user,
        "privileges": [
            {
                "resource": {"db": one.database, "collection": one.collection},
                "actions": sorted(one.actions),
            }
            for one in granted
        ],
        "roles": [],
    }
    made = {"user": user, "pwd": password, "roles": [user]}
    return "\n".join(
        [
            'admin = db.getSiblingDB("admin");',
            f"admin.createRole({json.dumps(role)});",
            f"admin.createUser({json.dumps(made)});",
        ]
    )


def removal_script(users: list[str]) -> str:
    """A script that drops the users and their roles, likewise."""
    lines = ['admin = db.getSiblingDB("admin");']
    for user in users:
        lines += [f'admin.dropUser("{user}");', f'admin.dropRole("{user}");']
    return "\n".join(lines)
