"""Background loops: work that a thread of each worker polls for."""

import random
import threading
from collections.abc import Callable

import structlog

from portal.database import connection

log = structlog.get_logger()

_WAKING: dict[str, threading.Event] = {}


def start_loop(
    name: str, work: Callable[[], object], *, pause_seconds: float, once: bool = False
) -> None:
    """Call ``work`` in a daemon thread, first at once, then after pauses of half to all of
    ``pause_seconds``; with ``once`` until it succeeds. Call this after the fork.

    Prepares the database before each call. Logs every error under ``name`` and retries; an
    unavailable MongoDB is only a warning.
    """
    arguments = (name, work, pause_seconds, once)
    threading.Thread(target=_run, args=arguments, name=name, daemon=True).start()


def wake(name: str) -> None:
    """End the pause of this process's loop ``name``, if it has one."""
    _WAKING.setdefault(name, threading.Event()).set()


def _run(name: str, work: Callable[[], object], pause_seconds: float, once: bool) -> None:
    waking = _WAKING.setdefault(name, threading.Event())
    while not (_succeeds(name, work) and once):
        waking.wait(pause_seconds * random.uniform(0.5, 1))  # noqa: S311 (jitter)
        waking.clear()


def _succeeds(name: str, work: Callable[[], object]) -> bool:
    try:
        connection.prepare()
        work()
    except Exception as error:  # no error may end the loop
        if connection.is_unavailable(error):
            log.warning(f"{name}.no_database", error=connection.explain(error))
        else:
            log.exception(f"{name}.failed")
        return False
    return True
