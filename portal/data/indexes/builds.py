"""Builds of indexes: jobs of the organization, BUILD_SECONDS at most.

The process that is asked begins the build at once, if it builds no other; else, and where it dies,
any worker's runner does. Asked for the same index again, the server joins the build that it has.
A failed build stays in the list, with its cause, until it is forgotten or built again.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import bson
import pymongo
import structlog
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from portal import clock
from portal.audit.trail import record
from portal.data import extended_json, queries
from portal.data.access import document_access
from portal.data.document_ids import address_of
from portal.data.errors import IndexNameTaken, IndexNotFound, TooManyIndexes
from portal.data.handles import documents_of
from portal.data.indexes.listing import (
    BUILDING,
    CREATED,
    DROPPED,
    FAILED,
    MOST_INDEXES,
    READY,
    IndexSpec,
    ListedIndex,
    check_spec,
    drop_if_there,
    drop_ready,
    ready_indexes,
)
from portal.data.indexes.pace import Pace, Progress
from portal.data.server_errors import is_transient
from portal.database.clusters import client_of
from portal.database.errors import ClusterLost, ClusterUnavailable
from portal.database.leases import Interrupted
from portal.database.transactions import transactional
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.jobs import managing, running
from portal.jobs.running import JobFailed, JobKind, NotNow, Run
from portal.organizations.access.errors import (
    OrganizationHidden,
    OrganizationMoving,
    OrganizationSuspended,
)
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.storage import tenant_of
from portal.tenants.elements import id_of
from portal.tenants.runtime import remaining
from portal.web import rate_limits
from portal.web.context import RequestContext

BUILD_SECONDS = 600
AWAITED_SECONDS = 2.5
_LOOK_SECONDS = 1.0
_SPARE_SECONDS = 1.0
"""The time that a request needs after it waited."""
_FINDING_SECONDS = 60
_SUSPENDED_SECONDS = 60
_AWAY_SECONDS = 10
_DUPLICATE_KEY = 11000
_MOST_JOBS = 100
# A part of what the server says of a build while it reads the collection.
_READING = "scanning collection"
_builds = threading.BoundedSemaphore(1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LastBuild:
    """A build that is done, how long it took, waiting included, and when it ended."""

    name: str
    took: timedelta
    at: datetime


def list_indexes(organization: Organization) -> list[ListedIndex]:
    """The indexes there are, and the builds that run or failed."""
    existing = ready_indexes(organization)
    seen = {index.name for index in existing}
    pending = []
    for job in managing.jobs_of(organization.id, KINDS, _MOST_JOBS):
        name = job.parameters["name"]
        if name in seen:
            continue
        seen.add(name)  # what came before the last build of this name is over
        if job.state in (JobState.RUNNING, JobState.PAUSED, JobState.FAILED):
            pending.append(_pending(job))
    return existing + pending[::-1]


def last_build(organization: Organization) -> LastBuild | None:
    """The last build that came to its end, by which the next one can be guessed."""
    for job in managing.jobs_of(organization.id, KINDS, _MOST_JOBS):
        if job.state == JobState.DONE:
            return LastBuild(job.parameters["name"], job.ended_at - job.created_at, job.ended_at)
    return None


def is_built(organization: Organization, spec: IndexSpec) -> bool:
    """Tell whether this very index is there already."""
    found = ready_indexes(organization)
    return any(each.name == spec.full_name and not is_other(each.spec, spec) for each in found)


def create_index(access: Access, spec: IndexSpec, context: RequestContext) -> ListedIndex:
    """Build the index, or begin to: where it takes longer than AWAITED_SECONDS, its state says so.
    One that exists is ready at once. Raises what ``begin_build`` raises, IndexNotFound."""
    job = begin_build(access, spec, context)
    if job is not None:
        _run_for_a_while(job)
    found = list_indexes(access.organization)
    index = next((index for index in found if index.name == spec.full_name), None)
    if index is None:
        raise IndexNotFound  # somebody stopped or dropped it already
    return index


def begin_build(access: Access, spec: IndexSpec, context: RequestContext) -> Job | None:
    """Have a job build the index, which any worker may run; ``None`` where one does already.
    Recorded in the audit trail, without values.

    Raises InvalidIndex, FieldMasked, NeedsOwnPlacement, TooManyIndexes, TooManyAttempts, NotFound,
    Forbidden.
    """
    check_spec(document_access(access, context), spec)
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    indexes = list_indexes(access.organization)
    same = next((index for index in indexes if index.name == spec.full_name), None)
    if same and same.state == BUILDING:
        return None
    if same and same.state == READY and is_other(same.spec, spec):
        raise IndexNameTaken
    if len(indexes) - bool(same) >= MOST_INDEXES:
        raise TooManyIndexes(MOST_INDEXES)
    try:
        return _start(access, spec, context)
    except DuplicateKeyError:  # another request began the same meanwhile
        return None


def drop_index(access: Access, name: str, context: RequestContext) -> None:
    """Drop the index, stop its build, or forget that it failed. Raises IndexNotFound,
    InvalidIndex for that of ``_id``, NotFound, Forbidden."""
    found = list_indexes(access.organization)
    listed = next((index for index in found if index.name == name), None)
    if listed is None:
        raise IndexNotFound
    if listed.state == READY:
        drop_ready(access, name, context)
    else:
        _end_build(access, listed, context)


def _end_build(access: Access, listed: ListedIndex, context: RequestContext) -> None:
    @transactional
    def record_ended() -> None:
        organization = begin_change(
            access, context, DROPPED, access.organization.id, permission="indexes.manage"
        )
        action = "index.stopped" if listed.state == BUILDING else "index.forgotten"
        record(organization, action, context.origin, name=listed.name)

    record_ended()
    job = managing.find_job_of(access.organization.id, listed.job or "")
    if listed.state == BUILDING:
        managing.cancel_job(str(job.id), context)
        # Ends the build in the server, too; whoever waits for it finds it cancelled.
        drop_if_there(access.organization, listed.name)
    else:
        Job.objects(id=job.id, state=JobState.FAILED).delete()


def is_other(one: IndexSpec, other: IndexSpec) -> bool:
    """Tell whether an index isn't the other one, hidden or not."""
    return list(one.keys.items()) != list(other.keys.items()) or (
        replace(one, hidden=False).options != replace(other, hidden=False).options
    )


