"""An attempt at a job: leased, renewed, reported, and ended.

The lease is renewed by a thread of its own, so one step of the work may take long. That also tells
the work when it was paused, cancelled, or overtaken; it stops at its next ``check``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from bson import ObjectId
from mongoengine import QuerySet
from mongoengine.errors import MongoEngineException
from pymongo.errors import ExecutionTimeout, NetworkTimeout, PyMongoError, WTimeoutError

from portal.audit.trail import installation, record
from portal.database.connection import is_unavailable
from portal.database.diagnosis import root_cause
from portal.database.leases import Interrupted, LeasedQueue, Renewing, seconds_from_now, summary
from portal.database.transactions import transactional, within_transaction
from portal.documents.audit import Origin
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Organization
from portal.web.context import RequestContext

log = structlog.get_logger()

LOOP = "jobs"
"""The background loop of workers that runs jobs: whoever starts one wakes it."""

LEASE_SECONDS = 30
RENEW_SECONDS = 2
# Who was stopped for as long looks first whether it was overtaken.
STALE_SECONDS = 10
MOST_TRIES = 3
"""The attempts that fail for one cause, without getting further, until the job has failed."""
AWAY_SECONDS = 10
"""The pause of a job whose database is away, which counts as no failure."""
# By what was asked, as much as by the server.
_TOO_SLOW = (ExecutionTimeout, NetworkTimeout, WTimeoutError)

_QUEUE = LeasedQueue(
    Job,
    due_field="due_at",
    attempt_field="attempt",
    error_field="last_error",
    lease_seconds=LEASE_SECONDS,
)


class JobFailed(Exception):
    """Raised by the work: the job can't go on, for a reason in words."""

    def __init__(self, reason: str, result: dict[str, Any]) -> None:
        super().__init__(reason)
        self.reason, self.result = reason, result


class NotNow(Exception):
    """Raised by the work: it can go on later, for a reason in words, such as an organization in the
    trash. The job is due again in ``seconds``; that counts as no failure."""

    def __init__(self, reason: str, seconds: int) -> None:
        super().__init__(reason)
        self.reason, self.seconds = reason, seconds


