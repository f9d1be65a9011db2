"""The portal's MongoDB user in tests: it has the role that operators give it, and no other right."""

from contextlib import contextmanager
from functools import cache

from pymongo import MongoClient

from portal.database import users
from portal.database.portal_role import ROLE, write_role


@cache
def admit(admin_uri, master_db, tenant_db):
    """Have the portal's user of this server work on these databases too."""
    role = f"{ROLE}_{master_db}_{tenant_db}"
    with MongoClient(admin_uri) as client:
        write_role(client.admin, master_db, tenant_db, role)
        client.admin.command("grantRolesToUser", ROLE, roles=[role], writeConcern={"w": "majority"})


@contextmanager
def administering_users_anywhere(client):
    """Have the portal's user of this server make users in organizations' own databases too, as an
    operator may grant it; ``client`` may do everything there."""
    resource = {"db": "", "collection": ""}
    privileges = [{"resource": resource, "actions": list(users.ADMINISTRATION)}]
    name = f"{ROLE}_users_anywhere"
    client.admin.command("createRole", name, privileges=privileges, roles=[])
    try:
        client.admin.command("grantRolesToUser", ROLE, roles=[name], writeConcern={"w": "majority"})
        yield
    finally:
        client.admin.command("dropRole", name)
