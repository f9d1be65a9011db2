"""The end of support grants: recorded when their time is over, and their MongoDB users dropped.

One thread per worker. All of it is idempotent, so it needs no lease. Before a process answers its
first request it does what became due while no portal ran.
"""

from datetime import datetime, timedelta

import structlog
from bson import ObjectId
from mongoengine import QuerySet
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import clock
from portal.audit.trail import record
from portal.database import users
from portal.database.background import start_loop
from portal.database.clusters import client_of, is_lost
from portal.database.leases import summary
from portal.database.transactions import transactional, within_transaction
from portal.documents.organizations import Organization
from portal.documents.support import GrantState, GrantUser, SupportGrant
from portal.errors import Unavailable
from portal.organizations.support import clients
from portal.web.context import RequestContext

log = structlog.get_logger()

ABANDONED_AFTER = timedelta(minutes=5)
"""The time after which the process that makes a user has died."""

_LOOP = "support"
_PAUSE_SECONDS = 10
_RETRY = timedelta(minutes=1)
_MAX_AT_ONCE = 1000


def start() -> None:
    """Start the thread of this worker; call it after the fork."""
    start_loop(_LOOP, run_once, pause_seconds=_PAUSE_SECONDS)


def run_once() -> None:
    """Do everything that is due, once, and close the connections by users that are over. Raises
    PyMongoError."""
    tend_due()
    clients.close_unused()


def tend_due() -> None:
    """Do everything that is due, once. Raises PyMongoError where that can't be read."""
    due = SupportGrant.objects(due_at__lte=clock.now()).order_by("due_at").only("id")
    for grant in due.limit(_MAX_AT_ONCE):
        tend(grant.id)


def tend(grant_id: ObjectId) -> bool:
    """End the grant if its time is over, and drop its users that ended. False where that failed: it
    is tried again later, and the record says why."""
    try:
        ended = _end_due(grant_id)
        for user in ended:
            drop(user)
        if over := [user.name for user in ended if not _may_be_made(user)]:
            forget(grant_id, over)
        return True
    except (PyMongoError, MongoEngineException, Unavailable) as error:
        log.warning("support.not_tended", grant=str(grant_id), error=str(error))
        _postpone(grant_id, error)
        return False


def in_force(organization_id: ObjectId, now: datetime) -> QuerySet:
    """The organization's grants by which operators may act now."""
    return SupportGrant.objects(
        organization=organization_id, state=GrantState.GRANTED, ends_at__gt=now
    )


@within_transaction
def finish(grant: SupportGrant, state: GrantState) -> None:
    """Write the grant's final ``state``, and have its users dropped as soon as possible."""
    now = clock.now()
    grant.state, grant.ended_at = state, now
    for user in grant.users:
        user.ended_at = user.ended_at or now
    grant.due_at = next_due(grant)
    grant.save()


@within_transaction
def note_end(organization: Organization) -> None:
    """Write until when operators see the organization, now that one grant has ended."""
    last = in_force(organization.id, clock.now()).order_by("-ends_at").first()
    until = {"set__support_until": last.ends_at} if last else {"unset__support_until": True}
    Organization.objects(id=organization.id).update_one(**until)


def next_due(grant: SupportGrant) -> datetime | None:
    """The time of the next work on the grant and its users, if there is any."""
    times = [
        user.created_at + ABANDONED_AFTER if _may_be_made(user) else user.ended_at
        for user in grant.users
    ]
    if grant.state == GrantState.GRANTED:
        times.append(grant.ends_at)
    return min((time for time in times if time), default=None)


@transactional
def _end_due(grant_id: ObjectId) -> list[GrantUser]:
    """The users that are to be dropped."""
    grant = SupportGrant.objects(id=grant_id).first()
    if grant is None:
        return []
    now = clock.now()
    if grant.state == GrantState.GRANTED and not grant.is_in_force(now):
        organization = Organization.objects.get(id=grant.organization)
        finish(grant, GrantState.EXPIRED)
        note_end(organization)
        record(organization, "support.expired", RequestContext().origin, target=grant.id)
    abandoned = [
        user
        for user in grant.users
        if not (user.ready_at or user.ended_at) and user.created_at <= now - ABANDONED_AFTER
    ]
    for user in abandoned:
        user.ended_at = now
    if abandoned:
        grant.save()
    return [user for user in grant.users if user.ended_at]


def _may_be_made(user: GrantUser) -> bool:
    """Tell whether another process may be making the user just now: then it is dropped, and once
    more when that process has given up or died."""
    return not user.ready_at and user.created_at > clock.now() - ABANDONED_AFTER


def drop(user: GrantUser) -> None:
    """Drop a user, where its cluster wasn't given up. Raises PyMongoError, ClusterUnavailable."""
    if not is_lost(user.cluster):
        users.drop_user(client_of(user.cluster)[user.database], user.name)


@transactional
def forget(grant_id: ObjectId, names: list[str]) -> None:
    """Remove users that were dropped from the record."""
    grant = SupportGrant.objects(id=grant_id).first()
    if grant is None:
        return
    kept = [user for user in grant.users if user.name not in names]
    gone = len(grant.users) - len(kept)
    grant.users, grant.last_error = kept, None
    grant.due_at = next_due(grant)
    grant.save()
    Organization.objects(id=grant.organization).update_one(dec__support_users=gone)


def _postpone(grant_id: ObjectId, error: Exception) -> None:
    try:
        SupportGrant.objects(id=grant_id).update_one(
            set__due_at=clock.now() + _RETRY, set__last_error=summary(error)
        )
    except (PyMongoError, MongoEngineException) as again:  # still due, then
        log.warning("support.not_postponed", grant=str(grant_id), error=str(again))
