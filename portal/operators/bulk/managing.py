"""Actions on many organizations are planned, started, paused, resumed and cancelled."""

from collections.abc import Callable, Mapping, Sequence

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from portal import clock
from portal.database.background import wake
from portal.database.transactions import transactional
from portal.documents.bulk_actions import BulkAction, BulkItem, BulkOutcome, BulkState
from portal.documents.jobs import Job
from portal.errors import NotFound, PortalError
from portal.jobs import managing as jobs
from portal.jobs.running import LOOP, JobKind
from portal.operators.bulk.carrying_out import BULK, outcomes_of
from portal.operators.bulk.errors import (
    BulkNotEnded,
    BulkNotFound,
    BulkNotPlanned,
    BulkNotStarted,
    ChosenGone,
    CountNotConfirmed,
    InvalidSpeed,
    NoneLeftOver,
    NoneMatches,
    NoOrganizationId,
    NoSuchFilter,
    NothingChosen,
    TooManyChosen,
)
from portal.operators.bulk.freezing import COUNTING, COUNTING_RETRY, freeze
from portal.operators.bulk.kinds import kind_named, parse_arguments
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.organizations.notes import LONGEST
from portal.web.context import RequestContext
from portal.web.counting import counted
from portal.web.errors import DuplicateRequest
from portal.web.idempotency import claim_key, find_record

PER_MINUTE, MOST_PER_MINUTE = 120, 6000
MOST_CHOSEN = 1000
MOST_BYTES = 32 * MOST_CHOSEN + 12 * LONGEST + 8 * 1024
"""The size of a request with all these ids, and the longest note of escaped letters."""

PLANNED, STARTED, CHANGED = "bulk_planned", "bulk_started", "bulk_changed"


def plan_these(
    action: str,
    arguments: Mapping[str, str],
    ids: Sequence[str],
    context: RequestContext,
    per_minute: int = PER_MINUTE,
) -> BulkAction:
    """Plan an action on the organizations with these ids, which are frozen at once. Nothing else
    happens. Raises InvalidSelection where there are none, too many, or one that isn't there;
    InvalidBulkArgument, DuplicateRequest."""
    chosen = list(dict.fromkeys(ids))
    if not chosen:
        raise NothingChosen
    if len(chosen) > MOST_CHOSEN:
        raise TooManyChosen(MOST_CHOSEN)
    if not all(map(ObjectId.is_valid, chosen)):
        raise NoOrganizationId
    words = f"these {counted(len(chosen), 'organization')}"
    bulk = _new(action, arguments, words, context, per_minute)
    values = freeze(bulk, [ObjectId(one) for one in chosen])
    for name, value in values.items():
        bulk[name] = value
    try:
        if bulk.total < len(chosen):
            raise ChosenGone(counted(len(chosen) - bulk.total, "organization"))
        return _write(bulk, context)
    except PortalError:
        BulkItem.objects(bulk=bulk.id).delete()
        raise


def plan_all(
    action: str,
    arguments: Mapping[str, str],
    args: Mapping[str, str],
    context: RequestContext,
    per_minute: int = PER_MINUTE,
) -> BulkAction:
    """Plan an action on all organizations that match a filter, as ``OrganizationFilter`` has it;
    without any on every one. A job freezes and counts them. Nothing else happens. Raises
    InvalidSelection where a part of the filter isn't one; InvalidBulkArgument, DuplicateRequest."""
    wanted = OrganizationFilter.from_args(args)
    if beyond := sorted(set(args.items()) - set(wanted.to_args().items())):
        raise NoSuchFilter(*beyond[0])
    bulk = _new(action, arguments, f"all that match: {wanted.in_words}", context, per_minute)
    bulk.filter = wanted.to_args()
    return _count_by_job(bulk, COUNTING, context)


def plan_again(bulk_id: str | ObjectId, context: RequestContext) -> BulkAction:
    """Plan the same action anew on those alone that one that has ended left over, as they are now:
    a job freezes and counts them. Nothing else happens. Raises BulkNotFound, BulkNotEnded,
    InvalidSelection where all were done; InvalidBulkArgument, DuplicateRequest."""
    former = find_bulk(bulk_id)
    if former.state != BulkState.STARTED or Job.objects(id=former.job, open=True).first():
        raise BulkNotEnded
    outcomes = outcomes_of(former)
    if outcomes[BulkOutcome.DONE] == former.total:
        raise NoneLeftOver
    title = f"{kind_named(former.action).words}: {counted(former.total, 'organization')}"
    left = "not done" if outcomes[BulkOutcome.WAITING] else "refused"
    words = f"those of “{title}” that were {left}"
    bulk = _new(former.action, former.arguments, words, context, former.per_minute)
    bulk.retries = former.id
    return _count_by_job(bulk, COUNTING_RETRY, context)


