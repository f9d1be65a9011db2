"""MongoDB users that the portal makes for others: applications, and organizations' credentials.

Each has one role of its own, of the same name and in the same database. (A role whose privileges
reach another database must be in ``admin``: code 49 otherwise.) Names and passwords are of letters
and digits, so nothing in a connection string needs an escape.
"""

import re
import secrets
import string
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError
from pymongo.read_preferences import Nearest
from pymongo.server_description import ServerDescription

_ALPHABET = string.ascii_letters + string.digits
_NAME_CHARACTERS = 12
_PASSWORD_CHARACTERS = 40
_USER_NOT_FOUND = 11
_ROLE_NOT_FOUND = 31
_ROLE_EXISTS = 51002
_USER_EXISTS = 51003
UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_MAJORITY = {"w": "majority"}
PROOF_SECONDS = 3
PROOF = "portal: proof"
"""The application that a proof's connections are of."""

_PAUSE_SECONDS = 0.05
# Of a connection string's user, and of its machine's files.
_OWN_OPTIONS = re.compile(r"auth\w*|appname|tls\w*file\w*|ssl_\w*file\w*", re.I)
_MACHINE_OPTIONS = re.compile(
    r"tls(ca|crl|certificatekey)file(password)?|tlsallow\w*|tlsinsecure", re.I
)
ADMINISTRATION = (
    "createRole",
    "createUser",
    "dropRole",
    "dropUser",
    "grantRole",
    "revokeRole",
    "viewRole",
    "viewUser",
)
"""The actions on a database that making, changing and dropping users there takes."""


@dataclass(frozen=True, slots=True)
class Privilege:
    """Actions that a role allows on a collection, or on all of a database."""

    database: str
    collection: str
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Proof:
    """The members that took a user's sign-in and answered its read; those that don't know the user
    or their privileges yet, and those that don't answer."""

    proven: tuple[str, ...] = ()
    lagging: tuple[str, ...] = ()
    down: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection of a user, as a member sees it."""

    user: str
    app_name: str
    client: str


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """Hosts and options, of which strings for users are made."""

    scheme: str
    hosts: str
    options: tuple[tuple[str, str], ...] = field(default=())

    @classmethod
    def of(cls, uri: str) -> "ConnectionString":
        """The hosts and options of ``uri``, without its user and what only concerns that."""
        scheme, _, rest = uri.partition("://")
        before, _, query = rest.partition("?")
        hosts = before.rpartition("@")[2].partition("/")[0]
        options = (one.partition("=") for one in re.split("[&;]", query) if one)
        kept = tuple((n, v) for n, _, v in options if not _OWN_OPTIONS.fullmatch(n))
        return cls(scheme, hosts, kept)

    @property
    def srv(self) -> bool:
        """True where DNS tells the hosts."""
        return self.scheme == "mongodb+srv"

    def for_user(
        self, name: str, password: str, *, database: str, auth_source: str, replica_set: str | None
    ) -> str:
        """The string by which this user connects: ``authSource``, ``replicaSet`` (but behind
        mongos) and ``tls`` written out, ``database`` the default one."""
        given = {option.casefold() for option, _ in self.options}
        options = [f"authSource={auth_source}"]
        if replica_set and "replicaset" not in given:
            options.append(f"replicaSet={replica_set}")
        if not given & {"tls", "ssl"}:
            options.append(f"tls={'true' if self.srv else 'false'}")
        # As they were: they are escaped already.
        options += [f"{option}={value}" for option, value in self.options]
        credentials = f"{name}:{password}@"
        return f"{self.scheme}://{credentials}{self.hosts}/{database}?{'&'.join(options)}"


def random_name(prefix: str) -> str:
    """A new name for a user and their role: ``prefix``, and letters and digits."""
    return prefix + _random(_NAME_CHARACTERS)


def random_password() -> str:
    """A new password, of letters and digits."""
    return _random(_PASSWORD_CHARACTERS)


def create_user(
    database: Database, name: str, password: str, privileges: Sequence[Privilege]
) -> None:
    """Make the user and their role. May be called again with the same values where its result is
    unknown: whichever exists already is taken as made by the call before. Raises PyMongoError."""
    role = {"privileges": _documents(privileges), "roles": []}
    _command(database, "createRole", name, **role, done=_ROLE_EXISTS)
    user = {"pwd": password, "roles": [name], "mechanisms": ["SCRAM-SHA-256"]}
    _command(database, "createUser", name, **user, done=_USER_EXISTS)


def set_privileges(database: Database, name: str, privileges: Sequence[Privilege]) -> bool:
    """Have the role allow these privileges and no others, on open connections too; False where
    there is no such role.

    What the role no longer allows is taken before what it newly allows is given. Raises
    PyMongoError. (``updateRole`` would need ``revokeRole`` on every database; these two commands
    need that and ``grantRole`` on the databases of the privileges alone.)
    """
    stored = _privileges_of(database, name)
    if stored is None:
        return False
    wanted = set(privileges)
    taken = [one for one in stored if one not in wanted]
    if taken:
        revoked = {"privileges": _documents(taken)}
        _command(database, "revokePrivilegesFromRole", name, **revoked, done=_ROLE_NOT_FOUND)
    given = [one for one in privileges if one not in stored]
    if given:
        granted = {"privileges": _documents(given)}
        return _command(database, "grantPrivilegesToRole", name, **granted, done=_ROLE_NOT_FOUND)
    return True


def drop_user(database: Database, name: str) -> None:
    """Drop the user and their role; what is gone is done. Cursors, streams and transactions on open
    connections end: the server refuses their next command (13). An open transaction can't be
    committed any more, and keeps its locks until the server ends it. Raises PyMongoError."""
    _command(database, "dropUser", name, done=_USER_NOT_FOUND)
    _command(database, "dropRole", name, done=_ROLE_NOT_FOUND)


def users_in(database: Database, prefix: str) -> set[str]:
    """The names of the users in ``database`` that begin with ``prefix``."""
    return set(roles_of_users(database, prefix))


def roles_of_users(database: Database, prefix: str) -> dict[str, frozenset[str]]:
    """The names of these users, with the roles that they have beside their own."""
    found = database.command("usersInfo", 1, filter={"user": {"$regex": f"^{re.escape(prefix)}"}})
    return {
        user["user"]: frozenset(
            f"{role['role']}@{role['db']}" for role in user["roles"] if role["role"] != user["user"]
        )
        for user in found["users"]
    }


def roles_in(database: Database, prefix: str) -> dict[str, frozenset[Privilege]]:
    """The roles in ``database`` whose names begin with ``prefix``, with their privileges."""
    found = database.command("rolesInfo", 1, showPrivileges=True)
    return {
        role["role"]: _privileges_in(role)
        for role in found["roles"]
        if role["role"].startswith(prefix)
    }


def missing_rights(database: Database, actions: Iterable[str] = ADMINISTRATION) -> list[str]:
    """The ``actions`` on ``database`` that the client's own user lacks, sorted."""
    return _missing(database.client, actions, lambda resource: _covers(resource, database.name))