class Run:
    """An attempt at a job, as its work sees it. Thread-safe."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.done = job.progress.done
        held = _QUEUE.held(job.id, job.attempt).filter(state=JobState.RUNNING)
        self.lease = Renewing(
            _QUEUE,
            held,
            f"job {job.id}",
            renew_seconds=RENEW_SECONDS,
            stale_seconds=STALE_SECONDS,
        )
        self.lease.report(
            {
                "progress.since": "$$NOW",
                "progress.since_done": self.done,
                "last_error": "$$REMOVE",
                "waits": "$$REMOVE",
            }
        )

    def report(self, done: int, step: str, note: str | None = None) -> None:
        """Note how far the job is, which is written within RENEW_SECONDS."""
        values: dict[str, Any] = {"progress.done": done, "progress.step": {"$literal": step}}
        if done != self.done:
            values["progress.moved_at"] = "$$NOW"
        values["progress.note"] = {"$literal": note} if note else "$$REMOVE"
        self.done = done
        self.lease.report(values)

    def check(self) -> None:
        """Return if this attempt is still the job's. Raises Interrupted, and PyMongoError where
        that can't be told."""
        self.lease.check()

    def renew(self) -> None:
        """Begin the lease anew, and write what was reported. Raises as ``check``."""
        self.lease.renew()

    @property
    def held(self) -> QuerySet:
        """The query for the job while this attempt may work on it."""
        return self.lease.held


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job.

    ``work`` does it, from wherever an attempt before was killed, and returns its result, which is
    small. It calls ``Run.check`` between its steps. A kind without ``work`` is run by a command
    alone, which brings the work; ``goes_on`` tells how.
    """

    name: str
    goes_on: str
    work: Callable[[Run], dict[str, Any]] | None = None


KINDS: dict[str, JobKind] = {}
"""Every kind of job that this version knows, as installed."""


def install(kinds: tuple[JobKind, ...]) -> None:
    """Make these the kinds of jobs that this version knows."""
    KINDS.clear()
    KINDS.update({kind.name: kind for kind in kinds})


def acquire_for_worker() -> Job | None:
    """Lease a job that is due, of a kind that workers run. Kinds that only a newer version knows
    are left to that."""
    kinds = [kind.name for kind in KINDS.values() if kind.work]
    return _QUEUE.acquire({"state": JobState.RUNNING, "kind": {"$in": kinds}}, sort={"due_at": 1})


def acquire(job_id: ObjectId) -> Job | None:
    """Lease this job, if it is due and not paused."""
    return _QUEUE.acquire({"_id": job_id, "state": JobState.RUNNING})


def run(job: Job, work: Callable[[Run], dict[str, Any]] | None = None) -> None:
    """Run an acquired job to its end, which is written with its result, by the ``work`` that a
    command brings, or else by its kind's.

    Raises Interrupted; any other error that ``work`` raises, after it was written: then the job is
    due again after a pause, however long its database is away, or has failed, MOST_TRIES in a row
    for one other cause.
    """
    running, work = Run(job), work or KINDS[job.kind].work
    if work is None:
        raise TypeError(f"a job of the kind {job.kind} {KINDS[job.kind].goes_on}")
    try:
        with running.lease:
            running.renew()
            result = work(running)
        _end(running, JobState.DONE, result)
    except JobFailed as failed:
        _end(running, JobState.FAILED, failed.result, failed.reason)
    except NotNow as later:
        _postpone(running, later)
    except Interrupted:
        raise
    except Exception as error:
        _put_off(running, error)
        raise
    except BaseException:  # somebody ends the process
        _release(running)
        raise


def _release(running: Run) -> None:
    """Have the job due at once, so that nobody waits for its lease to run out."""
    try:
        running.held.update_one(__raw__=[{"$set": {"due_at": "$$NOW"}}])
    except (PyMongoError, MongoEngineException) as error:  # then it runs out
        log.warning("job.not_released", job=str(running.job.id), error=summary(error))


def _end(running: Run, state: JobState, result: dict[str, Any], reason: str | None = None) -> None:
    """Raises Interrupted."""
    change = {
        "state": state,
        "result": {"$literal": result},
        "reason": {"$literal": reason} if reason else "$$REMOVE",
        "progress.done": running.done,
        "ended_at": "$$NOW",
        "due_at": "$$REMOVE",
        "open": "$$REMOVE",
    }

    @transactional
    def write() -> None:
        if not running.held.update_one(__raw__=[{"$set": change}]):
            raise Interrupted(str(running.job.id))
        record_event(running.job, f"job.{state}", RequestContext().origin, reason)

    write()


@within_transaction
def record_event(job: Job, action: str, origin: Origin, reason: str | None = None) -> None:
    """Record an event of the job: in the chain of its organization, if it has one."""
    subject = Organization.objects.get(id=job.organization) if job.organization else installation()
    record(subject, action, origin, job=str(job.id), title=job.title, reason=reason)


def _postpone(running: Run, later: NotNow) -> None:
    """Have the job due again when its work says, with its reason in words."""
    change = {
        "due_at": seconds_from_now(later.seconds),
        "last_error": {"$literal": later.reason},
        "waits": True,
        **_reached(running),
    }
    running.held.update_one(__raw__=[{"$set": change}])


def _put_off(running: Run, error: Exception) -> None:
    """Have the job tried again after a pause, or end it at the third failure for one cause."""
    if is_unavailable(error) and not isinstance(root_cause(error), _TOO_SLOW):
        away = _QUEUE.delay(AWAY_SECONDS, error) | _reached(running)
        running.held.update_one(__raw__=[{"$set": {**away, "waits": "$$REMOVE"}}])
        return
    job, cause = running.job, type(error).__name__
    tries = 1 if _is_further(running) or job.cause != cause else (job.tries or 0) + 1
    if tries >= MOST_TRIES:
        reason = f"It stopped {tries} times at the same place: {summary(error)}"
        _end(running, JobState.FAILED, {}, reason)
        return
    change = _QUEUE.delay(2**tries, error)
    change |= _reached(running) | {"tries": tries, "cause": cause, "waits": "$$REMOVE"}
    running.held.update_one(__raw__=[{"$set": change}])


def _reached(running: Run) -> dict[str, Any]:
    """The change that notes how far the attempt got; a failure beyond is the first of its cause."""
    done = {"progress.done": running.done}
    return done | dict.fromkeys(("tries", "cause"), "$$REMOVE") if _is_further(running) else done


def _is_further(running: Run) -> bool:
    return running.done > running.job.progress.done
