"""The thread of each worker that runs jobs. Tests and commands don't start it."""

import structlog

from portal.database.background import start_loop
from portal.database.leases import Interrupted
from portal.documents.jobs import Job
from portal.jobs.running import LOOP, acquire_for_worker, run

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 10


def run_due_jobs() -> int:
    """Run each job that is due, of a kind that workers run, once; how many there were."""
    ran = 0
    while job := acquire_for_worker():
        ran += 1
        _run_safely(job)
    return ran


def start() -> None:
    """Start the thread of this worker; call it after the fork."""
    start_loop(LOOP, run_due_jobs, pause_seconds=LONGEST_PAUSE_SECONDS, long_turns=True)


def _run_safely(job: Job) -> None:
    try:
        run(job)
    except Interrupted:
        log.info("job.interrupted", job=str(job.id), kind=job.kind)
    except Exception:  # the other jobs must not wait for it
        log.exception("job.put_off", job=str(job.id), kind=job.kind)
