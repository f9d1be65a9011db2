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
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from urllib.error import URLError

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal import settings
from portal.database import connection, errors
from portal.serving import mongod
from portal.serving.mongod import MongodFailed, NoMongod
from portal.serving.processes import die_with_parent, still_runs
from portal.settings import InvalidSettings, SupervisorSettings, instance
from portal.settings.instance import INSTANCE

FIRST_PORT, LAST_PORT = 8000, 8999
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
        with _instance_lock() as lock, _listening_socket(own) as listener:
            if own.mongo_uri:
                _serve_on(own.mongo_uri, listener)
            else:
                _serve_embedded(listener, lock)
    except Stopped:
        return
    except (
        CannotServe,
        InvalidSettings,
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
    os.environ.setdefault("PUBLIC_URL", _url(listener))
    active = settings.load()
    client: MongoClient
    with MongoClient(connection.portable_uri(uri), timeoutMS=5000, tz_aware=True) as client:
        try:
            connection.check_server(client)
        except PyMongoError as error:
            _say(f"MongoDB does not answer yet, the portal starts anyway: {error}")
    gunicorn = _start_gunicorn(listener)
    try:
        _say_when_ready(listener, active.public_url, gunicorn)
        while still_runs(gunicorn):
            time.sleep(_POLL_SECONDS)
    finally:
        _stop_gunicorn(gunicorn)
    raise CannotServe(f"gunicorn ended with status {gunicorn.returncode}; see its log above.")


def _serve_embedded(listener: socket.socket, lock: int) -> None:
    """Serve on an embedded MongoDB, restarted if it dies."""
    own = instance.secrets_at_start()
    server = mongod.start(INSTANCE, own.mongo_password, keep_open=lock)
    environment = {
        "PUBLIC_URL": os.environ.get("PUBLIC_URL", _url(listener)),
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
            _say_when_ready(listener, active.public_url, gunicorn)
            while still_runs(gunicorn):
                if not still_runs(server.process):
                    _say(f"mongod ended with status {server.process.wait()}, restarting it")
                    server = mongod.start(
                        INSTANCE, own.mongo_password, keep_open=lock, port=server.port
                    )
                time.sleep(_POLL_SECONDS)
    finally:
        if gunicorn:
            _stop_gunicorn(gunicorn)
        server.stop()
    raise CannotServe(f"gunicorn ended with status {gunicorn.returncode}; see its log above.")


def _signing(name: str, own: str, former: list[str]) -> dict[str, str]:
    """The settings for the secret ``name`` and its fallbacks, unless the environment has it."""
    if name in os.environ:
        return {}
    fallbacks = f"{name}_FALLBACKS"
    given = [value for value in os.environ.get(fallbacks, "").split(",") if value]
    return {name: own, fallbacks: ",".join([*former, *given])}


@contextmanager
def _instance_lock() -> Iterator[int]:
    """Hold ``instance/lock``. The embedded mongod holds it too, until it exits."""
    INSTANCE.mkdir(mode=0o700, exist_ok=True)
    INSTANCE.chmod(0o700)
    with (INSTANCE / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CannotServe(
                f"It already runs from this folder, or is still stopping (process {lock.read()})."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock.fileno()


@contextmanager
def _listening_socket(own: SupervisorSettings) -> Iterator[socket.socket]:
    """The socket that gunicorn inherits, so that nobody takes its port before gunicorn does."""
    ports = [own.port] if own.port else range(FIRST_PORT, LAST_PORT + 1)
    for port in ports:
        listener = socket.socket(socket.AF_INET6 if ":" in own.bind else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((own.bind, port))
            listener.listen(256)
        except OSError as error:
            listener.close()
            if own.port:
                raise CannotServe(f"Port {port} on {own.bind} can't be used: {error}") from error
            continue
        with listener:
            yield listener
        return
    raise CannotServe(f"No port from {FIRST_PORT} to {LAST_PORT} is free on {own.bind}.")


def _url(listener: socket.socket) -> str:
    return f"http://localhost:{listener.getsockname()[1]}"


def _start_gunicorn(listener: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own arguments)
        [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "wsgi:app"],
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


def _say_when_ready(listener: socket.socket, url: str, gunicorn: subprocess.Popen[bytes]) -> None:
    host, port = listener.getsockname()[:2]
    probe = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/readyz"  # noqa: S104
    deadline = time.monotonic() + READY_SECONDS
    while still_runs(gunicorn) and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(probe, timeout=5):
                _say(f"Portal: {url}  (Ctrl-C stops it)")
                return
        except (URLError, OSError):
            time.sleep(_POLL_SECONDS)
    if still_runs(gunicorn):
        _say(f"Portal: {url}, but it is not ready: {probe} says why")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
