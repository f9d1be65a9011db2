"""Long work is leased, told of, and stopped by whoever may; killed, it goes on elsewhere."""

import threading
from datetime import timedelta

import pytest
from mongoengine.errors import OperationError
from pymongo.errors import AutoReconnect, ExecutionTimeout, ServerSelectionTimeoutError

from portal import clock
from portal.database import background
from portal.database.leases import Interrupted
from portal.documents.jobs import Job
from portal.jobs import progress, runner, running
from portal.jobs.errors import JobEnded, JobExists, JobNotFound, JobNotPaused
from portal.jobs.managing import cancel_job, find_job, latest_jobs, pause_job, resume_job
from portal.jobs.running import MOST_TRIES, JobFailed, Run, acquire, run
from tests.factories import a_context
from tests.processes import at_once, wait_until


def test_a_job_is_run_once_and_its_result_kept(kind, a_job):
    job = a_job(total=3)
    assert runner.run_due_jobs() == 1
    done = find_job(job.id)
    assert (done.state, done.result, done.due_at) == ("done", {"counted": 3}, None)
    assert done.ended_at
    assert runner.run_due_jobs() == 0


def test_of_jobs_about_the_same_one_is_open(kind, a_job):
    def start():
        try:
            return a_job()
        except JobExists as refused:
            return refused.job

    jobs = at_once([start] * 4)
    assert len({job.id for job in jobs}) == Job.objects.count() == 1
    a_job("goats")
    runner.run_due_jobs()
    assert a_job().id != jobs[0].id


def test_attempts_grow_from_one_job_of_a_subject_to_the_next(kind, a_job):
    a_job()
    runner.run_due_jobs()
    again = a_job()
    assert again.attempts_before == 1
    assert acquire(again.id).attempt == 2


def test_of_two_that_look_one_gets_the_job(kind, a_job):
    job = a_job()
    assert [got and got.id for got in at_once([lambda: acquire(job.id)] * 4)].count(job.id) == 1
    assert acquire(job.id) is None


def test_whose_process_died_another_one_takes_over(kind, a_job, expire):
    job = a_job()
    dead = acquire(job.id)
    expire(job)
    assert runner.run_due_jobs() == 1
    assert find_job(job.id).state == "done"
    with pytest.raises(Interrupted):  # it was only slow, and wakes
        Run(dead).renew()
    with pytest.raises(Interrupted):
        run(dead, lambda run: {"counted": 99})
    assert find_job(job.id).result == {"counted": 3}


def test_a_kind_of_a_newer_version_is_left_to_that(kind, a_job, master_db):
    job = a_job()
    master_db.jobs.update_one({}, {"$set": {"kind": "unheard of"}})
    assert runner.run_due_jobs() == 0
    assert find_job(job.id).attempt == 0
    assert "knows its kind" in progress.describe(find_job(job.id))


def test_paused_elsewhere_it_stops_and_resumed_it_goes_on(kind, a_job, monkeypatch):
    monkeypatch.setattr(running, "RENEW_SECONDS", 0.02)
    job, counted = a_job(total=2), []

    def count(run):
        counted.append(run.done)
        run.report(1, "counting")
        if len(counted) == 1:
            pause_job(str(job.id), a_context())
        for _ in range(500):
            run.check()
            if len(counted) == 2:
                return {"counted": 2}
            threading.Event().wait(0.02)
        raise AssertionError("nobody told it")

    kind[1]["work"] = count
    runner.run_due_jobs()
    assert (find_job(job.id).state, find_job(job.id).due_at) == ("paused", None)
    assert runner.run_due_jobs() == 0
    resume_job(str(job.id), a_context())
    assert runner.run_due_jobs() == 1
    assert find_job(job.id).state == "done"


def test_cancelled_it_stays_cancelled(kind, a_job, expire):
    job = a_job()
    leased = acquire(job.id)
    cancel_job(str(job.id), a_context())
    with pytest.raises(Interrupted):
        run(leased, lambda run: {"counted": 3})
    expire(job)
    assert runner.run_due_jobs() == 0
    for change in (pause_job, resume_job, cancel_job):
        with pytest.raises(JobEnded):
            change(str(job.id), a_context())
    assert find_job(job.id).state == "cancelled"
    assert a_job().id != job.id


def test_what_is_not_paused_is_not_resumed_and_what_is_not_there_not_found(kind, a_job):
    with pytest.raises(JobNotPaused):
        resume_job(str(a_job().id), a_context())
    for unknown in ("0" * 24, "sheep"):
        with pytest.raises(JobNotFound):
            pause_job(unknown, a_context())


def test_the_third_failure_for_one_cause_ends_it_and_says_so(kind, a_job, expire):
    def fail(run):
        raise ZeroDivisionError("sheep")

    job, kind[1]["work"] = a_job(), fail
    for tries in (1, 2):
        runner.run_due_jobs()
        assert find_job(job.id).tries == tries
        assert "tried again in" in progress.describe(find_job(job.id))
        assert "ZeroDivisionError: sheep" in progress.describe(find_job(job.id))
        expire(job)
    runner.run_due_jobs()
    failed = find_job(job.id)
    assert failed.state == "failed"
    assert failed.reason == "It stopped 3 times at the same place: ZeroDivisionError: sheep"


def test_while_its_database_is_away_no_attempt_counts_as_a_failure(kind, a_job, expire):
    away = [AutoReconnect("gone"), ServerSelectionTimeoutError("away"), AutoReconnect("gone")] * 2

    def work(run):
        if away:
            raise away.pop()
        return {"counted": 2}

    job, kind[1]["work"] = a_job(), work
    while away:
        runner.run_due_jobs()
        found = find_job(job.id)
        assert (found.state, found.tries) == ("running", None)
        assert "tried again in" in progress.describe(found)
        expire(job)
    runner.run_due_jobs()
    assert find_job(job.id).result == {"counted": 2}


