"""The one way in which an operator reads documents: by the MongoDB user of a grant in force.

It is looked up for each command, so what a page reads after the grant's end is refused; and what
runs then is ended by the server, since the user is dropped. In a collection that organizations
share a MongoDB user would reach all of them; there the store binds each command to the one.
"""

import structlog
from bson import ObjectId
from mongoengine.errors import MongoEngineException
from pymongo.errors import ConnectionFailure, PyMongoError

from portal import clock
from portal.database import users
from portal.database.clusters import database_of, uri_of
from portal.database.errors import ClusterUnavailable
from portal.database.transactions import transactional
from portal.documents.credentials import Reach
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.support import GrantUser, SupportGrant
from portal.errors import Unavailable
from portal.organizations.access.errors import GrantOver
from portal.organizations.access.restrictions import check_restriction
from portal.organizations.credentials import hosts
from portal.organizations.credentials.errors import MissingRights, NotProven
from portal.organizations.credentials.managing import (
    create_user,
    may_have_credentials,
    missing_rights,
    refusal_of,
)
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.privileges import home_of, privileges_on
from portal.organizations.support import clients, tending
from portal.organizations.support.errors import DocumentsNotGranted, DocumentsOutOfReach
from portal.settings import sealing
from portal.tenants._sync.connections import Connection
from portal.web.acting_operator import ActingOperator

log = structlog.get_logger()

PREFIX = "support"
"""The beginning of the names of grants' users and roles."""

_PROOF_SECONDS = 1.5


def check_offered(organization: Organization, with_documents: bool) -> bool:
    """``with_documents``, unless the portal may not make the user that would read them: raises
    DocumentsOutOfReach. Of a cluster that doesn't answer nobody knows, and it may well do by the
    time that an operator looks."""
    if with_documents and may_have_credentials(organization):
        try:
            missing = missing_rights(organization)
        except (ClusterUnavailable, PyMongoError):
            missing = []
        if missing:
            raise DocumentsOutOfReach(", ".join(missing))
    return with_documents


def check_reads(operator: ActingOperator, organization_id: ObjectId) -> SupportGrant:
    """The grant in force, by which the operator reads the organization's documents. Raises
    DocumentsNotGranted, GrantOver."""
    grant = SupportGrant.objects(id=operator.grant).first() if operator.grant else None
    if grant is None or grant.organization != organization_id or not grant.with_documents:
        raise DocumentsNotGranted
    if grant.operator not in (None, operator.person):
        raise DocumentsNotGranted
    if not grant.is_in_force(clock.now()):
        raise GrantOver
    return grant


def connection_to(
    operator: ActingOperator, organization_id: ObjectId, home: tuple[str, str]
) -> Connection:
    """The connection by the grant's user in ``home``, the cluster and database that the documents
    are in. Makes a user where none is, as after a move. Raises DocumentsNotGranted, GrantOver, and
    what ``ensure_user`` raises."""
    grant = check_reads(operator, organization_id)
    user = _user_at(grant, home) or ensure_user(grant.id)
    password = sealing.unseal(user.password)
    if password is None or (user.cluster, user.database) != home:
        raise NotProven  # another portal has another SECRET_KEY, or it moves just now
    return clients.connection_of(user, uri_of(user.cluster), password)


def ensure_user(grant_id: ObjectId) -> GrantUser:
    """The user of a grant in force where its organization's documents are, made and proven if there
    is none. Those that it has elsewhere end.

    Raises GrantOver, OperationInProgress, MissingRights, ClusterUnavailable, NotProven,
    OrganizationRenamed, NotFound; then none is left.
    """
    organization = _organization_of(grant_id)
    if missing := missing_rights(organization):
        database = database_of(organization.placement).name
        raise MissingRights(database, ", ".join(missing))
    password, (cluster, database) = users.random_password(), home_of(organization.placement)
    made = GrantUser(
        name=users.random_name(PREFIX),
        cluster=cluster,
        database=database,
        password=sealing.seal(password),
        created_at=clock.now(),
    )
    if found := _add_user(grant_id, made):
        return found
    placement, home = organization.placement, database_of(organization.placement)
    try:
        privileges = privileges_on(home.name, placement.collection, Reach.READ)
        create_user(home, made.name, password, privileges)
        _prove(organization, made, password)
        return _make_ready(grant_id, organization, made)
    except Exception as error:
        _abandon(grant_id, made)
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error


def _organization_of(grant_id: ObjectId) -> Organization:
    grant = SupportGrant.objects(id=grant_id).first()
    organization = (
        grant
        and Organization.objects(id=grant.organization, state=OrganizationState.ACTIVE).first()
    )
    if organization is None:
        raise GrantOver
    check_restriction(organization, None)
    if organization.operation:
        raise engine.in_progress(organization)
    return organization


def _user_at(grant: SupportGrant, home: tuple[str, str]) -> GrantUser | None:
    for user in grant.users:
        if (user.cluster, user.database) == home and user.ready_at and not user.ended_at:
            return user
    return None


@transactional
def _add_user(grant_id: ObjectId, made: GrantUser) -> GrantUser | None:
    """Record the user before it is made; the one that there is already, if there is one."""
    grant = SupportGrant.objects(id=grant_id).first()
    if grant is None or not grant.is_in_force(clock.now()):
        raise GrantOver
    if found := _user_at(grant, (made.cluster, made.database)):
        return found
    grant.users.append(made)
    grant.due_at = tending.next_due(grant)
    grant.save()
    Organization.objects(id=grant.organization).update_one(inc__support_users=1)
    return None


@transactional
def _make_ready(grant_id: ObjectId, organization: Organization, made: GrantUser) -> GrantUser:
    """Have the user count, unless the organization's collection got another name meanwhile, or the
    grant ended; the others end."""
    placement = organization.placement
    unchanged = Organization.objects(
        id=organization.id,
        state=OrganizationState.ACTIVE,
        operation=None,
        restricted=organization.restricted,
        placement__collection=placement.collection,
        placement__uuid=placement.uuid,
    )
    if unchanged.first() is None:
        raise engine.refusal(organization)
    grant = SupportGrant.objects(id=grant_id).first()
    if grant is None or not grant.is_in_force(clock.now()):
        raise GrantOver
    for user in grant.users:
        if user.name == made.name:
            user.ready_at = clock.now()
        elif user.ready_at:
            user.ended_at = user.ended_at or clock.now()
    grant.due_at = tending.next_due(grant)
    grant.save()
    return next(user for user in grant.users if user.name == made.name)


def _prove(organization: Organization, made: GrantUser, password: str) -> None:
    placement = organization.placement
    uri = hosts.portals_connection_string(placement, made.name, password)
    try:
        users.prove(
            uri,
            made.database,
            placement.collection,
            seconds=_PROOF_SECONDS,
            **users.machine_options(uri_of(placement.cluster)),
        )
    except ConnectionFailure as error:
        raise NotProven from error


def _abandon(grant_id: ObjectId, made: GrantUser) -> None:
    """Drop a user that nobody reads by, and forget it. The loop does that too, later."""
    try:
        tending.drop(made)
        tending.forget(grant_id, [made.name])
    except (PyMongoError, MongoEngineException, Unavailable) as error:
        log.warning("support.user_not_abandoned", grant=str(grant_id), error=str(error))
