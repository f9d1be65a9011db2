"""Credentials compared with the MongoDB users they stand for: those whose names begin as ours do,
in the tenant database of each cluster and in every database of organizations' own.

A user is recorded before it is made, and dropped before its record is deleted. So one that is
listed twice without a record in between has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from bson import ObjectId
from mongoengine import QuerySet
from pymongo.errors import OperationFailure

from portal import clock, settings
from portal.audit.trail import record
from portal.database import users
from portal.database.clusters import is_available, known_clusters
from portal.database.transactions import transactional
from portal.database.users import UNAUTHORIZED, Privilege
from portal.doctor.findings import Finding, Kind, NotRepaired
from portal.doctor.user_homes import NO_ADMINISTRATORS, Administrators, Home, find_homes
from portal.documents.credentials import Credential, CredentialUser, Reach
from portal.documents.organizations import MAIN_CLUSTER, Organization, OrganizationState
from portal.organizations.credentials import hosts
from portal.organizations.credentials.managing import mark_revoked
from portal.organizations.credentials.tending import tend
from portal.organizations.lifecycle.engine import repair_organization
from portal.organizations.lifecycle.privileges import (
    PREFIX,
    home_of,
    privileges_on,
    reach_while,
)
from portal.tenants import collections
from portal.web.context import RequestContext

UNRECORDED_USER = Kind(
    "unrecorded_user",
    "MongoDB users that reach an organization, and that no credential records",
    "An older backup of the master database leaves them so. --repair takes them over: the "
    "organization's admins see them then, and can revoke them.",
)
DEAD_USER = Kind(
    "dead_user",
    "MongoDB users and roles of credentials that reach no organization",
    "flask doctor --drop-users shows them, asks, and drops them.",
    explicit=True,
)
MISSING_USER = Kind(
    "missing_user",
    "Credentials whose MongoDB user is gone",
    "Nobody can sign in by them, and no password brings them back. --repair revokes them.",
)
WRONG_PRIVILEGES = Kind(
    "wrong_privileges",
    "MongoDB users that reach something else than their organization's collection",
    "--repair gives them the privileges of their credential, and no others.",
)
FURTHER_ROLES = Kind(
    "further_roles",
    "MongoDB users of credentials that somebody gave further roles",
    "Take them away by revokeRolesFromUser, or revoke the credential.",
)
UNSEEN_USERS = Kind(
    "unseen_users",
    "Credentials whose MongoDB users the portal may not look at",
    "Grant it the administration of users in the tenant database: docs/operating.md says how.",
)
WRONG_HOSTS = Kind(
    "wrong_hosts",
    "Hosts in connection strings of credentials that may not lead to MongoDB",
    "Correct CREDENTIALS_URI: customers get its hosts, and drivers go on to those that the replica "
    "set advertises.",
)


def find_mismatched(administrators: Administrators = NO_ADMINISTRATORS) -> Iterator[Finding]:
    """Users without a record, records without a user, and users that reach something else."""
    for home in find_homes(PREFIX, _expected(), administrators):
        yield from _mismatched_in(home)


def find_dead_users(administrators: Administrators) -> Iterator[Finding]:
    """Users and roles that reach no organization, and may be dropped."""
    return (found for found in find_mismatched(administrators) if found.kind is DEAD_USER)


def find_wrong_hosts() -> Iterator[Finding]:
    """Hosts that customers get and that don't answer, or lead elsewhere."""
    for cluster in _answering_clusters():
        if not hosts.are_given_out(cluster):
            continue
        found = hosts.try_hosts(cluster)
        for names, words in (
            (found.silent, "doesn't answer here"),
            (found.foreign, "belongs to another replica set"),
            (found.advertised, "is advertised, and not among the hosts of the connection string"),
        ):
            for name in names:
                yield Finding(WRONG_HOSTS, name, words)


def _answering_clusters() -> list[str]:
    return [known.name for known in known_clusters() if is_available(known.name)]


