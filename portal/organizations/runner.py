"""Finishes what others left behind: operations whose lease ran out.

One thread per worker looks for them; tests and commands don't start it.
"""

import random
import threading

import structlog

from portal import database
from portal.errors import PortalError
from portal.organizations import creation, renaming, trashing
from portal.organizations.documents import CREATE, RENAME, TRASH
from portal.organizations.lifecycle import labels, pursue, take_over

log = structlog.get_logger()

PLANS = {CREATE: creation.PLAN, RENAME: renaming.PLAN, TRASH: trashing.PLAN}
LONGEST_PAUSE_SECONDS = 10


def recover_due_operations() -> int:
    """Carry on each operation whose lease ran out, once, and return how many there were."""
    recovered = 0
    while organization := take_over():
        recovered += 1
        log.warning("operation.taken_over", **labels(organization))
        try:
            pursue(organization, PLANS[organization.operation.kind])
        except PortalError as error:
            log.warning("operation.refused", reason=repr(error), **labels(organization))
        except Exception:  # it keeps its lease and is tried again; the others must not wait for it
            log.exception("operation.failed", **labels(organization))
    return recovered


def start() -> None:
    """Start the runner thread of this worker; call it after the fork.

    It prepares the database, then looks for due operations every 5 to 10 seconds, at first at
    once. MongoDB being away is logged and tried again.
    """
    threading.Thread(target=_run, name="lifecycle-runner", daemon=True).start()


def _run() -> None:
    pause = threading.Event()
    while True:
        try:
            database.prepare()
            recover_due_operations()
        except Exception as error:  # whatever it was, the next look must come
            if database.unavailable(error):
                log.warning("runner.no_database", error=str(error)[:300])
            else:
                log.exception("runner.failed")
        pause.wait(LONGEST_PAUSE_SECONDS * random.uniform(0.5, 1))  # noqa: S311 (jitter)
