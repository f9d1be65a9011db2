"""The connection to MongoDB, and the requirements on the server."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from datetime import datetime
from typing import Any

import mongoengine
import structlog
from mongoengine import Document
from mongoengine.connection import DEFAULT_CONNECTION_NAME, get_connection
from mongoengine.errors import MongoEngineException
from pymongo import IndexModel, MongoClient
from pymongo.database import Database
from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure, PyMongoError

from portal import clock
from portal import settings as portal_settings
from portal.database import diagnosis, directory, migrations, portal_role
from portal.database.errors import (
    ClusterUnavailable,
    DatabaseNotPrepared,
    DatabaseUnavailable,
    MigrationRunning,
    UnknownCluster,
    UnsuitableServer,
)
from portal.database.portal_role import Rights
from portal.settings import Settings
from portal.settings.checks import portable_uri

log = structlog.get_logger()

CLIENT_TIMEOUT_SECONDS = 20
# Codes of authenticator apps are accepted for 30 seconds more.
CLOCKS_DIFFER_SECONDS = 5
# Less than a request's time limit.
PREPARING_SECONDS = 3.5
OLDEST_SERVER = (6, 0)
# The first release of each series that doesn't let strangers read the server's memory by zlib
# (CVE-2025-14847, SERVER-115508).
ZLIB_FIXED_IN = ((6, 0, 27), (7, 0, 28), (8, 0, 17), (8, 2, 3))

BOUND_TO_ONE_MEMBER = (
    "has directConnection=true, and the replica set has more members: once another one is primary, "
    "nothing can be written. Leave that out, and name the set by replicaSet"
)
LEAKS_MEMORY = (
    "whoever reaches the server can read pieces of its memory, passwords included, without a "
    "log-in (CVE-2025-14847): upgrade to 6.0.27, 7.0.28, 8.0.17, 8.2.3 or later, or start mongod "
    "with --networkMessageCompressors snappy,zstd"
)
MAY_ABORT = (
    "an application’s update by a pipeline may end the server, where a document has a field twice "
    "(SERVER-76934): upgrade to 6.0.9, 7.0 or later"
)
_UNAUTHORIZED = 13
_NOT_TOLD = (_UNAUTHORIZED, 59, 8000)  # CommandNotFound; what Atlas answers
# Codes of a server that is shutting down or out of disk space: write concern failed, shutdown in
# progress, interrupted, 8 UnknownError, 14031 OutOfDiskSpace; that reaches no other (those of the
# retryable reads specification, which the driver raises when its retry failed, too); and 211
# KeyNotFound, where it has no key yet for its cluster's time ("No keys found for HMAC").
_FAILING_SERVER = (
    6, 7, 8, 64, 89, 91, 134, 189, 211, 262, 9001, 11600, 11601, 11602, 14031
)  # fmt: skip
_LABELS_OF_UNAVAILABLE = (
    "TransientTransactionError",
    "RetryableWriteError",
    "UnknownTransactionCommitResult",
)
_UNAVAILABLE = (
    DatabaseUnavailable,
    ClusterUnavailable,
    UnknownCluster,
    MigrationRunning,
    DatabaseNotPrepared,
    UnsuitableServer,
    ConnectionFailure,
    ConfigurationError,  # mongodb+srv:// and no answer from DNS
)


class _State:
    """The state of this process's connection."""

    documents: tuple[type[Document], ...] = ()
    overdue: tuple[Callable[[], object], ...] = ()
    prepared = False
    preparing: Future[None] | None = None
    preparing_until = 0.0
    lock = threading.Lock()


_state = _State()


def connect(
    settings: Settings,
    documents: tuple[type[Document], ...],
    overdue: tuple[Callable[[], object], ...],
) -> None:
    """Configure MongoEngine's connections, and the ``documents`` to index. What is ``overdue``,
    since no portal ran, is done before this process answers its first request. Sends nothing
    yet."""
    mongoengine.disconnect(DEFAULT_CONNECTION_NAME)
    _state.documents, _state.prepared, _state.preparing = documents, False, None
    _state.overdue = overdue
    # PyMongo alone reads the connection string: MongoEngine would take the database in it for the
    # master database, and look servers up in DNS here.
    uri = portable_uri(settings.mongo_uri)
    mongoengine.connect(
        settings.master_db,
        mongo_client_class=lambda **given: MongoClient(uri, **client_options()),
        uuidRepresentation="standard",  # MongoEngine warns without it
    )


def client_options() -> dict[str, Any]:
    """The options of each client for data, beside those of its URI."""
    return {
        "uuidRepresentation": "standard",
        "tz_aware": True,
        "connect": False,
        "appname": "portal",
        "timeoutMS": CLIENT_TIMEOUT_SECONDS * 1000,
    }


def client() -> MongoClient:
    """The client of this process."""
    return get_connection()


def tenant_database() -> Database:
    """The database that holds the tenant collections."""
    return client()[portal_settings.current().tenant_db]


def master_database() -> Database:
    """The database that holds the master data."""
    return client()[portal_settings.current().master_db]


