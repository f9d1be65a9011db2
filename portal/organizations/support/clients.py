"""This process's connections by the MongoDB users of support grants.

Each is of one user, who may read one organization's collection and nothing else; and there are few,
since few operators look at customers' documents at once.
"""

from threading import Lock

from pymongo import MongoClient

from portal.database.clusters import client_of, open_client
from portal.database.users import ConnectionString, machine_options
from portal.documents.support import GrantUser, SupportGrant
from portal.tenants._sync.connections import Connection

_POOL_SIZE = 4
APPLICATION = "portal: support"
"""The name by which MongoDB lists these connections."""


def connection_of(user: GrantUser, uri: str, password: str) -> Connection:
    """The connection by a grant's user to the cluster that the portal reaches by ``uri``."""
    found = _connections.get(user.name)
    if found is None:
        with _making:
            found = _connections.get(user.name)
            if found is None:
                found = _connections[user.name] = Connection(_open(user, uri, password))
    return found


def close(name: str) -> None:
    """Close the connection by this user, if there is one."""
    found = _connections.pop(name, None)
    if found is not None:
        found.client.close()


def close_unused() -> None:
    """Close the connections by users that no grant has any more, since another process dropped
    them."""
    open_now = list(_connections)
    if open_now:
        kept = SupportGrant.objects(users__name__in=open_now).only("users")
        names = {user.name for grant in kept for user in grant.users if not user.ended_at}
        for name in open_now:
            if name not in names:
                close(name)


def _open(user: GrantUser, uri: str, password: str) -> MongoClient:
    there = client_of(user.cluster).topology_description.replica_set_name
    own = ConnectionString.of(uri).for_user(
        user.name,
        password,
        database=user.database,
        auth_source=user.database,
        replica_set=there,
    )
    options = machine_options(uri)
    return open_client(own, appname=APPLICATION, maxPoolSize=_POOL_SIZE, **options)


_connections: dict[str, Connection] = {}
_making = Lock()