def test_what_is_too_slow_is_not_tried_for_ever(kind, a_job, expire):
    def work(run):
        raise ExecutionTimeout("operation exceeded time limit", 50)

    job, kind[1]["work"] = a_job(), work
    for _ in range(MOST_TRIES):
        runner.run_due_jobs()
        expire(job)
    assert find_job(job.id).state == "failed"


def test_failures_of_which_each_gets_further_do_not_end_it(kind, a_job, expire):
    def fail(run):
        run.report(run.done + 1, "counting")
        raise ZeroDivisionError

    job, kind[1]["work"] = a_job(total=9), fail
    for _ in range(4):
        runner.run_due_jobs()
        expire(job)
    assert (find_job(job.id).state, find_job(job.id).progress.done) == ("running", 4)


def test_a_failing_job_does_not_stop_the_others(kind, a_job):
    def work(run):
        if run.job.subject == "sheep":
            raise ZeroDivisionError
        return {}

    kind[1]["work"] = work
    a_job("sheep"), a_job("goats")
    assert runner.run_due_jobs() == 2
    assert {job.subject: job.state for job in latest_jobs(9)} == {
        "goats": "done",
        "sheep": "running",
    }


def test_one_that_can_not_go_on_has_failed_with_its_reason_and_what_it_did(kind, a_job):
    def work(run):
        raise JobFailed("the wolf is here", {"counted": 2})

    job, kind[1]["work"] = a_job(), work
    runner.run_due_jobs()
    failed = find_job(job.id)
    assert (failed.state, failed.reason, failed.result) == (
        "failed",
        "the wolf is here",
        {"counted": 2},
    )


def test_who_ends_its_process_leaves_it_due_at_once(kind, a_job):
    def work(run):
        raise KeyboardInterrupt

    job = a_job()
    with pytest.raises(KeyboardInterrupt):
        run(acquire(job.id), work)
    assert acquire(job.id).attempt == 2


def test_progress_tells_rate_last_movement_and_what_is_left(kind, a_job, monkeypatch):
    monkeypatch.setattr(running, "RENEW_SECONDS", 0.02)
    told = []

    def work(run):
        run.report(5, "counting", "acme-corp")
        wait_until(lambda: find_job(run.job.id).progress.done == 5)
        told.append(find_job(run.job.id))
        return {}

    job, kind[1]["work"] = a_job(total=10), work
    runner.run_due_jobs()
    [seen] = told
    assert progress.rate_of(seen) > 0
    words = progress.describe(seen)
    assert words.startswith("5 of 10, counting, ")
    assert "a second" in words
    assert "left" in words
    assert "last movement" in words
    assert progress.describe(find_job(job.id)) == "5 of 10"


def test_no_movement_is_a_state_with_a_reason(kind, a_job, expire, monkeypatch):
    job = a_job(total=10)
    assert "it has not begun; it goes on by itself" in progress.describe(find_job(job.id))
    leased = acquire(job.id)
    attempt = Run(leased)
    attempt.report(4, "counting", "acme-corp")
    attempt.renew()
    later = clock.now() + timedelta(seconds=29)  # the lease lasts 30
    monkeypatch.setattr(progress, "STANDSTILL", timedelta(seconds=20))
    monkeypatch.setattr(progress, "server_time", lambda: later)
    assert progress.describe(find_job(job.id)) == (
        "4 of 10, counting, no movement for 29 seconds: its process is alive, at acme-corp"
    )
    monkeypatch.undo()
    assert "its process is gone; it goes on by itself" in progress.describe(expire(job))


def test_a_report_is_written_again_where_the_database_was_away(kind, a_job, bare_client):
    attempt = Run(acquire(a_job(total=10).id))
    attempt.report(4, "counting")
    failing = {"failCommands": ["update"], "errorCode": 13, "appName": "portal"}
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": failing}
    bare_client.admin.command(point)
    with pytest.raises(OperationError):
        attempt.renew()
    attempt.renew()
    assert find_job(attempt.job.id).progress.done == 4


def test_who_slept_looks_first_whether_it_is_still_his(kind, a_job, expire):
    job = a_job()
    asleep = Run(acquire(job.id))
    asleep.check()
    expire(job)
    acquire(job.id)
    asleep.lease.stale_seconds = 0
    with pytest.raises(Interrupted):
        asleep.check()


def test_jobs_are_in_the_trail_of_the_installation(kind, a_job, command):
    job = a_job()
    pause_job(str(job.id), a_context())
    pause_job(str(job.id), a_context())  # which changes nothing
    resume_job(str(job.id), a_context())
    runner.run_due_jobs()
    told = command("audit", "list").stdout
    for words in ("Job started", "Job paused", "Job resumed", "Job done"):
        assert told.count(f"{words}: Counting sheep") == 1


def test_what_is_due_and_what_is_open_are_found_by_indexes(kind, a_job, master_db):
    for n in range(20):
        a_job(f"flock {n}")
    runner.run_due_jobs()
    for query in ({"due_at": {"$exists": True}}, {"kind": "count", "subject": "x", "open": True}):
        explained = master_db.command(
            "explain", {"find": "jobs", "filter": query}, verbosity="executionStats"
        )
        assert explained["executionStats"]["totalDocsExamined"] == 0


def test_who_starts_a_job_or_has_it_go_on_wakes_this_workers_runner(kind, a_job):
    woken = background._WAKING.setdefault(running.LOOP, threading.Event())
    woken.clear()
    job = a_job()
    assert woken.is_set()
    pause_job(str(job.id), a_context())
    woken.clear()
    resume_job(str(job.id), a_context())
    assert woken.is_set()