def prepare() -> None:
    """Check the server, migrate master data to this version's shape, and create all indexes, once
    per process.

    Nothing may be read or written before: unique indexes decide races, so an earlier request could
    leave two organizations of one name. Of several threads that call it at once one does it, and
    all have its outcome. Raises UnsuitableServer, MigrationRunning, MigrationFailed, or
    PyMongoError where the server can't be reached.
    """
    if _state.prepared:
        return
    preparing, begins = _begin_or_join()
    if begins:
        _prepare_for(preparing)
    preparing.result()


def _begin_or_join() -> tuple[Future[None], bool]:
    """The preparation that runs, or one that the caller is to begin; and which of both it is."""
    with _state.lock:
        if _state.preparing is not None:
            return _state.preparing, False
        _state.preparing = Future()
        _state.preparing_until = time.monotonic() + PREPARING_SECONDS
        return _state.preparing, True


def _prepare() -> None:
    if _state.prepared:  # since the caller looked
        return
    check_server(client())
    check_database_names(client(), database_names())
    # Before whatever may fail for lack of one.
    if missing := missing_rights():
        log.warning(
            "database.rights_missing",
            missing=[str(rights) for rights in missing],
            note="grant the user of MONGO_URI the portal's role (docs/operating.md)",
        )
    # Data before indexes: a unique index may cover a field that a migration fills in.
    migrations.run_migrations(master_database())
    for document in _state.documents:
        _create_indexes(document)
    directory.prepare(master_database(), portal_settings.current().tenant_db)
    if words := describe_clocks():
        log.warning("database.clocks_differ", note=words)
    for work in _state.overdue:
        work()
    _state.prepared = True


def _create_indexes(document: type[Document]) -> None:
    """Create the indexes of a collection by one command: MongoEngine's ``ensure_indexes`` sends one
    for each, a hundred in all, at each start and by each command of ``flask``."""
    indexes = [
        IndexModel(**{"keys" if name == "fields" else name: value for name, value in spec.items()})
        for spec in document._meta["index_specs"]
    ]
    if indexes:
        document._get_collection().create_indexes(indexes)


def database_names(*, master: bool = True) -> tuple[str, ...]:
    """The names of the portal's databases on a cluster: on the first with that of master data."""
    active = portal_settings.current()
    tenant = active.tenant_db
    beside = portal_role.internal_database(tenant), portal_role.reports_database(tenant)
    return tenant, *beside, *([active.master_db] if master else [])


def missing_rights() -> list[Rights]:
    """The rights of the portal's role that the user of MONGO_URI lacks."""
    active = portal_settings.current()
    needed = portal_role.rights(active.master_db, active.tenant_db)
    return list(portal_role.missing_rights(client(), needed))


def await_prepared() -> None:
    """Return once the database is prepared: for requests, whose time limit must not interrupt that.

    It runs in a thread of its own, which outlives the request. Callers wait until
    PREPARING_SECONDS after its start. Raises DatabaseNotPrepared, and what ``prepare`` raises.
    """
    if _state.prepared:
        return
    preparing, begins = _begin_or_join()
    if begins:
        threading.Thread(
            target=_prepare_for, args=(preparing,), name="preparation", daemon=True
        ).start()
    wait([preparing], max(_state.preparing_until - time.monotonic(), 0))
    if not preparing.done():
        if not client().topology_description.has_writable_server():
            raise ConnectionFailure("no writable primary")
        raise DatabaseNotPrepared
    preparing.result()


def _prepare_for(waiting: Future[None]) -> None:
    try:
        _prepare()
    except BaseException as error:  # reported to the waiting threads; the next call starts over
        _state.preparing = None
        waiting.set_exception(error)
    else:
        _state.preparing = None
        waiting.set_result(None)


def check_server(server: MongoClient, uri_name: str = "MONGO_URI") -> None:
    """Raise UnsuitableServer for a server that lacks transactions or ``collectionUUID``; its URI
    is called ``uri_name``."""
    hello = server.admin.command("hello")
    version = server.server_info()["version"]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
        raise UnsuitableServer(f"MongoDB {version} is too old: 6.0 or later is needed.")
    if hello.get("msg") == "isdbgrid":
        log.warning(
            "database.behind_mongos",
            note="the portal is untested on sharded clusters; its two databases must have "
            "the same primary shard (movePrimary)",
        )
    elif "setName" not in hello:
        raise UnsuitableServer(
            f"{uri_name} names a standalone server. Transactions need a replica set; "
            "one member is enough: start mongod with --replSet and run rs.initiate()."
        )
    _check_default_write_concern(server)
    if leaks_memory(server):
        log.warning("database.server_leaks_memory", version=version, note=LEAKS_MEMORY)
    if is_bound_to_one_member(server):
        log.warning("database.bound_to_one_member", note=f"{uri_name} {BOUND_TO_ONE_MEMBER}")
    if aborts_at_field_twice(tuple(server.server_info()["versionArray"][:3])):
        log.warning("database.server_may_abort", version=version, note=MAY_ABORT)


