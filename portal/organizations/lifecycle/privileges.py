"""Steps that carry an organization's credentials along: MongoDB users whose role reaches its tenant
collection by name.

Likewise the users by whom operators read by support grants.

The privileges go before the collection gets another name, and come back under the new one: an
insert under the old name in between would make another collection there, which blocks the slug.
Without credentials, as the organization's document counts them, no step sends anything.
"""

import structlog
from pymongo.errors import OperationFailure

from portal import settings
from portal.database import users
from portal.database.clusters import client_of, database_of, is_lost
from portal.database.transactions import within_transaction
from portal.database.users import UNAUTHORIZED, Privilege
from portal.documents.credentials import Credential, Reach, UserElsewhere
from portal.documents.organizations import (
    Failure,
    OperationKind,
    Organization,
    OrganizationState,
    Placement,
    Restriction,
)
from portal.documents.support import GrantUser, SupportGrant
from portal.organizations.lifecycle import engine
from portal.tenants import collections

log = structlog.get_logger()

PREFIX = "credential"
"""The beginning of the names of credentials' users and roles."""

_READ = frozenset({"find", "changeStream", "collStats", "listIndexes"})
_ACTIONS = {Reach.READ: _READ, Reach.WRITE: _READ | {"insert", "update", "remove"}}


def privileges_on(database: str, collection: str, reach: str) -> tuple[Privilege, ...]:
    """The privileges of a credential's role while the tenant collection has this name."""
    return (Privilege(database, collection, _ACTIONS[Reach(reach)]),)


def reach_while(restricted: str | None, reach: str) -> Reach | None:
    """The reach that a credential has while its organization is ``restricted`` to this, or to
    nothing."""
    if restricted is None:
        return Reach(reach)
    return Reach.READ if restricted == Restriction.READ_ONLY else None


def take_privileges(organization: Organization) -> Organization:
    """Have the organization's credentials reach nothing. Raises RollBack where MongoDB doesn't
    allow that to the portal."""
    try:
        _set_privileges(organization, None, None)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        raise engine.RollBack(Failure.USERS_REFUSED) from error
    return organization


def give_privileges(organization: Organization) -> Organization:
    """Have the credentials reach the collection under the operation's name, as far as the
    organization's restriction allows: a running operation's, if that changes it."""
    operation = organization.operation
    changes = operation.kind == OperationKind.RESTRICT
    restricted = operation.restricted if changes else organization.restricted
    _give(organization, operation.collection, restricted)
    return organization


def take_privileges_again(organization: Organization) -> Organization:
    """Have the credentials reach nothing before the collection gets its recorded name back, where
    MongoDB allows that."""
    try:
        _set_privileges(organization, None, None)
    except OperationFailure as error:
        _log_refusal(organization, error)
    return organization


def give_privileges_back(organization: Organization) -> Organization:
    """Have the credentials of an active organization reach the collection under its recorded
    name, as far as its restriction allows: the one before, of an operation that changes it."""
    operation = organization.operation
    changes = operation.kind == OperationKind.RESTRICT
    restricted = operation.restricted_before if changes else organization.restricted
    if organization.state == OrganizationState.ACTIVE:
        _give(organization, organization.placement.collection, restricted)
    return organization


def drop_users(organization: Organization) -> Organization:
    """Drop the users of the organization's credentials and support grants; the records are deleted
    with it."""
    for reader in _readers(organization):
        if not is_lost(reader.cluster):
            users.drop_user(client_of(reader.cluster)[reader.database], reader.name)
    if organization.credentials:
        home = database_of(organization.placement)
        for credential in Credential.objects(organization=organization.id):
            for user in credential.users:
                users.drop_user(home, user.name)
            for each in credential.elsewhere:
                drop_elsewhere(each)
    return organization


def drop_elsewhere(one: UserElsewhere) -> None:
    """Drop a user that isn't in the organization's database; one of a lost cluster is gone."""
    if not is_lost(one.cluster):
        users.drop_user(client_of(one.cluster)[one.database], one.user.name)


@within_transaction
def exchange_users(organization: Organization, target: Placement) -> None:
    """Have the users that were made at the target be those of the organization's credentials, in
    the transaction by which it moves there. The others stay where they are, and reach nothing."""
    if not organization.credentials:
        return
    here, there = home_of(organization.placement), home_of(target)
    for credential in Credential.objects(organization=organization.id):
        arriving = [each for each in credential.elsewhere if (each.cluster, each.database) == there]
        staying = [each for each in credential.elsewhere if each not in arriving]
        left = [
            UserElsewhere(user=user, cluster=here[0], database=here[1]) for user in credential.users
        ]
        credential.users = [each.user for each in arriving]
        credential.elsewhere = staying + left
        credential.save()


def home_of(placement: Placement) -> tuple[str, str]:
    """The cluster and the database in which the users of a placement's organization are."""
    return placement.cluster, placement.database or settings.current().tenant_db


def _give(organization: Organization, collection: str, restricted: str | None) -> None:
    """Only while that is the name of the organization's collection itself: none may have it, or
    another one, where somebody interfered in the database."""
    if not organization.credentials and not organization.support_users:
        return
    found = collections.uuid_of(database_of(organization.placement), collection)
    if found != organization.placement.uuid:
        log.error("privileges.not_given", collection=collection, **engine.log_context(organization))
        return
    try:
        _set_privileges(organization, collection, restricted)
    except OperationFailure as error:
        _log_refusal(organization, error)


def _set_privileges(
    organization: Organization, collection: str | None, restricted: str | None
) -> None:
    if organization.support_users:
        readable = reach_while(restricted, Reach.READ) is not None
        _set_readers_privileges(organization, collection if readable else None)
    if not organization.credentials:
        return
    home = database_of(organization.placement)
    for credential in Credential.objects(organization=organization.id):
        reach = reach_while(restricted, credential.reach)
        wanted = privileges_on(home.name, collection, reach) if collection and reach else ()
        for user in credential.users:
            if user.ended_at is None:
                users.set_privileges(home, user.name, wanted)


def _set_readers_privileges(organization: Organization, collection: str | None) -> None:
    """Set those of the users by whom operators read; elsewhere they reach nothing already."""
    home, here = database_of(organization.placement), home_of(organization.placement)
    wanted = privileges_on(home.name, collection, Reach.READ) if collection else ()
    for reader in _readers(organization):
        if (reader.cluster, reader.database) == here and reader.ended_at is None:
            users.set_privileges(home, reader.name, wanted)


def _readers(organization: Organization) -> list[GrantUser]:
    """The users by whom operators read the organization's documents."""
    if not organization.support_users:
        return []
    grants = SupportGrant.objects(organization=organization.id, users__0__exists=True)
    return [user for grant in grants for user in grant.users]


def _log_refusal(organization: Organization, error: OperationFailure) -> None:
    """Go on without: the doctor finds privileges that differ, and gives them."""
    if error.code != UNAUTHORIZED:
        raise error
    log.error("privileges.refused", error=str(error), **engine.log_context(organization))
