"""Adds applications, gives them other users, and removes them.

Their users and roles are in ``admin``, since only a role there may reach two databases (code 49
otherwise), and the portal's own user may make none there. So each service takes the clients of
administrators by cluster. Without one of the first cluster it returns what one pastes into mongosh;
on the others nothing is done without one.

An application is recorded before its user is made, and forgotten after that is dropped everywhere:
so each step may be interrupted, and called again. What is gone already counts as dropped.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mongoengine import Q
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from portal import clock, settings
from portal.applications import rights
from portal.applications.dropping import (
    HOME,
    Administrators,
    Dropped,
    drop_recorded,
    drop_user,
    homes_of,
    note_home,
)
from portal.applications.errors import (
    ApplicationChanged,
    ApplicationEnding,
    ApplicationExists,
    ApplicationNotFound,
    InvalidApplicationName,
    NoFormerUser,
    RotationUnfinished,
    RotationUnproven,
    UserNotProven,
)
from portal.applications.following import believable_time
from portal.audit.trail import installation, record
from portal.database import directory, users
from portal.database.clusters import client_of, is_available, known_clusters, uri_of
from portal.database.connection import client
from portal.database.portal_role import OWN_COLLECTION, reports_database
from portal.database.transactions import transactional, within_transaction
from portal.database.users import Connection, ConnectionString, Privilege, Proof
from portal.documents.applications import Application, UserState
from portal.documents.organizations import MAIN_CLUSTER
from portal.settings.checks import portable_uri
from portal.tenants.reports import PROCESSES
from portal.web.context import RequestContext

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_REPORTS_SECONDS = 30 * 24 * 3600
_MAX_REPORTED = 100


@dataclass(frozen=True, slots=True)
class MadeUser:
    """A new user's connection string, not to be had again: with the ``proof`` that it works, or
    the ``script`` that makes the user; and those of the users of its name ``elsewhere``, by
    cluster."""

    uri: str
    proof: Proof | None = None
    script: str | None = None
    elsewhere: dict[str, "MadeUser"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reported:
    """The processes of an application that reported one version of the library lately."""

    user: str
    library: str
    processes: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ListedApplication:
    """An application with what its processes reported, and the open connections of its users to the
    members that are up; ``None`` where the portal may not list them."""

    application: Application
    reported: list[Reported]
    connections: list[Connection] | None

    def connections_of(self, user: str | None) -> list[Connection] | None:
        """The open connections of one of its users."""
        if self.connections is None:
            return None
        return [one for one in self.connections if one.user == user]


def add_application(name: str, administrators: Administrators, context: RequestContext) -> MadeUser:
    """Add an application and make its user on each cluster with an administrator; one whose user
    was never made is taken up again.

    Raises InvalidApplicationName, ApplicationExists, ApplicationEnding; PyMongoError where its user
    can't be made or proven, which another call tries again.
    """
    if not _NAME.fullmatch(name):
        raise InvalidApplicationName(name)
    _reports().create_index("at", expireAfterSeconds=_REPORTS_SECONDS)
    return _make_users(*_write_addition(name, context), administrators)


def extend_application(
    name: str, cluster: str, administrator: MongoClient | None, context: RequestContext
) -> MadeUser:
    """Make the application's user on another cluster, or make it anew there: with another password.

    Raises ApplicationNotFound, ApplicationEnding, RotationUnproven, UserNotProven, UnknownCluster,
    ClusterUnavailable, PyMongoError.
    """
    application = find_application(name)
    if application.ending_since:
        raise ApplicationEnding(name)
    if application.user_state == UserState.PENDING:
        raise RotationUnproven(name)
    made = _make_user_on(cluster, application, administrator)
    _write_extension(application, cluster, context)
    return made


def rotate_application(
    name: str, administrators: Administrators, context: RequestContext
) -> MadeUser:
    """Make another user on each cluster with an administrator. The one before works until
    ``finish_rotation``.

    Raises ApplicationNotFound, ApplicationEnding, RotationUnfinished; PyMongoError as
    ``add_application``.
    """
    return _make_users(*_write_rotation(name, context), administrators)


def finish_rotation(
    name: str, administrators: Administrators, context: RequestContext, *, dropped: bool = False
) -> Dropped:
    """Drop the user before the last rotation on each cluster with an administrator; ``dropped``
    says that administrators did it by hand on the others. While it is left on any it stays
    recorded, and another call goes on.

    Raises ApplicationNotFound, NoFormerUser, RotationUnproven, PyMongoError.
    """
    application = find_application(name)
    former = application.former_user
    if former is None:
        raise NoFormerUser(name)
    if application.user_state == UserState.PENDING:
        raise RotationUnproven(name)
    if MAIN_CLUSTER in administrators.keys() & homes_of(application, former):
        home = administrators[MAIN_CLUSTER][HOME]
        if not users.users_in(home, application.user):  # dropped, or not pasted yet
            _write_state(application, UserState.PENDING)  # so that a rotation makes another
            raise RotationUnproven(name)
    _write_finishing(name, former)
    outcome = drop_recorded(application, [former], administrators, by_hand=dropped)
    if not outcome.left:
        _write_finished_rotation(name, former, context)
    return outcome


def remove_application(
    name: str, administrators: Administrators, context: RequestContext, *, dropped: bool = False
) -> Dropped:
    """Drop all of its users on each cluster with an administrator, and forget it once they are left
    on none; ``dropped`` as in ``finish_rotation``. Raises ApplicationNotFound, PyMongoError."""
    application = find_application(name)
    Application.objects(name=name, ending_since=None).update_one(set__ending_since=clock.now())
    outcome = drop_recorded(application, application.users, administrators, by_hand=dropped)
    if not outcome.left:
        _write_removal(name, application.users, context)
    return outcome


def drop_unrecorded_user(
    administrator: MongoClient, database: str, user: str, context: RequestContext
) -> bool:
    """Drop a user that no application has; False where one has it meanwhile."""
    known = Application.objects(Q(user=user) | Q(former_user=user)).first()
    if known is not None and database == HOME:
        return False
    drop_user(administrator, user, database)
    _record_dropped_user(user, context)
    return True


def find_application(name: str) -> Application:
    """The application of this name. Raises ApplicationNotFound."""
    found = Application.objects(name=name).first()
    if found is None:
        raise ApplicationNotFound(name)
    return found


def list_applications() -> list[ListedApplication]:
    """All applications by name, with their open connections and reports."""
    found = list(Application.objects.order_by("name"))
    names = [user for application in found for user in application.users]
    reported, seen = _reported_by(names), _connections_of(names)
    return [
        ListedApplication(
            application,
            [one for one in reported if one.user in application.users],
            None if seen is None else [one for one in seen if one.user in application.users],
        )
        for application in found
    ]


def granted_privileges(cluster: str = MAIN_CLUSTER) -> tuple[Privilege, ...]:
    """The privileges of each application's role on a cluster."""
    active = settings.current()
    if cluster != MAIN_CLUSTER:
        return rights.privileges_on_documents(active.tenant_db)
    return rights.privileges(active.master_db, active.tenant_db)