def _expected() -> set[tuple[str, str]]:
    """The places in which the users of credentials are, by their records."""
    credentials = list(Credential.objects.only("organization", "elsewhere"))
    owners = {credential.organization for credential in credentials}
    with_own = Organization.objects(placement__database__ne=None, id__in=list(owners))
    own = {home_of(organization.placement) for organization in with_own.only("placement")}
    return own | {(each.cluster, each.database) for one in credentials for each in one.elsewhere}


def _organizations_in(home: Home) -> QuerySet:
    """The organizations whose users are there."""
    own = home.database != settings.current().tenant_db
    # The first versions wrote no cluster.
    clusters = [home.cluster, *([None] if home.cluster == MAIN_CLUSTER else [])]
    return Organization.objects(
        __raw__={
            "placement.cluster": {"$in": clusters},
            "placement.database": home.database if own else None,
        }
    )


def _mismatched_in(home: Home) -> Iterator[Finding]:
    try:
        first = _look(home)
        # A change may have been under way, so what stands out is looked at again.
        found = _look(home) if first.unrecorded or first.missing else first
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        if home.expected and Credential.objects.first():
            lacking = ", ".join(users.missing_rights(home.opened))
            yield Finding(UNSEEN_USERS, home.words, f"it lacks {lacking}")
        return
    for name in sorted(first.unrecorded & found.unrecorded):
        yield _unrecorded(home, name, found.roles.get(name))
    for name in sorted(first.missing & found.missing):
        yield _missing(home, name, found.here[name])
    for name in sorted(found.here.keys() & found.users.keys()):
        yield from _misgiven(home, name, found)


@dataclass(frozen=True, slots=True)
class _Look:
    """The users and roles that MongoDB has in a database, by name, the credentials that record any,
    and those whose users should be here."""

    users: dict[str, frozenset[str]]
    roles: dict[str, frozenset[Privilege]]
    recorded: dict[str, Credential]
    here: dict[str, Credential]

    @property
    def unrecorded(self) -> set[str]:
        return (self.users.keys() | self.roles.keys()) - self.recorded.keys()

    @property
    def missing(self) -> set[str]:
        return {
            user.name
            for credential in self.here.values()
            for user in credential.users
            if user.ready_at and not user.ended_at and user.name not in self.users
        }


def _look(home: Home) -> _Look:
    made = users.roles_of_users(home.opened, PREFIX)
    roles = users.roles_in(home.opened, PREFIX)
    if not (made or roles or home.expected):
        return _Look({}, {}, {}, {})
    credentials = list(Credential.objects)
    recorded = {user.name: found for found in credentials for user in found.all_users}
    wanted = {found.organization for found in credentials}
    placed = set(_organizations_in(home).filter(id__in=list(wanted)).scalar("id"))
    here = {
        user.name: found
        for found in credentials
        if found.organization in placed
        for user in found.users
    }
    return _Look(made, roles, recorded, here)


def _unrecorded(home: Home, name: str, privileges: frozenset[Privilege] | None) -> Finding:
    organization, reach = _reached(home, privileges or frozenset())
    if organization is None or reach is None:
        words = "has no role" if privileges is None else "reaches no organization"
        return Finding(DEAD_USER, name, words, repair=partial(_drop, home, name))
    words = f"may {reach} {organization.placement.collection} of {organization.name}"
    repair = partial(_take_over, name, organization.id, reach)
    return Finding(UNRECORDED_USER, name, words, organization.id, repair)


def _reached(
    home: Home, privileges: frozenset[Privilege]
) -> tuple[Organization | None, Reach | None]:
    """The organization whose collection a role reaches, and how; neither where that is none, or
    anything else as well."""
    names = {privilege.collection for privilege in privileges}
    if len(names) != 1:
        return None, None
    [name] = names
    organization = (
        _organizations_in(home)
        .filter(placement__collection=name, state=OrganizationState.ACTIVE, operation=None)
        .first()
    )
    given = {each: set(privileges_on(home.database, name, each)) for each in Reach}
    reaches = [each for each in Reach if privileges == given[each]]
    return (organization, reaches[0]) if organization and reaches else (None, None)


def _drop(home: Home, name: str) -> str | None:
    look = _look(home)
    if name not in look.unrecorded:
        return None
    users.drop_user(home.opened, name)
    return "dropped"


