"""MongoDB users and roles of applications, compared with the applications they belong to.

Only an administrator sees them, so these checks take the client of one, but for users that are to
be dropped, which the portal records. All databases are looked through: a name of ours that is
anywhere else than it should be is told, too.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from pymongo import MongoClient

from portal import clock
from portal.applications import managing
from portal.applications.dropping import homes_of
from portal.database import users
from portal.doctor.findings import Finding, Kind
from portal.documents.applications import Application, UserState
from portal.documents.organizations import MAIN_CLUSTER
from portal.web.context import OPERATOR, RequestContext

UNRECORDED = Kind(
    "unrecorded_application_user",
    "MongoDB users and roles of applications that no application has",
    "flask doctor --drop-users drops them. After a restore of older master data an application may "
    "be using one: then add it again, change its URI, and drop its user last.",
    explicit=True,
)
USER_GONE = Kind(
    "missing_application_user",
    "Applications whose MongoDB user is gone",
    "flask applications rotate makes another one, remove forgets the application.",
)
ROLE_DIFFERS = Kind(
    "changed_application_role",
    "Applications whose MongoDB role is not as it should be",
    "--repair gives it the rights of this version and no others.",
)
UNDROPPED = Kind(
    "undropped_application_user",
    "MongoDB users of applications that are to be dropped, and still reach documents",
    "Their cluster didn't answer, or there was no administrator's URI for it. Call flask "
    "applications remove NAME, or rotate NAME --finish, with one, or with --dropped after you "
    "dropped them in mongosh.",
)
_HOME = "admin"
# So long at most a command drops them.
_UNDER_WAY = timedelta(minutes=1)


def find_undropped() -> Iterator[Finding]:
    """Users that a removal or a finished rotation left over."""
    before = clock.now() - _UNDER_WAY
    for application in Application.objects.order_by("name"):
        if application.ending_since is not None:
            left, since = application.users, application.ending_since
        elif application.former_user and application.finishing_since is not None:
            left, since = [application.former_user], application.finishing_since
        else:
            continue
        if since <= before:
            where = {cluster: None for user in left for cluster in homes_of(application, user)}
            places = f"left on {', '.join(where)}" if where else "gone everywhere"
            words = f"{', '.join(left)}: to be dropped since {since:%Y-%m-%d}, {places}"
            yield Finding(UNDROPPED, application.name, words)


def find_amiss(cluster: str, administrator: MongoClient) -> Iterator[Finding]:
    """Users without an application, applications without a user, and roles that differ, on one
    cluster."""
    yield from find_unrecorded(cluster, administrator)
    there = _names(administrator)
    roles = users.roles_in(administrator[_HOME], managing.user_prefix())
    for application in Application.objects:
        yield from _of_application(application, cluster, there, roles, administrator)


def find_unrecorded(cluster: str, administrator: MongoClient) -> Iterator[Finding]:
    """Users and roles without an application. Their repair drops them."""
    # Read in this order: an application is recorded before its user is made, and until it is gone.
    there = _names(administrator)
    known = {(_HOME, user) for application in Application.objects for user in application.users}
    for database, name in sorted((there - known) & _names(administrator)):
        repair = partial(_drop, administrator, database, name)
        place = _in_words(database, cluster)
        yield Finding(UNRECORDED, name, f"in {place}, of no application", repair=repair)


def _names(administrator: MongoClient) -> set[tuple[str, str]]:
    """Database and name of each user and role that is named as an application's."""
    ours = {"$regex": f"^{re.escape(managing.user_prefix())}"}
    found = administrator.admin.command("usersInfo", {"forAllDBs": True}, filter={"user": ours})
    named = {(user["db"], user["user"]) for user in found["users"]}
    roles = administrator.admin["system.roles"].find({"role": ours}, {"db": 1, "role": 1})
    return named | {(role["db"], role["role"]) for role in roles}


def _of_application(
    application: Application,
    cluster: str,
    there: set[tuple[str, str]],
    roles: dict[str, frozenset[users.Privilege]],
    administrator: MongoClient,
) -> Iterator[Finding]:
    wanted = frozenset(managing.granted_privileges(cluster))
    for user in application.users:
        current = user == application.user
        pending = current and application.user_state == UserState.PENDING
        if cluster != MAIN_CLUSTER:  # it isn't recorded where the former one was made
            pending = not current or cluster not in (application.clusters or ())
        pending = pending or cluster not in homes_of(application, user)  # dropped there
        if (_HOME, user) not in there:
            if not pending:
                place = "MongoDB" if cluster == MAIN_CLUSTER else cluster
                yield Finding(USER_GONE, application.name, f"{user} is not in {place}")
        elif roles.get(user, frozenset()) != wanted:
            words = f"the role {user} in {_in_words(_HOME, cluster)} allows something else"
            repair = partial(_restore_role, cluster, administrator, user)
            yield Finding(ROLE_DIFFERS, application.name, words, repair=repair)


def _in_words(database: str, cluster: str) -> str:
    return database if cluster == MAIN_CLUSTER else f"{database} of {cluster}"


def _drop(administrator: MongoClient, database: str, name: str) -> str | None:
    origin = RequestContext(OPERATOR)
    dropped = managing.drop_unrecorded_user(administrator, database, name, origin)
    return "dropped" if dropped else None


def _restore_role(cluster: str, administrator: MongoClient, user: str) -> str | None:
    granted = list(managing.granted_privileges(cluster))
    restored = users.set_privileges(administrator[_HOME], user, granted)
    return "given the rights of this version" if restored else None
