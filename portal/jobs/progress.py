"""Jobs in words: how far they are, how fast, and why one doesn't move."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from humanize import intcomma, naturaldelta

from portal.database.connection import server_time
from portal.documents.jobs import Job, JobState
from portal.jobs.running import KINDS

STANDSTILL = timedelta(seconds=30)
"""Without a movement for as long, a job says why."""


@dataclass(frozen=True, slots=True)
class Station:
    """A station of long work. ``percent`` is of the current one, where that is known."""

    words: str
    note: str
    done: bool = False
    current: bool = False
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job as pages show it, by the component ``job_box``. ``waits_for`` is set where it doesn't
    get on; without ``stations`` there is one bar of ``percent``."""

    job: Job
    title: str
    lead: str
    percent: int | None
    waits_for: str | None
    stations: Sequence[Station]

    @property
    def changes_by_itself(self) -> bool:
        """True where another look in a few seconds may show something else."""
        return self.job.state == JobState.RUNNING


def shown_job(job: Job, title: str, stations: Sequence[Station] = ()) -> ShownJob:
    """The job for a page; ``title`` says how far it is, such as “Writing, 200 of 900 records”."""
    progress, words = job.progress, []
    percent = progress.done * 100 // progress.total if progress.total else None
    waits_for = None
    if job.state == JobState.RUNNING:
        now = server_time()
        waits_for, rate = standstill_of(job, now), rate_of(job)
        if job.attempt == job.attempts_before and now - job.created_at < STANDSTILL:
            waits_for = None  # a worker looks for it in a moment
        waits_for = waits_for and waits_for[0].upper() + waits_for[1:]
        if rate and not waits_for:
            words += [f"{rate:,.0f} a second"]
            left = progress.total - progress.done
            words += [f"about {naturaldelta(timedelta(seconds=left / rate))} left"] if left else []
        pace = ", ".join(words)
        lead = f"{pace}. {_GOES_ON}" if pace else _GOES_ON
    else:
        lead = job.reason or _ENDED[JobState(job.state)]
    return ShownJob(job, title, lead, percent, waits_for, stations)


_GOES_ON = "Close this page if you like: it goes on. Reading and writing go on as usual."
_ENDED = {
    JobState.PAUSED: "It is paused. Nothing is lost.",
    JobState.CANCELLED: "It was cancelled. What it did until then stays done.",
    JobState.FAILED: "It failed. What it did until then stays done.",
    JobState.DONE: "It is done.",
}


def rate_of(job: Job) -> float | None:
    """The number done a second by the attempt that runs, or ran last; ``None`` before its second
    movement."""
    progress = job.progress
    if not progress.since or not progress.moved_at:
        return None
    seconds = (progress.moved_at - progress.since).total_seconds()
    done = progress.done - progress.since_done
    return done / seconds if seconds > 0 and done > 0 else None


def standstill_of(job: Job, now: datetime) -> str | None:
    """The reason why a running job has not moved for STANDSTILL, or not since its last attempt;
    ``None`` while it moves. ``now`` is by the server's clock, as all its times are."""
    progress = job.progress
    if job.due_at <= now:
        kind = KINDS.get(job.kind)
        goes_on = kind.goes_on if kind else "goes on when a portal runs that knows its kind"
        gone = "its process is gone" if job.attempt > job.attempts_before else "it has not begun"
        return f"{gone}; it {goes_on}"
    if job.last_error:
        seconds = (job.due_at - now).total_seconds()
        return f"tried again in {seconds:.0f} s, after {job.last_error}"
    moved_at = max(filter(None, (progress.moved_at, progress.since)), default=job.created_at)
    if now - moved_at < STANDSTILL:
        return None
    what = progress.note or progress.step or "its first step"
    return f"no movement for {naturaldelta(now - moved_at)}: its process is alive, at {what}"


def describe(job: Job) -> str:
    """The job's progress on a line."""
    progress = job.progress
    words = [f"{intcomma(progress.done)} of {intcomma(progress.total)}"]
    if job.state == JobState.RUNNING:
        words += [progress.step] if progress.step else []
        now = server_time()
        standstill, rate = standstill_of(job, now), rate_of(job)
        if standstill:
            return ", ".join([*words, standstill])
        if rate:
            left = timedelta(seconds=(progress.total - progress.done) / rate)
            words += [f"{rate:,.1f} a second", f"about {naturaldelta(left)} left"]
        if progress.moved_at:
            words += [f"last movement {naturaldelta(now - progress.moved_at)} ago"]
    return ", ".join(words)