def user_prefix() -> str:
    """The beginning of the names of this installation's users."""
    active = settings.current()
    return rights.user_prefix(active.master_db, active.tenant_db)


def _connections_of(names: list[str]) -> list[Connection] | None:
    if not names or not users.may_list_connections(client()):
        return None
    found = []
    for cluster in known_clusters():
        if cluster.lost_at is None and is_available(cluster.name):
            uri = portable_uri(uri_of(cluster.name))
            found += users.connections_on_all(uri, HOME, {"$in": names})
    return found


def _reports() -> Collection:
    return client()[reports_database(settings.current().tenant_db)][PROCESSES]


def _reported_by(names: list[str]) -> list[Reported]:
    """By user and version of the library; applications write whatever they like there."""
    rows = _reports().aggregate(
        [
            {"$match": {"user": {"$in": names}, "library": {"$type": "string"}}},
            {"$match": {"at": believable_time()}},
            {
                "$group": {
                    "_id": {"user": "$user", "library": {"$substrCP": ["$library", 0, 20]}},
                    "processes": {"$sum": 1},
                    "last_at": {"$max": "$at"},
                }
            },
            {"$sort": {"last_at": -1}},
            {"$limit": _MAX_REPORTED},
        ]
    )
    return [Reported(**row.pop("_id"), **row) for row in rows]


@transactional
def _write_addition(name: str, context: RequestContext) -> tuple[Application, str | None]:
    """The recorded application, and the user of an attempt before, if there was one."""
    known = Application.objects(name=name).first()
    if known is not None:
        if known.ending_since:
            raise ApplicationEnding(name)
        if known.user_state != UserState.PENDING or known.former_user:
            raise ApplicationExists(name)
        return _write_another_user(known), known.user
    now = clock.now()
    application = Application(
        name=name,
        user=users.random_name(user_prefix()),
        user_state=UserState.PENDING,
        user_since=now,
        homes=[MAIN_CLUSTER],
        created_at=now,
    ).insert()
    record(installation(), "application.added", context.origin, name=name, user=application.user)
    return application, None


@transactional
def _write_rotation(name: str, context: RequestContext) -> tuple[Application, str | None]:
    """The same for another user of it."""
    known = find_application(name)
    if known.ending_since:
        raise ApplicationEnding(name)
    if known.user_state == UserState.PENDING:
        return _write_another_user(known), known.user
    if known.former_user:
        raise RotationUnfinished(name)
    rotated = _write_another_user(known, former=known.user)
    origin = context.origin
    record(
        installation(),
        "application.rotated",
        origin,
        name=name,
        user=rotated.user,
        user_before=known.user,
    )
    return rotated, None


@within_transaction
def _write_another_user(known: Application, former: str | None = None) -> Application:
    """Record a new user. Whoever still makes the one that was pending finds out."""
    homes = {}
    if former:
        homes = {"set__homes": [MAIN_CLUSTER], "set__former_homes": homes_of(known, former)}
    return Application.objects(name=known.name, user=known.user).modify(
        new=True,
        set__user=users.random_name(user_prefix()),
        set__user_state=UserState.PENDING,
        set__user_since=clock.now(),
        set__former_user=former or known.former_user,
        unset__clusters=True,
        **homes,
    )


