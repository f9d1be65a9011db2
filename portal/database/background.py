"""Background loops: work that a worker's own thread looks for again and again."""

import random
import threading
from collections.abc import Callable

import structlog

from portal.database import connection

log = structlog.get_logger()


def start_loop(
    name: str, work: Callable[[], object], *, pause_seconds: float, once: bool = False
) -> None:
    """Call ``work`` in a daemon thread, at first at once, then again after pauses of half to all of
    ``pause_seconds``; with ``once`` until it has succeeded. Call it after the fork.

    The database is prepared before each call. Whatever goes wrong is logged, under ``name``, and
    tried again; that MongoDB is unavailable only as a warning.
    """
    loop = threading.Thread(
        target=_run, args=(name, work, pause_seconds, once), name=name, daemon=True
    )
    loop.start()


def _run(name: str, work: Callable[[], object], pause_seconds: float, once: bool) -> None:
    pause = threading.Event()
    while not (_succeeds(name, work) and once):
        pause.wait(pause_seconds * random.uniform(0.5, 1))  # noqa: S311 (jitter)


def _succeeds(name: str, work: Callable[[], object]) -> bool:
    try:
        connection.prepare()
        work()
    except Exception as error:  # whatever it was, the next look must come
        if connection.is_unavailable(error):
            log.warning(f"{name}.no_database", error=str(error)[:300])
        else:
            log.exception(f"{name}.failed")
        return False
    return True
