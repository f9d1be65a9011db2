"""Jobs that a command runs itself."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from portal.cli.progress_line import ProgressLine
from portal.database.leases import Interrupted
from portal.documents.jobs import Job, JobState
from portal.jobs import managing, running
from portal.jobs.progress import describe
from portal.jobs.running import Run

_LOOK_SECONDS = 1


def run_or_follow(
    job: Job, work: Callable[[Run], dict[str, Any]], line: ProgressLine, stopped: str
) -> Job:
    """Run the job, or follow the process that does, and go on where that one dies; the job at its
    end. Where somebody stops the command, it says what ``stopped``, and exits."""
    try:
        while job.state == JobState.RUNNING:
            leased = running.acquire(job.id)
            if leased:
                with suppress(Interrupted):  # by whom is told at the end
                    running.run(leased, work)
            else:
                line.show(f"waits: {describe(job)}")
                time.sleep(_LOOK_SECONDS)
            job = managing.find_job(job.id)
    except KeyboardInterrupt:
        click.echo(f"\n{stopped}")
        sys.exit(1)
    finally:
        line.end()
    return job