def check_database_names(server: MongoClient, names: Iterable[str]) -> None:
    """Raise UnsuitableServer where a database has one of these names in another case: MongoDB makes
    no second one (13297, DatabaseDifferCase)."""
    try:
        there = server.list_database_names()
    except OperationFailure as error:
        if error.code not in _NOT_TOLD:
            raise
        return
    wanted = {name.casefold(): name for name in names}
    for name in sorted(there):
        own = wanted.get(name.casefold(), name)
        if own != name:
            raise UnsuitableServer(
                f"There is a database {name} where the portal needs {own}, and MongoDB has no two "
                "whose names differ in case only: drop that one, or give TENANT_DB and MASTER_DB "
                "the names that are there"
            )


def is_bound_to_one_member(server: MongoClient) -> bool:
    """Tell whether the URI has the driver know one member alone, of a set that has more."""
    return bool(server.options.direct_connection) and (
        len(data_hosts(server.admin.command("hello"))) > 1
    )


def aborts_at_field_twice(version: tuple[int, ...]) -> bool:
    """Tell whether a release lacks the fix of SERVER-76934."""
    return version < (6, 0, 9) or (6, 1) <= version < (7, 0)


def lacks_zlib_fix(version: tuple[int, ...]) -> bool:
    """Tell whether a release lacks its series' fix, or its series is older than any with one."""
    fixed_in = [release for release in ZLIB_FIXED_IN if release[:2] >= version[:2]]
    return bool(fixed_in) and version < fixed_in[0]


def leaks_memory(server: MongoClient) -> bool:
    """Tell whether the server is older than its series' fix of CVE-2025-14847, and takes messages
    compressed by zlib."""
    version = tuple(server.server_info()["versionArray"][:3])
    return lacks_zlib_fix(version) and "zlib" in server.admin.command(
        "hello", compression=["zlib"]
    ).get("compression", ())


def _check_default_write_concern(server: MongoClient) -> None:
    try:
        defaults = server.admin.command("getDefaultRWConcern")
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        log.warning(
            "database.write_concern_unknown", note="grant the portal's role to have it checked"
        )
        return
    if defaults.get("defaultWriteConcern", {}).get("w") != "majority":
        raise UnsuitableServer(
            "The server's default write concern is not majority, so an acknowledged write could "
            "be lost. Set it: db.adminCommand({setDefaultRWConcern: 1, "
            'defaultWriteConcern: {w: "majority"}})'
        )


def check_primary() -> None:
    """Raise PyMongoError unless a writable primary answers."""
    hello = client().admin.command("hello")
    if not hello.get("isWritablePrimary"):
        raise ConnectionFailure("no writable primary")


def explain(error: BaseException) -> str:
    """One sentence for operators on why MongoDB can't be used, with no secret in it."""
    return diagnosis.explain(error, client().topology_description)


def data_hosts(hello: Mapping[str, Any]) -> list[str]:
    """The members with data that a set tells drivers, by the answer to ``hello``: those that never
    become primary (priority 0) stand apart as ``passives``."""
    return [*hello.get("hosts", ()), *hello.get("passives", ())]


def server_time(of: MongoClient | None = None) -> datetime:
    """The clock of a server, by default the one with master data: the only one for times after
    which data is deleted."""
    server = of or client()
    return server.admin.command("hello", codec_options=server.codec_options)["localTime"]


def clock_difference(of: MongoClient | None = None) -> float:
    """The seconds that this process's clock is ahead of the server's; behind it where negative.

    0 where the difference may be the time that the answer took.
    """
    asked = clock.now()
    server = server_time(of)
    answered = clock.now()
    if asked <= server <= answered:
        return 0
    nearest = min(asked, answered, key=lambda time: abs(time - server))
    return (nearest - server).total_seconds()


def describe_clocks(of: MongoClient | None = None) -> str | None:
    """Words on this process's clock and what follows, where it differs from the server's by more
    than CLOCKS_DIFFER_SECONDS."""
    difference = clock_difference(of)
    if abs(difference) <= CLOCKS_DIFFER_SECONDS:
        return None
    direction = "ahead of" if difference > 0 else "behind"
    return (
        f"the portal's clock is {abs(difference):.0f} s {direction} the database server's: "
        "sessions, links and tokens end too early or too late, and codes of authenticator apps may "
        "be refused. Set both by NTP"
    )


def is_unavailable(error: BaseException) -> bool:
    """Tell whether ``error``, or the driver's error that caused it, means that MongoDB is
    unavailable, hung, or out of time, rather than a bug of the portal."""
    if not isinstance(error, PyMongoError | MongoEngineException):
        error = error.__cause__ or error
    error = diagnosis.root_cause(error)
    if isinstance(error, _UNAVAILABLE) or diagnosis.refuses_credentials(error):
        return True
    if isinstance(error, OperationFailure) and error.code in _FAILING_SERVER:
        return True
    return isinstance(error, PyMongoError) and (
        error.timeout or any(map(error.has_error_label, _LABELS_OF_UNAVAILABLE))
    )
