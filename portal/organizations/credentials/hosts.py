"""The hosts by which customers reach MongoDB: what a credential's connection string is made of.

They are those of CREDENTIALS_URI, and for another cluster those that it was registered with; these
need not be what the portal uses. A driver goes on from them to the names that the set advertises;
so those must be reachable to customers as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self

import structlog
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.uri_parser import parse_uri

from portal import settings
from portal.database.clusters import (
    client_of,
    database_of,
    find_cluster,
    is_available,
    known_clusters,
    uri_of,
)
from portal.database.connection import data_hosts
from portal.database.users import ConnectionString, machine_options
from portal.documents.credentials import Credential
from portal.documents.organizations import MAIN_CLUSTER, Placement

log = structlog.get_logger()

_SECONDS = 2
_LOOPBACK_NAMES = ("localhost",)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The result of trying from here the hosts that customers get.

    ``silent`` ones didn't answer, ``foreign`` ones belong to another set, and the set tells drivers
    to go on to ``advertised`` names that aren't among those hosts. ``local`` ones reach this
    machine alone.
    """

    silent: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    advertised: tuple[str, ...] = ()
    local: bool = False

    @property
    def wrong(self) -> bool:
        """True where customers may not get through."""
        return bool(self.silent or self.foreign or self.advertised)


@dataclass(frozen=True, slots=True)
class _Set:
    """A replica set, by its name and the processes of its members: ``None`` while one is away."""

    name: str | None
    processes: frozenset[ObjectId] | None

    @classmethod
    def of(cls, client: MongoClient) -> Self:
        """The set of a client, asked now."""
        name = client.admin.command("hello").get("setName")
        versions = [
            server.topology_version
            for server in client.topology_description.server_descriptions().values()
        ]
        if not all(versions):
            return cls(name, None)
        return cls(name, frozenset(version["processId"] for version in versions if version))

    def excludes(self, hello: Mapping[str, Any]) -> bool:
        """Tell whether the server that answered so is none of its members. Sets share their names
        often, processes never (the server specification's ``topologyVersion``)."""
        if hello.get("setName") != self.name:
            return True
        process = hello.get("topologyVersion", {}).get("processId")
        return bool(self.processes and process and process not in self.processes)


_found: dict[str, Hosts] = {}


def chosen_uri(cluster: str) -> str | None:
    """The connection string without a user that somebody chose for customers of a cluster."""
    if cluster == MAIN_CLUSTER:
        return settings.current().credentials_uri or None
    return find_cluster(cluster).credentials_uri


def setting_of(cluster: str) -> str:
    """The setting, or the command, by which somebody chooses it."""
    if cluster == MAIN_CLUSTER:
        return "CREDENTIALS_URI"
    return f"flask clusters change {cluster} --credentials-uri"


def customers_uri(cluster: str) -> str:
    """The connection string, with or without a user, whose hosts and options customers get."""
    return chosen_uri(cluster) or uri_of(cluster)


def connection_string(home: Placement, name: str, password: str) -> str:
    """The string by which a customer connects as this user of the database of a placement."""
    return _for_user(customers_uri(home.cluster), home, name, password)


def portals_connection_string(home: Placement, name: str, password: str) -> str:
    """The same by the hosts that the portal itself uses."""
    return _for_user(uri_of(home.cluster), home, name, password)


def tried(cluster: str) -> Hosts:
    """The result of this process's latest trial of the hosts."""
    uri = customers_uri(cluster)
    return _found.get(uri) or Hosts(local=_is_local(uri))


def try_all_hosts() -> None:
    """Try those of each cluster that answers. Raises as ``try_hosts``."""
    for known in known_clusters():
        if known.lost_at is None and is_available(known.name):
            try_hosts(known.name)


def try_hosts(cluster: str = MAIN_CLUSTER) -> Hosts:
    """Try each host from here, and warn in the log of what customers run into. Raises PyMongoError
    or ClusterUnavailable where the portal's own MongoDB doesn't answer."""
    uri = customers_uri(cluster)
    own = _Set.of(client_of(cluster))
    silent, foreign = [], []
    advertised: set[str] = set()
    try:
        names = _hosts_of(uri)
    except ConfigurationError:  # no answer from DNS
        names = []
        silent.append(ConnectionString.of(uri).hosts)
    for name in names:
        try:
            told = _ask(uri, name, cluster)
        except PyMongoError:
            silent.append(name)
            continue
        if own.excludes(told):
            foreign.append(name)
        advertised.update(data_hosts(told))
    # Behind an SRV record the names are those that DNS told just now.
    unknown = tuple(sorted(advertised - set(names)))
    found = Hosts(tuple(silent), tuple(foreign), unknown, _is_local(uri))
    if found.wrong and found != _found.get(uri) and are_given_out(cluster):
        log.warning(
            "credentials.hosts",
            cluster=cluster,
            silent=silent,
            foreign=foreign,
            advertised=found.advertised,
        )
    _found[uri] = found
    return found


def are_given_out(cluster: str) -> bool:
    """Tell whether customers get these hosts: somebody chose them, or there are credentials."""
    return bool(chosen_uri(cluster) or Credential.objects.only("id").first())


def options(uri: str, cluster: str) -> dict[str, Any]:
    """The options that this machine needs beside ``uri``: its own certificates, with TLS."""
    base = ConnectionString.of(uri)
    given = {option.casefold(): value for option, value in base.options}
    tls = given.get("tls", given.get("ssl", str(base.srv))).casefold() == "true"
    return {"tls": True, **machine_options(uri_of(cluster))} if tls else {}


def _for_user(uri: str, home: Placement, name: str, password: str) -> str:
    database = database_of(home)
    return ConnectionString.of(uri).for_user(
        name,
        password,
        database=database.name,
        auth_source=database.name,
        replica_set=database.client.topology_description.replica_set_name,
    )


def _hosts_of(uri: str) -> list[str]:
    """The hosts with their ports. Asks DNS where the URI names an SRV record."""
    found = parse_uri(uri)["nodelist"]
    # A socket has no port.
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found if port]


def _ask(uri: str, name: str, cluster: str) -> dict[str, Any]:
    """The ``hello`` of one host, without signing in."""
    bare: MongoClient
    with MongoClient(
        f"mongodb://{name}/",
        directConnection=True,
        timeoutMS=_SECONDS * 1000,
        **options(uri, cluster),
    ) as bare:
        return bare.admin.command("hello")


def _is_local(uri: str) -> bool:
    base = ConnectionString.of(uri)
    return not base.srv and all(map(_is_loopback, base.hosts.split(",")))


def _is_loopback(host: str) -> bool:
    if "%2f" in host.casefold():  # a socket
        return True
    name = host.rpartition(":")[0] if host.count(":") == 1 else host.partition("]")[0].lstrip("[")
    name = name or host
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name in _LOOPBACK_NAMES