@transactional
def _start(access: Access, spec: IndexSpec, context: RequestContext) -> Job:
    organization = begin_change(
        access, context, CREATED, access.organization.id, permission="indexes.manage"
    )
    name, fields = spec.full_name, ", ".join(spec.keys)
    record(organization, "index.created", context.origin, name=name, fields=fields)
    return managing.start_job_with(
        KIND,
        f"{organization.id} {name}",
        f"Build of the index {name}",
        context,
        organization=organization.id,
        total=100,
        parameters={"name": name, "spec": _text_of(spec)},
    )


def _text_of(spec: IndexSpec) -> str:
    """The index as text: names of fields may be none of a stored document's."""
    stored = {"keys": dict(spec.keys), "options": spec.options}
    return extended_json.render(bson.encode(stored, codec_options=queries.CODEC))


def _spec_of(job: Job) -> IndexSpec:
    stored = queries.parse_query(job.parameters["spec"])
    options = stored["options"]
    return IndexSpec(
        keys=stored["keys"],
        unique=options.get("unique", False),
        sparse=options.get("sparse", False),
        partial_filter=options.get("partialFilterExpression"),
        expire_after_seconds=options.get("expireAfterSeconds"),
        name=options["name"],
        default_language=options.get("default_language"),
        hidden=options.get("hidden", False),
    )


def _run_for_a_while(job: Job) -> None:
    """Run the job in a thread of its own and wait a little, unless another one is run so: then it
    is left to a worker's runner."""
    if not _builds.acquire(blocking=False):
        return
    done = threading.Event()

    def run() -> None:
        try:
            leased = running.acquire(job.id)
            if leased:
                running.run(leased)
        except Interrupted:
            log.info("job.interrupted", job=str(job.id), kind=KIND.name)
        except Exception:  # it was put off, and is due again
            log.exception("job.put_off", job=str(job.id), kind=KIND.name)
        finally:
            _builds.release()
            done.set()

    try:
        threading.Thread(target=run, name="index-build", daemon=True).start()
    except BaseException:
        _builds.release()
        raise
    left = remaining()
    done.wait(
        AWAITED_SECONDS if left is None else min(AWAITED_SECONDS, max(left - _SPARE_SECONDS, 0))
    )


def build_index(run: Run) -> dict[str, Any]:
    """Build the index of a job. Raises JobFailed with the cause, without values of documents, and
    the addresses of documents that stand in its way; NotNow, Interrupted."""
    spec, organization = _spec_of(run.job), _organization_of(run.job)
    left = (run.job.created_at + timedelta(seconds=BUILD_SECONDS) - clock.now()).total_seconds()
    if left <= 0:
        raise JobFailed(_TOO_LONG, {})
    try:
        with _watched(run, organization, spec), pymongo.timeout(left):
            tenant_of(organization).create_index(list(spec.keys.items()), **spec.options)
    except OrganizationMoving as moving:
        raise NotNow("the organization is being moved", _AWAY_SECONDS) from moving
    except (OrganizationSuspended, OrganizationHidden) as suspended:
        raise NotNow("the organization is suspended", _SUSPENDED_SECONDS) from suspended
    except ClusterLost as lost:
        raise JobFailed(lost.words, {}) from lost
    except ClusterUnavailable as away:
        raise NotNow("its cluster does not answer", _AWAY_SECONDS) from away
    except PortalError as error:
        raise JobFailed(error.words, {}) from error
    except PyMongoError as error:
        _raise_cause(error, organization, spec)
    _check_still_wanted(run, organization, spec)
    return {}


def _organization_of(job: Job) -> Organization:
    found = Organization.objects(id=job.organization).first()
    if found is None:
        raise JobFailed("The organization is no more.", {})
    return found


