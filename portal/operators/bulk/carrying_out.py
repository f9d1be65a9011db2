"""The job that carries an action out on many organizations, one by one, so many a minute."""

import hashlib
import math
import time
from typing import Any

import structlog
from bson import ObjectId

from portal import clock
from portal.database.errors import ClusterLost, ClusterUnavailable
from portal.documents.accounts import Account
from portal.documents.api_keys import OperatorKey
from portal.documents.bulk_actions import BulkAction, BulkItem, BulkOutcome
from portal.documents.jobs import Job
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.jobs.running import JobFailed, JobKind, NotNow, Run
from portal.operators.bulk.kinds import BulkKind, kind_named
from portal.permissions import OPERATOR_ROLES
from portal.web.context import AuditActor, IdempotencyKey, RequestContext
from portal.web.idempotency import find_record

log = structlog.get_logger()

SLICE_SECONDS = 10
"""The time after which other jobs have their turn, whatever is left of the share."""

AWAY_SECONDS = 60
"""The time after which organizations are tried again whose clusters don't answer."""


def _work(run: Run) -> dict[str, Any]:
    bulk = BulkAction.objects.get(id=run.job.parameters["bulk"])
    kind, begun = kind_named(bulk.action), time.monotonic()
    share = max(1, bulk.per_minute * SLICE_SECONDS // 60)
    waiting = BulkItem.objects(bulk=bulk.id, outcome=BulkOutcome.WAITING)
    # One more, which tells that there is a rest.
    items = list(waiting.order_by("tries", "number").limit(share + 1))
    before = done = bulk.total - _number_waiting(bulk)
    away, number = None, 0
    for item in items[:share]:
        if number and time.monotonic() - begun >= SLICE_SECONDS:
            break
        run.check()
        _check_author(bulk)
        if waits_for := kind.waits_for():
            raise NotNow(waits_for, SLICE_SECONDS)
        if reason := _carry_out(bulk, kind, item, run.job):
            away = reason
        else:
            done += 1
        number += 1
        run.report(done, "organizations", item.slug)
    if away and done == before and items[-1].tries:
        raise NotNow(f"those left over wait for their clusters: {away}", AWAY_SECONDS)
    if away or number < len(items):
        # Below six a minute one alone takes longer than a turn.
        left = max(SLICE_SECONDS, 60 / bulk.per_minute) - (time.monotonic() - begun)
        raise NotNow(f"its share, {bulk.per_minute:,} a minute", max(1, math.ceil(left)))
    return outcomes_of(bulk)


BULK = JobKind("bulk", goes_on="goes on by itself", work=_work)
"""The kind of jobs that carry an action out on many organizations."""

KINDS = (BULK,)


def outcomes_of(bulk: BulkAction) -> dict[str, int]:
    """The number of organizations by what became of them."""
    waiting = _number_waiting(bulk)
    failed = BulkItem.objects(bulk=bulk.id, outcome=BulkOutcome.FAILED).count()
    return {
        BulkOutcome.WAITING: waiting,
        BulkOutcome.DONE: bulk.total - waiting - failed,
        BulkOutcome.FAILED: failed,
    }


def _number_waiting(bulk: BulkAction) -> int:
    """They are done in their order, but for those whose cluster didn't answer: so the first one
    that was not tried tells how many wait behind it, and a million are not counted for a page."""
    waiting = BulkItem.objects(bulk=bulk.id, outcome=BulkOutcome.WAITING)
    first = waiting.filter(tries=None).order_by("number").only("number").first()
    return (bulk.total - first.number if first else 0) + waiting.filter(tries__gt=0).count()


def _check_author(bulk: BulkAction) -> None:
    """Raises JobFailed where whoever started it may no longer act; a command always may."""
    author = bulk.origin.actor
    if author is None:
        return
    open_ones = Account.objects(id=author, closed_at=None, blocked_at=None)
    account = open_ones.only("operator_role").first()
    role = account.operator_role if account else _role_of_key(author)
    if "console.act" not in OPERATOR_ROLES.get(role or "", frozenset()):
        reason = "Whoever started it may no longer act as an operator: plan the rest again."
        raise JobFailed(reason, outcomes_of(bulk))


def _role_of_key(key_id: ObjectId) -> str | None:
    key = OperatorKey.objects(id=key_id, revoked_at=None).first()
    valid = key and (key.expires_at is None or key.expires_at > clock.now())
    return key.role if valid else None


def _carry_out(bulk: BulkAction, kind: BulkKind, item: BulkItem, job: Job) -> str | None:
    """Do it to one, whatever happens with the others; why it has to wait, where its cluster doesn't
    answer. What a killed attempt has done already is found by its idempotency key."""
    outcome, reason, context = BulkOutcome.DONE, None, _context(bulk, item, job)
    try:
        organization = Organization.objects(id=item.organization).first()
        if organization is None:
            outcome, reason = BulkOutcome.FAILED, "It is gone."
        else:
            reason = kind.act(organization, bulk, item, context)
    except PortalError as error:
        # What was done before may be why it is refused now.
        if find_record(context.idempotency_key) is None:
            log.info("bulk.refused", organization=str(item.organization), code=error.code)
            if isinstance(error, ClusterUnavailable) and not isinstance(error, ClusterLost):
                BulkItem.objects(id=item.id).update_one(inc__tries=1, set__reason=error.words)
                return f"{error.cluster}, {error.reason}"
            outcome, reason = BulkOutcome.FAILED, error.words
    BulkItem.objects(id=item.id).update_one(
        set__outcome=outcome, set__reason=reason, set__at=clock.now()
    )
    return None


def _context(bulk: BulkAction, item: BulkItem, job: Job) -> RequestContext:
    origin = bulk.origin
    key = hashlib.sha256(bulk.id.binary + item.organization.binary).hexdigest()
    return RequestContext(
        AuditActor(kind=origin.actor_kind, id=origin.actor, name=origin.actor_name),
        ip_address=origin.address,
        request_id=f"{bulk.id}-{job.attempt}",
        idempotency_key=IdempotencyKey(key, (str(bulk.id),)),
    )
