"""What is done at intervals is done by one process of all, and its age is known."""

from datetime import timedelta
from threading import Event, Thread

import pytest

from portal import clock
from portal.database import periodic
from portal.database.leases import Interrupted
from portal.database.periodic import NEVER, Task
from portal.documents.processes import PeriodicTask
from tests.processes import at_once, wait_until

LONG_AGO = clock.now() - timedelta(days=1)


def a_task(work=lambda check: {}):
    return Task("count", 3600, work)


def expire():
    """Have the lease run out, or the pause be over."""
    PeriodicTask.objects(id="count").update(set__due_at=LONG_AGO)


def test_of_many_processes_one_does_it_and_it_is_due_again_later(app):
    done = []
    task = a_task(lambda check: done.append(1) or {"fra-2": "it does not answer"})
    assert sorted(at_once([lambda: periodic.run_if_due(task)] * 4)) == [False, False, False, True]
    assert periodic.run_if_due(task) is False
    assert done == [1]
    record = periodic.records()["count"]
    assert record.notes == {"fra-2": "it does not answer"}
    assert record.trouble(task.every_seconds, clock.now()) is None


def test_what_may_wait_is_not_done_at_the_first_start(app):
    task = Task("count", 3600, lambda check: {}, first_after_seconds=60)
    assert not any(at_once([lambda: periodic.run_if_due(task)] * 2))
    expire()
    assert periodic.run_if_due(task)


def test_what_fails_keeps_the_time_when_it_was_done_and_says_why(app):
    task = a_task()
    periodic.run_if_due(task)
    done_at = periodic.records()["count"].done_at
    expire()

    def failing(check):
        raise OSError("a disk is full")

    with pytest.raises(OSError, match="a disk"):
        periodic.run_if_due(a_task(failing))
    record = periodic.records()["count"]
    assert record.done_at == done_at
    assert record.trouble(task.every_seconds, clock.now()) is None  # once is no trouble yet
    assert "a disk is full" in record.trouble(task.every_seconds, clock.now() + timedelta(hours=3))
    assert periodic.run_if_due(task) is False  # for a while
    expire()
    assert periodic.run_if_due(task)
    assert periodic.records()["count"].last_error is None


def test_whose_process_died_another_one_takes_over(app):
    periodic.run_if_due(a_task())
    expire()
    acquired = periodic._QUEUE.acquire({"_id": "count"})
    assert periodic.run_if_due(a_task()) is False
    expire()  # the process that has it is gone
    assert periodic.run_if_due(a_task())
    assert PeriodicTask.objects.get(id="count").attempt == acquired.attempt + 1


def test_one_that_was_overtaken_writes_nothing(app, monkeypatch):
    monkeypatch.setattr(periodic, "_RENEW_SECONDS", 0.02)
    begun, over = Event(), Event()

    def slow(check):
        begun.set()
        over.wait(20)
        wait_until(lambda: _raises(check))
        check()

    working = Thread(target=lambda: periodic.run_if_due(a_task(slow)))
    working.start()
    begun.wait(20)
    expire()
    assert periodic.run_if_due(a_task(lambda check: {"by": "another"}))
    over.set()
    working.join(20)
    assert periodic.records()["count"].notes == {"by": "another"}


def _raises(check):
    try:
        check()
    except Interrupted:
        return True
    return False


def test_asked_for_it_is_due_at_once_and_nobody_loses_it(app):
    task = a_task()
    periodic.run_if_due(task)
    periodic.have_due("count")
    assert periodic.run_if_due(task)
    expire()
    acquired = periodic._QUEUE.acquire({"_id": "count"})
    periodic.have_due("count")  # a process works on it
    assert PeriodicTask.objects.get(id="count").due_at == acquired.due_at


def test_what_was_never_done_is_in_trouble():
    assert NEVER.trouble(3600, clock.now()) == "The first time is to come"