def may_list_connections(client: MongoClient) -> bool:
    """Tell whether the client's user may list the connections of others: ``inprog`` on the
    cluster."""
    everywhere = ({"cluster": True}, {"anyResource": True})
    return not _missing(client, ["inprog"], lambda resource: resource in everywhere)


def prove(
    uri: str,
    database: str,
    collection: str | None,
    *,
    seconds: float = PROOF_SECONDS,
    **options: Any,
) -> Proof:
    """Sign in with exactly this ``uri`` and read from the collection, if there is one, once on each
    member that is up; a member may take ``seconds`` to hear of the user.

    ``options`` are what this machine needs beside it, as of ``machine_options``. Raises
    ServerSelectionTimeoutError where no member can be reached, OperationFailure where all refuse.
    """
    deadline = time.monotonic() + seconds
    proven, lagging, refusal = [], [], None
    with _members(uri, deadline, appname=PROOF, **options) as (up, down):
        for member in up:
            try:
                _read_until_known(member.client[database], collection, deadline)
            except OperationFailure as error:
                refusal = error
                lagging.append(member.address)
            except ServerSelectionTimeoutError:
                down.append(member.address)
            else:
                proven.append(member.address)
    if refusal is not None and not proven:
        raise refusal
    return Proof(tuple(proven), tuple(lagging), tuple(down))


def machine_options(uri: str) -> dict[str, str]:
    """The options in ``uri`` that this machine needs to reach the servers and that no other machine
    can use: its files of certificates, and its exceptions from checking them."""
    query = uri.partition("?")[2]
    options = (one.partition("=") for one in re.split("[&;]", query) if one)
    return {name: unquote(value) for name, _, value in options if _MACHINE_OPTIONS.fullmatch(name)}


def connections_of(client: MongoClient, database: str | None, name: Any) -> list[Connection]:
    """The open connections of users of ``database``, or of any, whose ``name`` matches, as a query
    writes it, to the member that ``client`` reads from. Raises OperationFailure (13) unless
    ``may_list_connections``."""
    user = {"$elemMatch": {**({"db": database} if database else {}), "user": name}}
    admin = client.get_database("admin", read_preference=Nearest())
    operations = admin.aggregate(
        [
            {"$currentOp": {"allUsers": True, "idleConnections": True, "idleSessions": False}},
            {"$match": {"effectiveUsers": user, "appName": {"$ne": PROOF}}},
            {"$project": {"effectiveUsers": 1, "appName": 1, "client": 1}},
        ]
    )
    return [
        Connection(
            user=next(u["user"] for u in one["effectiveUsers"] if database in (None, u["db"])),
            app_name=one.get("appName", ""),
            client=one.get("client", ""),
        )
        for one in operations
    ]


