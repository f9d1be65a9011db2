"""Drops applications' MongoDB users, on each cluster where one may be.

A cluster is recorded before a user is made there, and forgotten after it was dropped there. So what
can't be dropped, for lack of an administrator or since the cluster doesn't answer, stays recorded.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from mongoengine import QuerySet
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.applications import rights
from portal.database import users
from portal.database.clusters import known_clusters
from portal.documents.applications import Application
from portal.documents.organizations import MAIN_CLUSTER

log = structlog.get_logger()

HOME = "admin"
"""The database in which applications' users and roles are."""

_USER_NOT_FOUND = 11
_UNAUTHORIZED = 13
_ENDING_SECONDS, _POLL_SECONDS = 2, 0.02

Administrators = Mapping[str, MongoClient]
"""The clients of MongoDB's administrators, by cluster."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The clusters on which users were dropped, those where they were ``by_hand``, as the caller
    says, and those where some may be still, with the ``script`` by which an administrator drops
    them there."""

    gone: tuple[str, ...]
    by_hand: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    script: str | None = None


def drop_recorded(
    application: Application, names: list[str], administrators: Administrators, *, by_hand: bool
) -> Dropped:
    """Drop these users of the application on each cluster with an administrator; ``by_hand`` says
    that administrators have dropped them on the others. Raises PyMongoError."""
    known = {user: homes_of(application, user) for user in names}
    before = {cluster for homes in known.values() for cluster in homes}
    for user, homes in known.items():
        _write_homes(application, user, homes)
    for cluster, administrator in administrators.items():
        for user in names:
            drop_user(administrator, user)
            _forget_home(application, user, cluster)
    gone, rest = before & administrators.keys(), _in_order(before - administrators.keys())
    if by_hand or not rest:
        return Dropped(_in_order(gone), by_hand=rest)
    return Dropped(_in_order(gone), left=rest, script=rights.removal_script(names))


def drop_user(administrator: MongoClient, user: str, database: str = HOME) -> None:
    """Take the user's rights, let what runs come to its end, end its open transactions, which else
    keep their locks until they expire and make a rename wait, and drop it."""
    users.set_privileges(administrator[database], user, [])
    try:
        _wait_for_operations(administrator, user)
        administrator.admin.command("killAllSessions", [{"user": user, "db": database}])
    except OperationFailure as error:
        if error.code == _UNAUTHORIZED:
            note = (
                "its transactions end when they expire: the administrator lacks killAnySession or "
                "inprog"
            )
            log.warning("application.sessions_left", user=user, note=note)
        elif error.code != _USER_NOT_FOUND:
            raise
    users.drop_user(administrator[database], user)


def _wait_for_operations(administrator: MongoClient, user: str) -> None:
    """Return once nothing runs of a user who may begin nothing more, or after _ENDING_SECONDS."""
    deadline = time.monotonic() + _ENDING_SECONDS
    running = {"active": True, "effectiveUsers.user": user}
    stages: list[dict[str, Any]] = [
        {"$currentOp": {"allUsers": True}},
        {"$match": running},
        {"$limit": 1},
    ]
    while next(administrator.admin.aggregate(stages), None) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def homes_of(application: Application, user: str) -> tuple[str, ...]:
    """The clusters on which a user of the application may be, but those that were given up."""
    former = user != application.user
    recorded = application.former_homes if former else application.homes
    if recorded is not None:
        return _in_order(recorded)
    # By an earlier version, which forgot with a rotation where the user before was made.
    if former:
        return _in_order(known.name for known in known_clusters())
    return _in_order((MAIN_CLUSTER, *(application.clusters or ())))


def note_home(application: Application, cluster: str) -> None:
    """Record that the application's current user may be on the cluster from now on."""
    _write_homes(application, application.user, (*homes_of(application, application.user), cluster))


def _write_homes(application: Application, user: str, clusters: tuple[str, ...]) -> None:
    own, field = _own(application, user)
    own.update_one(__raw__={"$addToSet": {field: {"$each": list(clusters)}}})


def _forget_home(application: Application, user: str, cluster: str) -> None:
    own, field = _own(application, user)
    own.update_one(__raw__={"$pull": {field: cluster}})


def _own(application: Application, user: str) -> tuple[QuerySet, str]:
    """The application while this is a user of its, and the field of that user's clusters."""
    if user == application.user:
        return Application.objects(name=application.name, user=user), "homes"
    return Application.objects(name=application.name, former_user=user), "former_homes"


def _in_order(clusters: Iterable[str]) -> tuple[str, ...]:
    """The clusters among these that are registered and weren't given up, the first one first."""
    wanted = {*clusters}
    known = (each.name for each in known_clusters() if each.lost_at is None)
    return tuple(name for name in known if name in wanted)
