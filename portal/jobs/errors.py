"""Errors of jobs, and their words."""

from dataclasses import dataclass
from typing import Any

from portal.errors import Conflict, NotFound


@dataclass
class JobNotFound(NotFound):
    """No job has this id."""

    id: str

    code = "job_not_found"
    message = "There is no job {id}: flask jobs list shows them."


@dataclass
class OrganizationJobNotFound(NotFound):
    """The organization has no job with this id."""

    code = "job_not_found"
    message = "There is no such job in this organization. Jobs that ended are kept for 90 days."


@dataclass
class JobExists(Conflict):
    """A job of this kind about the same is open."""

    job: Any

    code = "job_exists"
    message = "Job {job.id} is about the same, and {job.state}."


@dataclass
class JobEnded(Conflict):
    """The job has ended, and stays as it is."""

    id: str
    state: str

    code = "job_ended"
    message = "Job {id} is {state}, and stays so."


@dataclass
class JobNotPaused(Conflict):
    """The job isn't paused."""

    id: str

    code = "job_not_paused"
    message = "Job {id} is not paused."