@transactional
def _take_over(name: str, organization_id: ObjectId, reach: Reach) -> str | None:
    organization = Organization.objects(
        id=organization_id, state=OrganizationState.ACTIVE, operation=None
    ).first()
    if organization is None or Credential.objects(users__name=name).first():
        return None
    now = clock.now()
    credential = Credential(
        organization=organization_id,
        name=f"Taken over {now:%Y-%m-%d}",
        reach=reach,
        users=[CredentialUser(name=name, created_at=now, ready_at=now)],
        created_at=now,
    ).insert()
    Organization.objects(id=organization_id).update_one(inc__credentials=1)
    details = {"name": credential.name, "user": name}
    origin = RequestContext().origin
    record(organization, "credential.taken_over", origin, target=credential.id, **details)
    return "taken over"


def _missing(home: Home, name: str, credential: Credential) -> Finding:
    words = f"user of credential “{credential.name}”, which is gone"
    repair = partial(_end_missing, home, name, credential.id)
    return Finding(MISSING_USER, name, words, credential.organization, repair)


def _end_missing(home: Home, name: str, credential_id: ObjectId) -> str | None:
    if name in users.users_in(home.opened, PREFIX):
        return None
    _mark_ended(name, credential_id)
    if not tend(credential_id):
        raise NotRepaired("MongoDB did not answer; a portal tries it again")
    return "revoked"


@transactional
def _mark_ended(name: str, credential_id: ObjectId) -> None:
    credential = Credential.objects(id=credential_id, users__name=name).first()
    organization = credential and Organization.objects(id=credential.organization).first()
    if organization is None:
        return
    in_force = [user for user in credential.users if user.ready_at and not user.ended_at]
    if [user.name for user in in_force] == [name]:
        mark_revoked(credential, organization, RequestContext())
        return
    for user in in_force:
        if user.name == name:
            user.ended_at = credential.due_at = clock.now()
            details = {"name": credential.name, "user": name}
            origin = RequestContext().origin
            record(
                organization, "credential.overlap_ended", origin, target=credential.id, **details
            )
    credential.save()


def _misgiven(home: Home, name: str, look: _Look) -> Iterator[Finding]:
    credential = look.here[name]
    if further := look.users[name]:
        words = f"has also {', '.join(sorted(further))}"
        yield Finding(FURTHER_ROLES, name, words, credential.organization)
    if _differs(home, name, credential):
        repair = partial(_give, home, name, credential.id)
        reached = look.roles.get(name, frozenset())
        words = f"reaches {', '.join(sorted(one.collection for one in reached)) or 'nothing'}"
        yield Finding(WRONG_PRIVILEGES, name, words, credential.organization, repair)


def _differs(home: Home, name: str, credential: Credential) -> bool:
    """Tell whether the user's role has other privileges than it should, with no operation running
    on its organization meanwhile."""
    settled = {"id": credential.organization, "operation": None}
    before = Organization.objects(**settled).first()
    if before is None or before.state == OrganizationState.PURGED:
        return False
    collection = before.placement.collection
    here = collections.uuid_of(home.opened, collection) == before.placement.uuid
    reaches = before.state == OrganizationState.ACTIVE and here
    reach = reach_while(before.restricted, credential.reach) if reaches else None
    wanted = set(privileges_on(home.database, collection, reach)) if reach else set()
    given = users.roles_in(home.opened, name).get(name)
    kept = Credential.objects(id=credential.id, users__name=name).first()
    ended = kept is None or any(user.ended_at for user in kept.users if user.name == name)
    unchanged = Organization.objects(**settled, version=before.version).first() is not None
    return not ended and unchanged and given != wanted


def _give(home: Home, name: str, credential_id: ObjectId) -> str | None:
    credential = Credential.objects(id=credential_id).first()
    if credential is None or not _differs(home, name, credential):
        return None
    # An operation, so that no other one changes the collection's name meanwhile.
    repair_organization(Organization.objects.get(id=credential.organization), RequestContext())
    if _differs(home, name, credential):
        raise NotRepaired("MongoDB doesn't let the portal change it: see its log")
    return "given its privileges"