def _make_users(
    application: Application, abandoned: str | None, administrators: Administrators
) -> MadeUser:
    """The user on the first cluster, then on the others. Where one fails, those before it stay, and
    ``extend_application`` makes the rest."""
    made = _make_user(application, abandoned, administrators.get(MAIN_CLUSTER))
    elsewhere = {}
    for cluster, administrator in administrators.items():
        if cluster == MAIN_CLUSTER:
            continue
        if abandoned:
            users.drop_user(administrator[HOME], abandoned)
        elsewhere[cluster] = _make_user_on(cluster, application, administrator)
        _write_cluster(application, cluster)
    return replace(made, elsewhere=elsewhere)


def _make_user_on(
    cluster: str, application: Application, administrator: MongoClient | None
) -> MadeUser:
    """The application's user on a cluster that isn't the first."""
    user, password = application.user, users.random_password()
    uri = _uri(cluster, user, password, settings.current().tenant_db)
    note_home(application, cluster)
    if administrator is None:
        script = rights.creation_script(user, password, granted_privileges(cluster))
        return MadeUser(uri, script=script)
    users.drop_user(administrator[HOME], user)
    users.create_user(administrator[HOME], user, password, granted_privileges(cluster))
    proof, refusal = _prove(cluster, uri, settings.current().tenant_db, OWN_COLLECTION)
    if proof is None:
        raise UserNotProven(application.name) from refusal
    return MadeUser(uri, proof=proof)


def _uri(cluster: str, user: str, password: str, database: str) -> str:
    return ConnectionString.of(uri_of(cluster)).for_user(
        user,
        password,
        database=database,
        auth_source=HOME,
        replica_set=client_of(cluster).admin.command("hello").get("setName"),
    )


def _make_user(
    application: Application, abandoned: str | None, administrator: MongoClient | None
) -> MadeUser:
    user, password = application.user, users.random_password()
    master = settings.current().master_db
    uri = _uri(MAIN_CLUSTER, user, password, master)
    if administrator is None:
        if not _write_state(application, UserState.BY_HAND):
            raise ApplicationChanged(application.name)
        return MadeUser(uri, script=rights.creation_script(user, password, granted_privileges()))
    home = administrator[HOME]
    if abandoned:
        users.drop_user(home, abandoned)
    users.create_user(home, user, password, granted_privileges())
    proof, refusal = _prove(MAIN_CLUSTER, uri, master, directory.ORGANIZATIONS)
    if not _write_state(application, UserState.PROVEN if proof else UserState.PENDING):
        users.drop_user(home, user)
        raise ApplicationChanged(application.name) from refusal
    if proof is None:
        raise UserNotProven(application.name) from refusal
    return MadeUser(uri, proof=proof)


def _prove(
    cluster: str, uri: str, database: str, collection: str
) -> tuple[Proof | None, OperationFailure | None]:
    """The proof that the new user may read there, or why no member lets it."""
    options: dict[str, Any] = users.machine_options(uri_of(cluster))
    try:
        proof = users.prove(uri, database, collection, **options)
    except OperationFailure as refusal:
        return None, refusal
    return proof, None


def _write_state(application: Application, state: UserState) -> bool:
    """False where another call gave the application another user, or removed it, meanwhile."""
    own = Application.objects(name=application.name, user=application.user)
    return bool(own.update_one(set__user_state=state))


def _write_cluster(application: Application, cluster: str) -> bool:
    """False as of ``_write_state``."""
    own = Application.objects(name=application.name, user=application.user)
    return bool(own.update_one(add_to_set__clusters=cluster))


@transactional
def _write_extension(application: Application, cluster: str, context: RequestContext) -> None:
    if not _write_cluster(application, cluster):
        raise ApplicationChanged(application.name)
    details = {"name": application.name, "cluster": cluster, "user": application.user}
    record(
        installation(),
        "application.extended",
        context.origin,
        target=None,
        target_email=None,
        **details,
    )


def _write_finishing(name: str, former: str) -> None:
    own = Application.objects(name=name, former_user=former, finishing_since=None)
    own.update_one(set__finishing_since=clock.now())


@transactional
def _write_finished_rotation(name: str, former: str, context: RequestContext) -> None:
    own = Application.objects(name=name, former_user=former)
    gone = {"former_user": 1, "former_homes": 1, "finishing_since": 1}
    if own.update_one(__raw__={"$unset": gone}):
        origin = context.origin
        record(installation(), "application.rotation_finished", origin, name=name, user=former)


@transactional
def _record_dropped_user(user: str, context: RequestContext) -> None:
    record(installation(), "application.user_dropped", context.origin, user=user)


@transactional
def _write_removal(name: str, dropped: list[str], context: RequestContext) -> None:
    """Forget the application, unless it was given another user meanwhile."""
    application = Application.objects(name=name).first()
    if application is None:
        return
    if application.users != dropped:
        raise ApplicationChanged(name)
    application.delete()
    record(installation(), "application.removed", context.origin, name=name)
