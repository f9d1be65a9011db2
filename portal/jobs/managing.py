"""Jobs are started, paused, resumed and cancelled, by whichever process; who works on one notices
within seconds."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from portal import clock
from portal.database.background import wake
from portal.database.transactions import transactional, within_transaction
from portal.documents.installation import INSTALLATION
from portal.documents.jobs import Job, JobItem, JobState, Progress
from portal.jobs.errors import (
    JobEnded,
    JobExists,
    JobNotFound,
    JobNotPaused,
    OrganizationJobNotFound,
)
from portal.jobs.running import LOOP, JobKind, record_event
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

JOB_CHANGED = "job_changed"
_OPEN = (JobState.RUNNING, JobState.PAUSED)
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


def start_job(
    kind: JobKind,
    subject: str,
    title: str,
    context: RequestContext,
    *,
    organization: ObjectId | None = None,
    total: int = 0,
    parameters: dict[str, Any] | None = None,
) -> Job:
    """Start a job about ``subject``, in the audit trail as ``title``: that of the ``organization``
    if the job is one of its members', which then ends with it. Raises JobExists where one is open.
    """
    job = _job(kind, subject, title, context, organization, total, parameters)
    try:
        started = transactional(_insert)(job)
    except DuplicateKeyError as error:
        raise JobExists(open_job(kind, subject)) from error
    wake(LOOP)
    return started


@within_transaction
def start_job_with(
    kind: JobKind,
    subject: str,
    title: str,
    context: RequestContext,
    *,
    organization: ObjectId | None = None,
    total: int = 0,
    parameters: dict[str, Any] | None = None,
) -> Job:
    """Start a job in the caller's transaction, with what else that changes. Otherwise like
    ``start_job``, but for DuplicateKeyError where one is open, which ends the transaction. Workers
    find it within seconds; after the transaction ``wake(LOOP)`` has it begin at once."""
    return _insert(_job(kind, subject, title, context, organization, total, parameters))


def _job(
    kind: JobKind,
    subject: str,
    title: str,
    context: RequestContext,
    organization: ObjectId | None,
    total: int,
    parameters: dict[str, Any] | None,
) -> Job:
    return Job(
        kind=kind.name,
        subject=subject,
        title=title,
        organization=organization,
        open=True,
        parameters=parameters or {},
        origin=context.origin,
        created_at=clock.now(),
        due_at=_AT_ONCE,
        progress=Progress(total=total),
    )


@within_transaction
def _insert(job: Job) -> Job:
    # Of items as well, which stay when jobs are deleted.
    highest = (
        of.objects(kind=job.kind, subject=job.subject)
        .order_by("-attempt")
        .scalar("attempt")
        .first()
        for of in (Job, JobItem)
    )
    job.attempts_before = job.attempt = max((attempt or 0) for attempt in highest)
    job.id = Job._get_collection().insert_one(job.to_mongo().to_dict()).inserted_id
    record_event(job, "job.started", job.origin)
    return job


def open_job(kind: JobKind, subject: str) -> Job | None:
    """The job about ``subject`` that is running or paused, if there is one."""
    return Job.objects(kind=kind.name, subject=subject, open=True).first()


def latest_job(kind: JobKind, subject: str) -> Job | None:
    """The last job about ``subject``, running or ended."""
    return Job.objects(kind=kind.name, subject=subject).order_by("-attempt", "-id").first()


def find_job(job_id: str | ObjectId) -> Job:
    """The job with this id. Raises JobNotFound."""
    found = Job.objects(id=job_id).first() if ObjectId.is_valid(job_id) else None
    if found is None:
        raise JobNotFound(str(job_id))
    return found


def find_job_of(organization: ObjectId, job_id: str | ObjectId) -> Job:
    """The job of this organization with this id. Raises OrganizationJobNotFound."""
    ids = {"id": job_id, "organization": organization}
    found = Job.objects(**ids).first() if ObjectId.is_valid(job_id) else None
    if found is None:
        raise OrganizationJobNotFound
    return found


def jobs_of(
    organization: ObjectId, kinds: tuple[JobKind, ...], most: int, before: ObjectId | None = None
) -> list[Job]:
    """The jobs of this organization of these kinds, newest first, starting behind ``before``."""
    query: dict[str, Any] = {"organization": organization}
    query["kind__in"] = [kind.name for kind in kinds]
    if before:
        query["id__lt"] = before
    return list(Job.objects(**query).order_by("-id").limit(most))


def latest_jobs(most: int) -> Iterable[Job]:
    """The jobs, newest first."""
    return Job.objects.order_by("-id").limit(most)


def pause_job(job_id: str, context: RequestContext, *, claims: bool = False) -> Job:
    """Have whoever works on the job stop behind what is in hand. With ``claims`` the change claims
    the request's idempotency key; else its caller does. Raises JobNotFound, JobEnded,
    DuplicateRequest."""
    no_more = {"$unset": {"due_at": ""}}
    return _change(job_id, _OPEN, JobState.PAUSED, no_more, context, claims=claims)


def resume_job(job_id: str, context: RequestContext, *, claims: bool = False) -> Job:
    """Have a paused job go on. Raises JobNotPaused, and as ``pause_job``."""
    forgotten = dict.fromkeys(("tries", "cause", "last_error", "waits"), "")
    due = {"$set": {"due_at": _AT_ONCE}, "$unset": forgotten}
    paused = (JobState.PAUSED,)
    resumed = _change(job_id, paused, JobState.RUNNING, due, context, claims=claims)
    wake(LOOP)
    return resumed


def cancel_job(job_id: str, context: RequestContext, *, claims: bool = False) -> Job:
    """End the job for good, behind what is in hand. What was done stays done. Raises as
    ``pause_job``."""
    ended = {"$set": {"ended_at": clock.now()}, "$unset": {"due_at": "", "open": ""}}
    return _change(job_id, _OPEN, JobState.CANCELLED, ended, context, claims=claims)


@transactional
def _change(
    job_id: str,
    states: tuple[JobState, ...],
    state: JobState,
    change: dict[str, Any],
    context: RequestContext,
    *,
    claims: bool,
) -> Job:
    job = find_job(job_id)
    if claims:
        claim_key(context, job.organization or INSTALLATION, JOB_CHANGED, job.id)
    changed = Job._get_collection().find_one_and_update(
        {"_id": job.id, "state": {"$in": list(states)}},
        {**change, "$set": {"state": state, **change.get("$set", {})}},
        return_document=ReturnDocument.AFTER,
    )
    if changed is None:
        raise JobNotPaused(job_id) if job.state in _OPEN else JobEnded(job_id, job.state)
    if job.state != state:
        action = "job.resumed" if state == JobState.RUNNING else f"job.{state}"
        record_event(job, action, context.origin)
    return Job._from_son(changed)
