"""A kind of job that tests have, beside the portal's."""

import pytest

from portal.app.parts import JOB_KINDS
from portal.jobs import running
from portal.jobs.managing import find_job, start_job
from portal.jobs.running import JobKind
from tests.factories import a_context


@pytest.fixture
def kind(app):
    """A kind that workers run, whose ``work`` a test may set; it is done at once."""
    works = {"work": lambda run: {"counted": 3}}

    def work(run):
        return works["work"](run)

    kind = JobKind("count", goes_on="goes on by itself", work=work)
    running.install((*JOB_KINDS, kind))
    yield kind, works
    running.install(JOB_KINDS)


@pytest.fixture
def a_job(kind):
    """Starts a job of the kind."""

    def start(subject="sheep", **options):
        return start_job(kind[0], subject, f"Counting {subject}", a_context(), **options)

    return start


@pytest.fixture
def expire(master_db):
    """Lets the lease of a job run out, as when its process died."""

    def expire(job):
        expired = [
            {
                "$set": {
                    "due_at": {
                        "$dateSubtract": {"startDate": "$$NOW", "unit": "second", "amount": 1}
                    }
                }
            }
        ]
        master_db.jobs.update_one({"_id": job.id}, expired)
        return find_job(job.id)

    return expire
