"""Finishes what others left behind: operations whose lease ran out, and starts purges that are due.

One thread per worker looks for them; tests and commands don't start it.
"""

import structlog

from portal.database.background import start_loop
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.identity.accounts.closing import erase_closed
from portal.organizations.lifecycle.engine import acquire_lease, log_context, reschedule, run_now
from portal.organizations.lifecycle.purging import write_due_purge
from portal.organizations.lifecycle.trashing import warn_of_due_purge

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 10
MOST_AT_ONCE = 1000


def recover_due_operations() -> int:
    """Carry on each operation that is due, once, and return how many there were, MOST_AT_ONCE
    at most.

    One that fails is put off, so that the others don't wait for it.
    """
    recovered = 0
    while recovered < MOST_AT_ONCE and (organization := acquire_lease()):
        recovered += 1
        log.warning("operation.taken_over", **log_context(organization))
        _run_safely(organization)
    return recovered


def start_due_purges() -> int:
    """Purge what was in the trash for long enough, and return how many there were, MOST_AT_ONCE
    at most."""
    purged = 0
    while purged < MOST_AT_ONCE and (organization := write_due_purge()):
        purged += 1
        log.info("purge.due", **log_context(organization))
        _run_safely(organization)
    return purged


def send_due_warnings() -> int:
    """Have the owners told of each purge that is near, and return how many there were,
    MOST_AT_ONCE at most."""
    warned = 0
    while warned < MOST_AT_ONCE and warn_of_due_purge():
        warned += 1
    return warned


def _run_safely(organization: Organization) -> None:
    try:
        run_now(organization)
    except PortalError as error:
        log.warning("operation.refused", reason=repr(error), **log_context(organization))
    except Exception as error:  # whatever it is, the others must not wait for it
        log.exception("operation.failed", **log_context(organization))
        reschedule(organization, error)


def start() -> None:
    """Start the runner thread of this worker; call it after the fork."""
    start_loop("runner", run_once, pause_seconds=LONGEST_PAUSE_SECONDS)


def run_once() -> None:
    """Do once whatever is due."""
    recover_due_operations()
    send_due_warnings()
    start_due_purges()
    erase_closed()
