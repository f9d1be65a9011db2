"""The background work on credentials' users: it drops those of an abandoned creation, of an overlap
whose day has come, and of a revocation that MongoDB didn't answer.

One thread per worker. All of it is idempotent, so it needs no lease.
"""

from datetime import datetime, timedelta

import structlog
from bson import ObjectId
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import clock
from portal.audit.trail import record
from portal.database import users
from portal.database.background import start_loop
from portal.database.clusters import database_of
from portal.database.errors import ClusterLost
from portal.database.leases import summary
from portal.database.transactions import transactional
from portal.documents.credentials import Credential, CredentialUser
from portal.documents.organizations import Organization
from portal.errors import Unavailable
from portal.organizations.credentials import hosts, usage
from portal.organizations.lifecycle.privileges import drop_elsewhere
from portal.web.context import RequestContext

log = structlog.get_logger()

ABANDONED_AFTER = timedelta(minutes=5)
"""The time after which the process that makes a user has died."""

_LOOP = "credentials"
_PAUSE_SECONDS = 20
_RETRY = timedelta(minutes=1)
_MAX_AT_ONCE = 1000


def start() -> None:
    """Start the thread of this worker; call it after the fork."""
    start_loop("credentials_hosts", hosts.try_all_hosts, pause_seconds=600)
    start_loop(_LOOP, run_once, pause_seconds=_PAUSE_SECONDS)


def run_once() -> None:
    """Do everything that is due, once, and record who is connected. Raises PyMongoError."""
    due = Credential.objects(due_at__lte=clock.now()).order_by("due_at").only("id")
    for credential in due.limit(_MAX_AT_ONCE):
        tend(credential.id)
    usage.observe()


def tend(credential_id: ObjectId) -> bool:
    """End the credential's users whose time has come, and drop those that ended; its record with
    the last of them. False where that failed: it is tried again later, and the record says why."""
    try:
        ended = _end_due(credential_id)
        if ended:
            _drop(credential_id, ended)
            _forget(credential_id, ended)
        return True
    except (PyMongoError, MongoEngineException, Unavailable) as error:
        log.warning("credential.not_tended", credential=str(credential_id), error=str(error))
        _postpone(credential_id, error)
        return False


def _drop(credential_id: ObjectId, names: list[str]) -> None:
    """Drop the users where they are; those of a lost cluster are gone."""
    credential = Credential.objects(id=credential_id).first()
    organization = credential and Organization.objects(id=credential.organization).first()
    if organization is None:
        return
    for each in credential.elsewhere:
        if each.user.name in names:
            drop_elsewhere(each)
    try:
        home = database_of(organization.placement)
    except ClusterLost:
        return
    for user in credential.users:
        if user.name in names:
            users.drop_user(home, user.name)


@transactional
def _end_due(credential_id: ObjectId) -> list[str]:
    """The names of the users that ended."""
    credential = Credential.objects(id=credential_id).first()
    if credential is None:
        return []
    now = clock.now()
    for user in credential.all_users:
        if user.ended_at is None and _is_over(user, now):
            user.ended_at = now
            if user.ready_at:
                organization = Organization.objects.get(id=credential.organization)
                details = {"name": credential.name, "user": user.name}
                origin = RequestContext().origin
                record(
                    organization,
                    "credential.overlap_ended",
                    origin,
                    target=credential.id,
                    **details,
                )
    credential.save()
    return [user.name for user in credential.all_users if user.ended_at]


def _is_over(user: CredentialUser, now: datetime) -> bool:
    if user.ready_at is None:
        return user.created_at <= now - ABANDONED_AFTER
    return user.ends_at is not None and user.ends_at <= now


@transactional
def _forget(credential_id: ObjectId, names: list[str]) -> None:
    """Remove the users that were dropped from the record, and the record with the last one."""
    credential = Credential.objects(id=credential_id).first()
    if credential is None:
        return
    credential.users = [user for user in credential.users if user.name not in names]
    credential.elsewhere = [one for one in credential.elsewhere if one.user.name not in names]
    if credential.all_users:
        credential.due_at = next_due(credential)
        credential.last_error = None
        credential.save()
        return
    credential.delete()
    Organization.objects(id=credential.organization).update_one(dec__credentials=1)


def next_due(credential: Credential) -> datetime | None:
    """The time of the next work on the credential's users, if there is any."""
    times = [
        user.ended_at or (user.ends_at if user.ready_at else user.created_at + ABANDONED_AFTER)
        for user in credential.all_users
    ]
    return min((time for time in times if time), default=None)


def _postpone(credential_id: ObjectId, error: Exception) -> None:
    try:
        Credential.objects(id=credential_id).update_one(
            set__due_at=clock.now() + _RETRY, set__last_error=summary(error)
        )
    except (PyMongoError, MongoEngineException) as again:  # still due, then
        log.warning("credential.not_postponed", credential=str(credential_id), error=str(again))