def find_bulk(bulk_id: str | ObjectId) -> BulkAction:
    """The action with this id. Raises BulkNotFound."""
    found = BulkAction.objects(id=bulk_id).first() if ObjectId.is_valid(bulk_id) else None
    if found is None:
        raise BulkNotFound
    return found


def start_bulk(bulk_id: str | ObjectId, count: int | None, context: RequestContext) -> BulkAction:
    """Start an action as it was planned, on ``count`` organizations: that is how many were seen.
    Started again, or where an equal one runs, the one that runs is returned.

    Raises BulkNotFound, BulkNotPlanned, CountNotConfirmed, DuplicateRequest.
    """
    bulk = find_bulk(bulk_id)
    if bulk.state == BulkState.STARTED:
        if find_record(context.idempotency_key):
            raise DuplicateRequest
        return bulk
    if bulk.state == BulkState.COUNTING:
        raise BulkNotPlanned
    if not bulk.total:
        raise NoneMatches
    if count != bulk.total:
        raise CountNotConfirmed(bulk.total)
    try:
        started = _start(bulk, context)
    except DuplicateKeyError:
        running = jobs.open_job(BULK, str(bulk.digest))
        return find_bulk(running.parameters["bulk"]) if running else find_bulk(bulk.id)
    wake(LOOP)
    return started


def pause_bulk(bulk_id: str, context: RequestContext) -> Job:
    """Have it stop behind the organization in hand. Raises BulkNotFound, BulkNotStarted,
    JobEnded."""
    return _once(jobs.pause_job, bulk_id, context)


def resume_bulk(bulk_id: str, context: RequestContext) -> Job:
    """Have a paused one go on. Raises BulkNotFound, BulkNotStarted, JobEnded, JobNotPaused."""
    return _once(jobs.resume_job, bulk_id, context)


def cancel_bulk(bulk_id: str, context: RequestContext) -> Job:
    """End it for good; what was done stays done. Raises BulkNotFound, BulkNotStarted, JobEnded."""
    return _once(jobs.cancel_job, bulk_id, context)


def _new(
    action: str,
    arguments: Mapping[str, str],
    words: str,
    context: RequestContext,
    per_minute: int,
) -> BulkAction:
    kind = kind_named(action)
    if not 0 < per_minute <= MOST_PER_MINUTE:
        raise InvalidSpeed("per_minute", MOST_PER_MINUTE)
    return BulkAction(
        id=ObjectId(),
        action=action,
        arguments=parse_arguments(kind, arguments),
        words=words,
        per_minute=per_minute,
        origin=context.origin,
        created_at=clock.now(),
    )


def _count_by_job(bulk: BulkAction, counting: JobKind, context: RequestContext) -> BulkAction:
    written = _write(bulk, context, counting)
    wake(LOOP)
    return written


@transactional
def _write(
    bulk: BulkAction, context: RequestContext, counting: JobKind | None = None
) -> BulkAction:
    claim_key(context, bulk.id, PLANNED, bulk.id)
    if counting:
        title = f"Counting organizations to {kind_named(bulk.action).words.lower()}"
        parameters = {"bulk": bulk.id}
        job = jobs.start_job_with(counting, str(bulk.id), title, context, parameters=parameters)
        bulk.counting = job.id
    return bulk.insert()


@transactional
def _start(bulk: BulkAction, context: RequestContext) -> BulkAction:
    claim_key(context, bulk.id, STARTED, bulk.id)
    title = f"{kind_named(bulk.action).words}: {counted(bulk.total, 'organization')}"
    job = jobs.start_job_with(
        BULK,
        str(bulk.digest),
        title,
        context,
        total=bulk.total,
        parameters={"bulk": bulk.id},
    )
    started = BulkAction.objects(id=bulk.id, state=BulkState.PLANNED).modify(
        new=True, set__state=BulkState.STARTED, set__job=job.id, set__origin=context.origin
    )
    if started is None:
        raise NotFound(str(bulk.id))
    return started


def _once(
    change: Callable[[str, RequestContext], Job], bulk_id: str, context: RequestContext
) -> Job:
    """Change the job, which may be done again, and claim the request's idempotency key."""
    bulk = find_bulk(bulk_id)
    if bulk.job is None:
        raise BulkNotStarted
    job = change(str(bulk.job), context)
    transactional(claim_key)(context, bulk.id, CHANGED, bulk.id)
    return job
