"""The hosts by which customers reach MongoDB: what a credential's connection string is made of.

They are those of CREDENTIALS_URI, which need not be what the portal uses. A driver goes on from
them to the names that the set advertises; so those must be reachable to customers as well.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import structlog
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.uri_parser import parse_uri

from portal import settings
from portal.database.connection import client, tenant_database
from portal.database.users import ConnectionString, machine_options
from portal.documents.credentials import Credential

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


_found: dict[str, Hosts] = {}


def customers_uri() -> str:
    """The connection string, with or without a user, whose hosts and options customers get."""
    active = settings.current()
    return active.credentials_uri or active.mongo_uri


def connection_string(name: str, password: str) -> str:
    """The string by which a customer connects as this user of the tenant database."""
    return _for_user(customers_uri(), name, password)


def portals_connection_string(name: str, password: str) -> str:
    """The same by the hosts that the portal itself uses."""
    return _for_user(settings.current().mongo_uri, name, password)


def tried() -> Hosts:
    """The result of this process's latest trial of the hosts."""
    uri = customers_uri()
    return _found.get(uri) or Hosts(local=_is_local(uri))


def try_hosts() -> Hosts:
    """Try each host from here, and warn in the log of what customers run into. Raises
    PyMongoError where the portal's own MongoDB doesn't answer."""
    uri = customers_uri()
    own = client().admin.command("hello")
    silent, foreign = [], []
    advertised: set[str] = set()
    try:
        names = _hosts_of(uri)
    except ConfigurationError:  # no answer from DNS
        names = []
        silent.append(ConnectionString.of(uri).hosts)
    for name in names:
        try:
            told = _ask(uri, name)
        except PyMongoError:
            silent.append(name)
            continue
        if told.get("setName") != own.get("setName"):
            foreign.append(name)
        advertised.update(told.get("hosts", ()))
    # Behind an SRV record the names are those that DNS told just now.
    unknown = tuple(sorted(advertised - set(names)))
    found = Hosts(tuple(silent), tuple(foreign), unknown, _is_local(uri))
    if found.wrong and found != _found.get(uri) and are_given_out():
        log.warning(
            "credentials.hosts", silent=silent, foreign=foreign, advertised=found.advertised
        )
    _found[uri] = found
    return found


def are_given_out() -> bool:
    """Tell whether customers get these hosts: a setting names them, or there are credentials."""
    return bool(settings.current().credentials_uri or Credential.objects.only("id").first())


def options(uri: str) -> dict[str, Any]:
    """The options that this machine needs beside ``uri``: its own certificates, with TLS."""
    base = ConnectionString.of(uri)
    given = {option.casefold(): value for option, value in base.options}
    tls = given.get("tls", given.get("ssl", str(base.srv))).casefold() == "true"
    return {"tls": True, **machine_options(settings.current().mongo_uri)} if tls else {}


def _for_user(uri: str, name: str, password: str) -> str:
    database = tenant_database().name
    return ConnectionString.of(uri).for_user(
        name,
        password,
        database=database,
        auth_source=database,
        replica_set=client().topology_description.replica_set_name,
    )


def _hosts_of(uri: str) -> list[str]:
    """The hosts with their ports. Asks DNS where the URI names an SRV record."""
    found = parse_uri(uri)["nodelist"]
    # A socket has no port.
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found if port]


def _ask(uri: str, name: str) -> dict[str, Any]:
    """The ``hello`` of one host, without signing in."""
    bare: MongoClient
    with MongoClient(
        f"mongodb://{name}/", directConnection=True, timeoutMS=_SECONDS * 1000, **options(uri)
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