def _check_still_wanted(run: Run, organization: Organization, spec: IndexSpec) -> None:
    """Drop the index again if the job was cancelled meanwhile. Raises Interrupted."""
    try:
        run.check()
    except Interrupted:
        current = managing.find_job(run.job.id)
        if current.state == JobState.CANCELLED:
            drop_if_there(organization, spec.full_name)
        raise


def _raise_cause(error: PyMongoError, organization: Organization, spec: IndexSpec) -> None:
    if error.timeout:
        drop_if_there(organization, spec.full_name)
        raise JobFailed(_TOO_LONG, {}) from error
    if not isinstance(error, OperationFailure) or is_transient(error):
        raise error
    if error.code == _DUPLICATE_KEY:
        named = ", ".join((error.details or {}).get("keyPattern") or spec.keys)
        reason = f"Several documents have the same {named}; a missing field counts as null."
        raise JobFailed(reason, {"conflicts": _in_the_way(error, organization, spec)}) from error
    told = _CAUSES.get(error.code or 0)
    name = (error.details or {}).get("codeName") or "code"
    raise JobFailed(told or f"MongoDB refuses it: {name} ({error.code}).", {}) from error


def _in_the_way(error: OperationFailure, organization: Organization, spec: IndexSpec) -> list[str]:
    """The addresses of two documents with the key that MongoDB found twice, if they are found."""
    key = (error.details or {}).get("keyValue") or {}
    parts = [{name: {"$eq": value}} for name, value in key.items()]
    parts += [dict(spec.partial_filter)] if spec.partial_filter else []
    if not parts:
        return []
    try:
        with pymongo.timeout(_FINDING_SECONDS):
            found = documents_of(organization).find({"$and": parts}, {"_id": 1}, limit=2)
            return [address_of(id_of(bytes(each.raw))) for each in found]
    except (PyMongoError, PortalError) as unfound:  # the cause is told all the same
        log.warning("index.conflict_not_found", error=type(unfound).__name__)
        return []


@contextmanager
def _watched(run: Run, organization: Organization, spec: IndexSpec) -> Iterator[None]:
    """Report how far the server is with the build, while it is built."""
    over, pace = threading.Event(), Pace()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            with suppress(PyMongoError, ClusterUnavailable):  # only figures lack
                found = _progress_of(organization, spec)
                if found is not None:
                    pace.see(found, time.monotonic())
                    run.report(found.percent, found.step, pace.words)

    watcher = threading.Thread(target=watch, name="index-build-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _progress_of(organization: Organization, spec: IndexSpec) -> Progress | None:
    """The progress of the build, where the server lets the portal see that."""
    command = {"command.createIndexes": {"$exists": True}, "command.indexes.name": spec.full_name}
    stages: list[dict[str, Any]] = [
        {"$currentOp": {"allUsers": True}},
        {"$match": {**command, "progress.total": {"$gt": 0}}},
    ]
    for running_one in client_of(organization.placement.cluster).admin.aggregate(stages):
        progress = running_one["progress"]
        is_reading = _READING in running_one.get("msg", "")
        return Progress(
            "Reading the documents" if is_reading else "Writing the keys",
            int(progress["done"]),
            int(progress["total"]),
        )
    return None


def _pending(job: Job) -> ListedIndex:
    spec, failed = _spec_of(job), job.state == JobState.FAILED
    return ListedIndex(
        name=spec.full_name,
        keys=dict(spec.keys),
        state=FAILED if failed else BUILDING,
        unique=spec.unique,
        sparse=spec.sparse,
        partial_filter=dict(spec.partial_filter) if spec.partial_filter is not None else None,
        expire_after_seconds=spec.expire_after_seconds,
        default_language=spec.default_language,
        hidden=spec.hidden,
        cause=job.reason if failed else None,
        conflicts=tuple((job.result or {}).get("conflicts", ())),
        percent=None if failed else job.progress.done or None,
        step=None if failed else _step_of(job),
        at=job.ended_at or job.created_at,
        job=str(job.id),
    )


def _step_of(job: Job) -> str | None:
    """The step that the server is at, in words, with how long it will take still."""
    parts = (job.progress.step, job.progress.note)
    return ", ".join(part for part in parts if part) or None


# By MongoDB's codes, whose own words have values of documents.
_CAUSES = {
    67: "MongoDB can’t have such an index: its fields or options don’t go together.",
    85: "There is an index of the same fields with other options, or one of texts, of which a "
    "collection has one: drop that one first.",
    86: "There is an index of this name with other fields: drop that one first.",
    171: "A document has lists in two of the fields, and an index takes one of them.",
    16755: "A document has something else than a place on earth in the field.",
    16766: "A document has a list in the field, and a hashed index takes none.",
}
_TOO_LONG = f"It took longer than {BUILD_SECONDS // 60} minutes."
KIND = JobKind("index_build", goes_on="goes on by itself, in a worker", work=build_index)
KINDS = (KIND,)