def connections_on_all(
    uri: str, database: str | None, name: Any, *, seconds: float = PROOF_SECONDS, **options: Any
) -> list[Connection]:
    """The same to all members that answer within ``seconds``, reached by ``uri``."""
    with _members(uri, time.monotonic() + seconds, **options) as (up, _):
        return [one for m in up for one in connections_of(m.client, database, name)]


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a set, and the client that reads from it alone."""

    address: str
    client: MongoClient


@contextmanager
def _members(
    uri: str, deadline: float, **options: Any
) -> Iterator[tuple[Iterator[_Member], list[str]]]:
    """The members that answer, one after the other, and the addresses of those that don't until the
    ``deadline``. Raises ServerSelectionTimeoutError where none does.

    One client for all: it has this ``uri`` and not one made of it for each member.
    """
    chosen: list[tuple[str, int | None]] = []

    def choose(servers: list[ServerDescription]) -> list[ServerDescription]:
        return [server for server in servers if not chosen or server.address in chosen]

    def one_by_one(addresses: list[tuple[str, int | None]]) -> Iterator[_Member]:
        for address in addresses:
            chosen[:] = [address]
            yield _Member(_shown(address), client)

    seconds = max(deadline - time.monotonic(), _PAUSE_SECONDS)
    with MongoClient(
        uri,
        server_selector=choose,
        serverSelectionTimeoutMS=int(seconds * 1000),
        maxPoolSize=1,
        **options,
    ) as client:
        # Without a command, which any member might refuse: the driver would turn from that one.
        while True:
            described = client.topology_description.server_descriptions()
            silent = [address for address, one in described.items() if not one.is_server_type_known]
            if not silent or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE_SECONDS)
        readable = [address for address, one in described.items() if one.is_readable]
        if not readable:
            raise ServerSelectionTimeoutError(
                f"none of {', '.join(map(_shown, described))} answers"
            )
        yield one_by_one(readable), [_shown(address) for address in silent]


def _shown(address: tuple[str, int | None]) -> str:
    return f"{address[0]}:{address[1]}"


def _read_until_known(database: Database, collection: str | None, deadline: float) -> None:
    """Read from the member, again where it doesn't know the user yet."""
    command: dict[str, Any] = {"find": collection, "limit": 1, "singleBatch": True}
    if collection is None:
        command = {"connectionStatus": 1}
    refusal: OperationFailure | None = None
    while True:
        try:
            # ``command`` doesn't take the database's read preference.
            database.command(command, read_preference=Nearest())
            return
        except OperationFailure as error:
            if error.code not in (UNAUTHORIZED, _AUTHENTICATION_FAILED):
                raise
            refusal = error
        except ServerSelectionTimeoutError as error:
            # The driver turns from a member that refused a sign-in, for half a second or more.
            raise refusal or error from error
        if time.monotonic() > deadline:
            raise refusal
        time.sleep(_PAUSE_SECONDS)


def _privileges_of(database: Database, name: str) -> frozenset[Privilege] | None:
    found = database.command("rolesInfo", name, showPrivileges=True)["roles"]
    return _privileges_in(found[0]) if found else None


def _privileges_in(role: dict[str, Any]) -> frozenset[Privilege]:
    return frozenset(
        Privilege(
            one["resource"].get("db", ""),
            one["resource"].get("collection", ""),
            frozenset(one["actions"]),
        )
        for one in role["privileges"]
    )


def _documents(privileges: Iterable[Privilege]) -> list[dict[str, Any]]:
    return [
        {
            "resource": {"db": one.database, "collection": one.collection},
            "actions": sorted(one.actions),
        }
        for one in privileges
    ]


def _missing(
    client: MongoClient, actions: Iterable[str], covers: Callable[[dict[str, Any]], bool]
) -> list[str]:
    own = client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not own["authenticatedUsers"]:  # a server without authentication
        return []
    allowed: set[str] = set()
    for privilege in own["authenticatedUserPrivileges"]:
        if covers(privilege["resource"]):
            allowed.update(privilege["actions"])
    return [] if "anyAction" in allowed else sorted(set(actions) - allowed)


def _covers(resource: dict[str, Any], database: str) -> bool:
    anywhere = resource.get("anyResource", False)
    return anywhere or (resource.get("collection") == "" and resource.get("db") in ("", database))


def _command(database: Database, command: str, name: str, *, done: int, **values: Any) -> bool:
    """Send a command about the user or role ``name``; False where the server answers that it is
    ``done`` already."""
    try:
        database.command(command, name, **values, writeConcern=_MAJORITY)
    except OperationFailure as error:
        if error.code != done:
            raise
        return False
    return True


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
