"""The runner: recovers operations whose lease expired, and does what is due.

One thread per worker; tests and commands don't start it.
"""

import structlog

from portal.database.background import start_loop
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.identity.accounts.closing import erase_closed
from portal.identity.second_factors import resetting
from portal.organizations.lifecycle import engine, pools
from portal.organizations.lifecycle.engine import acquire_lease, log_context, reschedule, run_now
from portal.organizations.lifecycle.expiring import delete_expired
from portal.organizations.lifecycle.trashing import (
    tell_held_purges,
    warn_of_due_purge,
    write_due_purge,
)

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 10
MAX_AT_ONCE = 1000


def recover_due_operations() -> int:
    """Run each operation that is due, once; how many there were, MAX_AT_ONCE at most.

    One that fails is rescheduled, so that the others don't wait for it.
    """
    recovered = 0
    while recovered < MAX_AT_ONCE and (organization := acquire_lease()):
        recovered += 1
        log.warning("operation.taken_over", **log_context(organization))
        _run_safely(organization)
    return recovered


def start_due_purges() -> int:
    """Start each purge that is due; how many there were, MAX_AT_ONCE at most."""
    purged = 0
    while purged < MAX_AT_ONCE and (organization := write_due_purge()):
        purged += 1
        log.info("purge.due", **log_context(organization))
        _run_safely(organization)
    return purged


def send_due_warnings() -> int:
    """Mail the owners about each purge that is near; how many there were, MAX_AT_ONCE at most."""
    warned = 0
    while warned < MAX_AT_ONCE and warn_of_due_purge():
        warned += 1
    return warned


def _run_safely(organization: Organization) -> None:
    try:
        run_now(organization)
    except PortalError as error:
        log.warning("operation.refused", reason=repr(error), **log_context(organization))
    except Exception as error:  # the other operations must not wait for it
        log.exception("operation.failed", **log_context(organization))
        reschedule(organization, error)


def start() -> None:
    """Start the runner thread of this worker; call it after the fork."""
    start_loop(engine.RUNNER, run_once, pause_seconds=LONGEST_PAUSE_SECONDS)


def run_once() -> None:
    """Do everything that is due, once."""
    recover_due_operations()
    send_due_warnings()
    start_due_purges()
    tell_held_purges()
    delete_expired()
    pools.count_due()
    erase_closed()
    resetting.carry_out_due()
