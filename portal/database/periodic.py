"""Periodic tasks: work that one of all processes does at intervals.

A process acquires a task by its lease, which a thread renews while it works; if it dies, another
begins anew within a minute. The time at which a task was last done is kept, so that whoever shows
its result can say how old that is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from portal.database.background import start_loop
from portal.database.leases import Interrupted, LeasedQueue, Renewing, seconds_from_now
from portal.database.together import Part, Read, read
from portal.documents.processes import PeriodicTask

log = structlog.get_logger()

LEASE_SECONDS = 60
_RENEW_SECONDS = 15
_STALE_SECONDS = 20
_LONGEST_LOOK_PAUSE_SECONDS = 30
_LONGEST_RETRY_SECONDS = 300
_QUEUE = LeasedQueue(
    PeriodicTask,
    due_field="due_at",
    attempt_field="attempt",
    error_field="last_error",
    lease_seconds=LEASE_SECONDS,
)

Notes = dict[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """A periodic task. ``work`` may be killed anywhere, and begin anew; it is given a function to
    call between its steps, which raises Interrupted where another process took over. It returns
    what it could not do, by subject."""

    name: str
    every_seconds: int
    work: Callable[[Callable[[], None]], Notes]
    first_after_seconds: int = 0  # after the first start of the first portal

    @property
    def retry_seconds(self) -> int:
        """The pause after a failure."""
        return min(self.every_seconds, _LONGEST_RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class Record:
    """The time when a task was last done (``None`` is never), the reason why not since, and what it
    could not do of it."""

    done_at: datetime | None
    last_error: str | None
    notes: Notes

    def trouble(self, every_seconds: int, now: datetime) -> str | None:
        """The reason why the task was not done since ``done_at``, where it was missed twice."""
        if self.done_at and now - self.done_at <= 2 * timedelta(seconds=every_seconds):
            return None
        return self.last_error or ("No portal did" if self.done_at else "The first time is to come")


NEVER = Record(None, None, {})
"""The record of a task that was never begun."""


def start(tasks: tuple[Task, ...]) -> None:
    """Start a thread for each task in this worker; call it after the fork."""
    for task in tasks:
        pause = min(task.every_seconds, _LONGEST_LOOK_PAUSE_SECONDS)
        start_loop(task.name, partial(run_if_due, task), pause_seconds=pause, long_turns=True)


def run_if_due(task: Task) -> bool:
    """Do the task if it is due and nobody does it; tell whether it was done.

    Raises what its work raises, once that is stored; the task is then due again after a pause.
    """
    acquired = _QUEUE.acquire({"_id": task.name}) or _first(task)
    if acquired is None:
        return False
    held = _QUEUE.held(task.name, acquired.attempt)
    lease = Renewing(
        _QUEUE, held, task.name, renew_seconds=_RENEW_SECONDS, stale_seconds=_STALE_SECONDS
    )
    try:
        with lease:
            notes = task.work(lease.check)
    except Interrupted:
        log.info("periodic.interrupted", task=task.name)
        return False
    except Exception as error:
        held.update_one(__raw__=[{"$set": _QUEUE.delay(task.retry_seconds, error)}])
        raise
    done = {
        "due_at": seconds_from_now(task.every_seconds),
        "done_at": "$$NOW",
        "last_error": "$$REMOVE",
        "notes": {"$literal": notes},
    }
    return bool(held.update_one(__raw__=[{"$set": done}]))


def have_due(name: str) -> None:
    """Have the task done as soon as a process looks, unless one does it, or is about to."""
    later = {"$expr": {"$gt": ["$due_at", seconds_from_now(LEASE_SECONDS)]}}
    PeriodicTask.objects(__raw__={"_id": name, **later}).update_one(
        __raw__=[{"$set": {"due_at": "$$NOW"}}]
    )


def records() -> dict[str, Record]:
    """The records of all tasks, by name; a task that was never done may have none."""
    return read(reading_records())


def reading_records() -> Part[dict[str, Record]]:
    """Reads those records."""
    [rows] = yield [Read(PeriodicTask, [])]
    return {
        row["_id"]: Record(row.get("done_at"), row.get("last_error"), row.get("notes", {}))
        for row in rows
    }


def _first(task: Task) -> PeriodicTask | None:
    """The task, acquired by whoever is the first to do it at all."""
    if PeriodicTask.objects(id=task.name).first():
        return None
    begun = {
        "due_at": {"$ifNull": ["$due_at", seconds_from_now(task.first_after_seconds)]},
        "attempt": {"$ifNull": ["$attempt", 0]},
    }
    PeriodicTask._get_collection().update_one({"_id": task.name}, [{"$set": begun}], upsert=True)
    return _QUEUE.acquire({"_id": task.name})
