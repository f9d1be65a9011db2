"""Background loops: work that a thread of each worker polls for."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from portal.database import connection
from portal.database.leases import summary

log = structlog.get_logger()

_WAKING: dict[str, threading.Event] = {}


@dataclass(slots=True)
class Loop:
    """A loop of this process. ``begun_at`` is when the turn began that runs, ``failing_since`` when
    the first of its turns failed that have failed since, both by ``time.monotonic``. Turns of one
    with ``long_turns`` may take hours. One that ``ended`` does so no more: its thread is gone."""

    name: str
    long_turns: bool
    begun_at: float | None = None
    failing_since: float | None = None
    error: str | None = None
    ended: bool = False


LOOPS: list[Loop] = []
"""The loops of this process."""


def start_loop(
    name: str,
    work: Callable[[], object],
    *,
    pause_seconds: float,
    once: bool = False,
    long_turns: bool = False,
) -> None:
    """Call ``work`` in a daemon thread, first at once, then after pauses of half to all of
    ``pause_seconds``; with ``once`` until it succeeds. Call this after the fork.

    Prepares the database before each call. Logs every error under ``name`` and retries; an
    unavailable MongoDB is only a warning.
    """
    loop = Loop(name, long_turns)
    LOOPS.append(loop)
    arguments = (loop, work, pause_seconds, once)
    threading.Thread(target=_run, args=arguments, name=name, daemon=True).start()


def wake(name: str) -> None:
    """End the pause of this process's loop ``name``, if it has one."""
    _WAKING.setdefault(name, threading.Event()).set()


def _run(loop: Loop, work: Callable[[], object], pause_seconds: float, once: bool) -> None:
    waking = _WAKING.setdefault(loop.name, threading.Event())
    try:
        while not (_succeeds(loop, work) and once):
            waking.wait(pause_seconds * random.uniform(0.5, 1))  # noqa: S311 (jitter)
            waking.clear()
    except BaseException as error:  # such as SystemExit: the process goes on without the loop
        loop.ended, loop.error = True, summary(error)
        raise
    LOOPS.remove(loop)


def _succeeds(loop: Loop, work: Callable[[], object]) -> bool:
    loop.begun_at = time.monotonic()
    try:
        connection.prepare()
        work()
    except Exception as error:  # no error may end the loop
        if connection.is_unavailable(error):
            log.warning(f"{loop.name}.no_database", error=connection.explain(error))
        else:
            log.exception(f"{loop.name}.failed")
        loop.failing_since, loop.error = loop.failing_since or time.monotonic(), summary(error)
        return False
    else:
        loop.failing_since = loop.error = None
        return True
    finally:
        loop.begun_at = None
