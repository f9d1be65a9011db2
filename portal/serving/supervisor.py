"""``make run``: a supervisor of gunicorn and, without MONGO_URI, an embedded mongod.

Whichever process is killed, none is left behind: the children die with the supervisor, the
supervisor with ``make``, and it stops when gunicorn dies. It restarts mongod when that dies.
Ctrl-C and SIGTERM let requests in flight finish: gunicorn stops first, then mongod.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal import settings
from portal.database import connection, diagnosis, errors
from portal.serving import mongod
from portal.serving.listening import PATIENCE_SECONDS, PortTaken, listening_socket
from portal.serving.mongod import MongodFailed, NoMongod
from portal.serving.processes import die_with_parent, still_runs
from portal.settings import InvalidSettings, SupervisorSettings, instance
from portal.settings.checks import portable_uri
from portal.settings.instance import INSTANCE, SHOWS_FIRST_LINK

READY_SECONDS = 30
STOP_SECONDS = 20
_POLL_SECONDS = 0.1


class CannotServe(Exception):
    """The portal can't run; the message says what to do."""


class Stopped(Exception):
    """A signal asked the supervisor to stop."""


def main() -> None:
    """Serve the portal until a signal stops it; exit with status 1 and the reason if it can't."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    die_with_parent(os.getppid())
    try:
        own = settings.load_supervisor()
        with _instance_lock() as lock, listening_socket(own, _say) as listener:
            if own.mongo_uri:
                _serve_on(own.mongo_uri, listener)
            else:
                _serve_embedded(own, listener, lock)
    except Stopped:
        return
    except (
        CannotServe,
        InvalidSettings,
        PortTaken,
        NoMongod,
        MongodFailed,
        errors.UnsuitableServer,
    ) as error:
        sys.exit(f"The portal can't run. {error}")


def _stop(signum: int, frame: FrameType | None) -> None:
    # A second signal must not interrupt the shutdown.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Stopped


def _serve_on(uri: str, listener: socket.socket) -> None:
    """Serve on an external MongoDB."""
    _set_public_url(listener)
    active = settings.load()
    client: MongoClient
    with MongoClient(portable_uri(uri), timeoutMS=5000, tz_aware=True) as client:
        try:
            connection.check_server(client)
        except PyMongoError as error:
            reason = diagnosis.explain(error, client.topology_description)
            _say(f"{reason} The portal starts anyway, and is ready once that is mended.")
    gunicorn = _start_gunicorn(listener)
    try:
        announcement = _announcement(listener, active.public_url)
        while still_runs(gunicorn):
            next(announcement, None)
            time.sleep(_POLL_SECONDS)
    finally:
        _stop_gunicorn(gunicorn)
    raise CannotServe(f"gunicorn ended with status {gunicorn.returncode}; see its log above.")


def _serve_embedded(chosen: SupervisorSettings, listener: socket.socket, lock: int) -> None:
    """Serve on an embedded MongoDB, restarted if it dies."""
    own = instance.secrets_at_start()
    kept = instance.read_port()
    databases = chosen.master_db, chosen.tenant_db
    start = partial(mongod.start, INSTANCE, own.mongo_password, databases=databases, keep_open=lock)
    server = start(port=kept if kept and mongod.is_free(kept) else None)
    instance.write_port(server.port)
    if kept and kept != server.port:
        _say(
            f"Port {kept}, which MongoDB had before, is in use: it has {server.port} now. "
            "Connection strings of credentials name the old one."
        )
    _set_public_url(listener)
    environment = {
        "MONGO_URI": server.uri,
        **_signing("JWT_SECRET", own.jwt_secret, [one.jwt_secret for one in own.former]),
        **_signing("SECRET_KEY", own.secret_key, [one.secret_key for one in own.former]),
        "INSTALLATION_ID": own.installation_id,
    }
    gunicorn = None
    try:
        os.environ.update(environment)
        active = settings.load()
        with instance.shared_settings():
            gunicorn = _start_gunicorn(listener)
            announcement = _announcement(listener, active.public_url)
            while still_runs(gunicorn):
                next(announcement, None)
                if not still_runs(server.process):
                    _say(f"mongod ended with status {server.process.wait()}, restarting it")
                    server = start(port=server.port)
                time.sleep(_POLL_SECONDS)
    finally:
        if gunicorn:
            _stop_gunicorn(gunicorn)
        server.stop()
    raise CannotServe(f"gunicorn ended with status {gunicorn.returncode}; see its log above.")


def _signing(name: str, own: str, former: list[str]) -> dict[str, str]:
    """The settings for the secret ``name`` and its fallbacks, unless the environment has it."""
    if settings.is_given(name):
        return {}
    fallbacks = f"{name}_FALLBACKS"
    listed = filter(None, [*former, os.environ.get(fallbacks)])
    return {name: own, fallbacks: ",".join(listed)}


@contextmanager
def _instance_lock() -> Iterator[int]:
    """Hold ``instance/lock``. The embedded mongod holds it too, until it exits; that of a killed
    supervisor is waited for."""
    INSTANCE.mkdir(mode=0o700, exist_ok=True)
    INSTANCE.chmod(0o700)
    with (INSTANCE / "lock").open("a+") as lock:
        deadline = time.monotonic() + PATIENCE_SECONDS
        told = False
        while not _locks(lock.fileno()):
            lock.seek(0)
            holder = lock.read()
            if Path(f"/proc/{holder}").exists() or time.monotonic() > deadline:
                raise CannotServe(
                    f"It already runs from this folder, or is still stopping (process {holder})."
                )
            if not told:
                told = True
                _say(
                    f"The MongoDB of process {holder}, which ended, is still stopping: waiting up "
                    f"to {PATIENCE_SECONDS} s for it"
                )
            time.sleep(_POLL_SECONDS)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock.fileno()


def _locks(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _set_public_url(listener: socket.socket) -> None:
    if not settings.is_given("PUBLIC_URL"):
        os.environ["PUBLIC_URL"] = f"http://localhost:{listener.getsockname()[1]}"


def _start_gunicorn(listener: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own arguments)
        [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "wsgi:app"],
        env={**os.environ, SHOWS_FIRST_LINK: "1"},
        pass_fds=[listener.fileno()],
        start_new_session=True,  # Ctrl-C reaches it through the supervisor, before mongod
        preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 (no threads run)
    )


def _stop_gunicorn(gunicorn: subprocess.Popen[bytes]) -> None:
    gunicorn.terminate()
    try:
        gunicorn.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        gunicorn.kill()
        gunicorn.wait()


def _announcement(listener: socket.socket, url: str) -> Iterator[None]:
    """Look, once at each step, whether the portal is ready, and say so; after READY_SECONDS say
    why it isn't."""
    deadline = time.monotonic() + READY_SECONDS
    while (reason := _why_not_ready(listener)) is not None:
        if deadline and time.monotonic() > deadline:
            deadline = 0.0
            _say(f"Portal: {url}, but it is {reason}")
        yield
    _say(f"Portal: {url}  (Ctrl-C stops it)")


def _why_not_ready(listener: socket.socket) -> str | None:
    """The answer of ``/readyz``, asked without a proxy; ``None`` where the portal is ready."""
    host, port = listener.getsockname()[:2]
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    probe = HTTPConnection(loopback.get(host, host), port, timeout=5)
    try:
        probe.request("GET", "/readyz")
        answer = probe.getresponse()
        return None if answer.status == 200 else answer.read().decode().strip()
    except (OSError, HTTPException) as error:
        return f"not ready: {error}"
    finally:
        probe.close()


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
