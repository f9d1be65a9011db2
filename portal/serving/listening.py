"""The addresses the portal listens on: the supervisor's socket, or gunicorn's own without it."""

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.settings import SupervisorSettings

FIRST_PORT, LAST_PORT = 8000, 8999
PATIENCE_SECONDS = 15
_POLL_SECONDS = 0.1
_LISTEN = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h


class PortTaken(Exception):
    """No port to listen on; the message says why."""


def gunicorn_bind(settings: SupervisorSettings) -> str:
    """The address for gunicorn's ``bind``, where no supervisor hands it a socket."""
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    return f"{host}:{settings.port or FIRST_PORT}"


@contextmanager
def listening_socket(
    settings: SupervisorSettings, say: Callable[[str], None]
) -> Iterator[socket.socket]:
    """A listening socket on the port in the settings, else on the first free one.

    A port that is held, as by the gunicorn of a supervisor that was killed, is waited for up to
    PATIENCE_SECONDS, after ``say`` told so. Raises PortTaken.
    """
    listener = _on_port(settings, say) if settings.port else _on_first_free(settings.bind)
    with listener:
        yield listener


def _on_port(settings: SupervisorSettings, say: Callable[[str], None]) -> socket.socket:
    deadline = time.monotonic() + PATIENCE_SECONDS
    told = False
    while True:
        try:
            return _listen(settings.bind, settings.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise PortTaken(
                    f"Port {settings.port} on {settings.bind} can't be used: {error.strerror}"
                    f"{_holder(settings.port)}."
                ) from error
        if not told:
            told = True
            say(
                f"Port {settings.port} is still in use{_holder(settings.port)}: waiting up to "
                f"{PATIENCE_SECONDS} s for it to end"
            )
        time.sleep(_POLL_SECONDS)


def _on_first_free(bind: str) -> socket.socket:
    for port in range(FIRST_PORT, LAST_PORT + 1):
        try:
            return _listen(bind, port)
        except OSError as error:
            reason = error.strerror
    raise PortTaken(f"No port from {FIRST_PORT} to {LAST_PORT} is free on {bind}: {reason}.")


def _listen(bind: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bind, port))
        listener.listen(256)
    except BaseException:
        listener.close()
        raise
    return listener


def _holder(port: int) -> str:
    """The process on the port, if this user may see it: `` by process 12 (python -m ...)``."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(file) in sockets for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_text().replace("\0", " ").strip()
                return f" by process {process.name} ({command[:80]})"
        except OSError:  # another user's, or gone
            continue
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
