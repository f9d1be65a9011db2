"""Jobs of an organization: in its audit trail, found by nobody else, and ended with it."""

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from portal.audit.trail import events_of
from portal.documents.jobs import Job
from portal.jobs import runner
from portal.jobs.errors import OrganizationJobNotFound
from portal.jobs.managing import cancel_job, find_job, find_job_of, jobs_of
from portal.jobs.progress import shown_job
from portal.jobs.running import MOST_TRIES, JobFailed, NotNow
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import a_context, an_organization
from tests.processes import wait_until


def words_of(organization):
    return [event.words for event in events_of(organization.id).rows]


def test_it_stands_in_the_trail_of_its_organization_alone(kind, a_job, master_db):
    acme, other = an_organization(), an_organization("Globex")
    cancel_job(str(a_job(organization=acme.id).id), a_context())
    a_job(organization=acme.id)
    runner.run_due_jobs()

    def fail(run):
        raise JobFailed("the wolf is here", {})

    kind[1]["work"] = fail
    a_job(organization=acme.id)
    runner.run_due_jobs()
    assert [action for action in words_of(acme) if "Job" in action] == [
        "Job failed: Counting sheep",
        "Job started: Counting sheep",
        "Job done: Counting sheep",
        "Job started: Counting sheep",
        "Job cancelled: Counting sheep",
        "Job started: Counting sheep",
    ]
    assert not [action for action in words_of(other) if "Job" in action]
    assert master_db.audit_events.count_documents({"action": "job.started"}) == 3


def test_it_is_found_by_its_organization_alone(kind, a_job):
    acme, other = an_organization(), an_organization("Globex")
    first = a_job(organization=acme.id)
    second = a_job("goats", organization=acme.id)
    a_job("wolves")
    assert find_job_of(acme.id, str(first.id)).id == first.id
    for organization, job_id in ((other.id, first.id), (acme.id, ObjectId()), (acme.id, "sheep")):
        with pytest.raises(OrganizationJobNotFound):
            find_job_of(organization, job_id)
    assert [job.id for job in jobs_of(acme.id, (kind[0],), 9)] == [second.id, first.id]
    assert [job.id for job in jobs_of(acme.id, (kind[0],), 9, before=second.id)] == [first.id]
    assert jobs_of(acme.id, (), 9) == []


def test_it_ends_with_its_organization(kind, a_job):
    acme = an_organization()
    a_job(organization=acme.id)
    kept = a_job("goats")
    purge_organization(trash_organization(acme, None, a_context()), "Acme Corp", a_context())
    assert [job.id for job in Job.objects] == [kept.id]


def test_it_waits_for_what_will_be_without_having_failed(kind, a_job, expire):
    job = a_job(organization=an_organization().id, total=3)

    def wait(run):
        raise NotNow("the organization is in the trash", 60)

    kind[1]["work"] = wait
    for _ in range(MOST_TRIES + 2):
        assert runner.run_due_jobs() == 1
        assert runner.run_due_jobs() == 0
        shown = shown_job(find_job(job.id), "Counting sheep")
        assert shown.waits_for.endswith("after the organization is in the trash")
        expire(job)
    kind[1]["work"] = lambda run: {"counted": 3}
    runner.run_due_jobs()
    assert find_job(job.id).state == "done"


def test_a_wait_between_two_failures_for_one_cause_hides_neither(kind, a_job, expire):
    job, works = a_job(total=3), ["fail", "wait"] * MOST_TRIES

    def work(run):
        if works.pop(0) == "wait":
            raise NotNow("the organization is at its limit of operations", 60)
        raise ZeroDivisionError("sheep")

    kind[1]["work"] = work
    for waits in [None, True] * (MOST_TRIES - 1):
        runner.run_due_jobs()
        found = find_job(job.id)
        assert (found.state, found.waits) == ("running", waits)
        expire(job)
    runner.run_due_jobs()
    assert (
        find_job(job.id).reason == "It stopped 3 times at the same place: ZeroDivisionError: sheep"
    )


def test_what_gets_further_before_it_waits_has_its_failures_counted_anew(kind, a_job, expire):
    job, works = a_job(total=9), ["fail", "wait"] * MOST_TRIES

    def work(run):
        if works.pop(0) == "wait":
            run.report(run.done + 1, "counting")
            raise NotNow("its share", 60)
        raise ZeroDivisionError("sheep")

    kind[1]["work"] = work
    while works:
        runner.run_due_jobs()
        found = expire(job)
    assert (found.state, found.progress.done) == ("running", 3)


def test_a_job_whose_database_is_away_waits_on_purpose_no_longer(kind, a_job, expire):
    job, errors = a_job(), [NotNow("the organization is in the trash", 60), AutoReconnect("gone")]

    def work(run):
        raise errors.pop(0)

    kind[1]["work"] = work
    for waits in (True, None):
        runner.run_due_jobs()
        assert find_job(job.id).waits is waits
        expire(job)


def test_a_job_that_goes_on_after_its_wait_waits_on_purpose_no_longer(kind, a_job, expire):
    """Else one that hangs then would be taken for one that waits."""
    job, waits_while_it_runs = a_job(), []

    def wait(run):
        raise NotNow("the organization is in the trash", 60)

    def go_on(run):
        wait_until(lambda: not find_job(job.id).waits)
        waits_while_it_runs.append(find_job(job.id).waits)

    for work in (wait, go_on):
        kind[1]["work"] = work
        runner.run_due_jobs()
        expire(job)
    assert waits_while_it_runs == [None]
