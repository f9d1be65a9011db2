"""The use of credentials: open connections of their users, as MongoDB lists them, and when they
were last seen."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pymongo.errors import OperationFailure

from portal import clock
from portal.database import users
from portal.database.clusters import client_of, is_available, known_clusters, uri_of
from portal.database.errors import ClusterUnavailable
from portal.database.users import UNAUTHORIZED, Connection
from portal.documents.credentials import Credential
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.privileges import PREFIX
from portal.settings.checks import portable_uri

_SECONDS = 1
_MOST_APPLICATIONS = 10

Connections = dict[str, list[Connection]]


def open_connections(organization: Organization, names: Iterable[str]) -> Connections | None:
    """The open connections of the organization's users with these ``names``, to all members;
    ``None`` where MongoDB doesn't let the portal list them, or doesn't answer."""
    try:
        return _list(organization.placement.cluster, {"$in": list(names)})
    except ClusterUnavailable:
        return None


def observe() -> None:
    """Record which credentials' users are connected now, and by which applications. Raises
    PyMongoError."""
    if not Credential.objects.only("id").first():
        return
    now = clock.now()
    for known in known_clusters():
        if known.lost_at is None and is_available(known.name):
            for name, connections in (_list(known.name, {"$regex": f"^{PREFIX}"}) or {}).items():
                seen = {"users.$.seen_at": now, "users.$.seen_by": applications(connections)}
                Credential._get_collection().update_one({"users.name": name}, {"$set": seen})


def applications(connections: Iterable[Connection]) -> list[str]:
    """The names of the applications, sorted, the first few; those that tell none left out."""
    names = {connection.app_name for connection in connections} - {""}
    return sorted(names)[:_MOST_APPLICATIONS]


def _list(cluster: str, name: dict[str, Any]) -> Connections | None:
    """By name alone, which is random: users are in the databases of many organizations."""
    client = client_of(cluster)
    try:
        if len(client.topology_description.readable_servers) > 1:
            uri = portable_uri(uri_of(cluster))
            found = users.connections_on_all(uri, None, name, seconds=_SECONDS)
        else:
            found = users.connections_of(client, None, name)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return None
    connections: Connections = defaultdict(list)
    for connection in found:
        connections[connection.user].append(connection)
    return connections
