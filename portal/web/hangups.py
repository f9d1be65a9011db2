"""Watches the connections of running requests: a client that hangs up, or sends too slowly.

A thread that waits for MongoDB, or for a client, sees neither; so one thread in each worker does.
"""

import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from flask import request

_TICK_MS = 100
_AGAIN_SECONDS = 0.2
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR

log = structlog.get_logger()


@dataclass(eq=False)
class _Watched:
    connection: socket.socket
    act: Callable[[], None]
    deadline: float | None = None
    fired: bool = field(default=False)
    again_at: float = 0


class _Watcher:
    """The watching thread of this process, and what it watches."""

    def __init__(self) -> None:
        self.watched: set[_Watched] = set()
        self.changed = threading.Condition()
        self.pid = 0

    def add(self, entry: _Watched) -> None:
        with self.changed:
            if self.pid != os.getpid():  # a forked child has no thread yet
                self.pid = os.getpid()
                threading.Thread(target=self._run, name="hang-ups", daemon=True).start()
            self.watched.add(entry)
            self.changed.notify()

    def remove(self, entry: _Watched) -> None:
        with self.changed:
            self.watched.discard(entry)

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.watched)
                now = time.monotonic()
                entries = [entry for entry in self.watched if entry.again_at <= now]
            for entry in _due(entries):
                if entry not in self.watched:  # its block has ended meanwhile
                    continue
                entry.fired = True
                try:
                    entry.act()
                except Exception as error:
                    log.warning("hang_up.not_handled", error=str(error)[:300])
                again = _AGAIN_SECONDS if entry.deadline is None else math.inf
                entry.again_at = time.monotonic() + again


_watcher = _Watcher()


@contextmanager
def on_hang_up(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act``, in another thread, once the client hangs up within the block; and again until
    the block ends, since what it shall end may not have reached the server then."""
    connection = request.environ.get("gunicorn.socket")
    if connection is None:  # not served by a worker
        yield
        return
    with _watching(_Watched(connection, act)):
        yield


@contextmanager
def within(seconds: float, connection: socket.socket | None) -> Iterator[_Watched | None]:
    """Stop reading from the ``connection`` after so many seconds in the block: what is read then
    ends. The result has ``fired`` if it did."""
    if connection is None:
        yield None
        return

    def stop() -> None:
        with suppress(OSError):  # closed meanwhile
            connection.shutdown(socket.SHUT_RD)

    with _watching(entry := _Watched(connection, stop, time.monotonic() + seconds)):
        yield entry


@contextmanager
def _watching(entry: _Watched) -> Iterator[None]:
    _watcher.add(entry)
    try:
        yield
    finally:
        _watcher.remove(entry)


def _due(entries: list[_Watched]) -> list[_Watched]:
    """Wait for a tick; those whose client is gone, or whose time is over."""
    gone = select.poll()
    for entry in entries:
        if entry.deadline is None:
            with suppress(ValueError):  # closed meanwhile
                gone.register(entry.connection, _GONE)
    found = {descriptor for descriptor, _ in gone.poll(_TICK_MS)}
    now = time.monotonic()
    return [
        entry
        for entry in entries
        if (entry.deadline is not None and entry.deadline <= now)
        or (entry.deadline is None and entry.connection.fileno() in found)
    ]
