"""Credentials of organizations: made, rotated, revoked.

A user is recorded before it is made, and told once it was proven. Between the two a lifecycle
operation may begin: then the user is dropped, and nobody knows its password. So no user that
somebody has can reach a name that its organization's collection doesn't have.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from mongoengine.errors import MongoEngineException
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
)

from portal import clock
from portal.audit.trail import record
from portal.database import users
from portal.database.clusters import database_of
from portal.database.paging import join
from portal.database.together import Part, Read, read
from portal.database.transactions import transactional, within_transaction
from portal.database.users import UNAUTHORIZED, Privilege, Proof
from portal.display_names import InvalidName, clean_words
from portal.documents.accounts import Account
from portal.documents.credentials import Credential, CredentialUser, Reach
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Placement,
    Strategy,
)
from portal.errors import check_all
from portal.identity.sessions import sessions
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.access.restrictions import suspended
from portal.organizations.credentials import errors, hosts, tending, usage
from portal.organizations.credentials.usage import Connections, applications
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.privileges import PREFIX, privileges_on, reach_while
from portal.web import rate_limits
from portal.web.context import RequestContext
from portal.web.idempotency import release_key

log = structlog.get_logger()

MAX_CREDENTIALS = 20
OVERLAPS = (None, timedelta(0), timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""Times for which the old user may work alongside the new one; ``None``, until somebody ends it."""

MADE, ROTATED, ENDED, REVOKED = (
    "credential_made",
    "credential_rotated",
    "credential_overlap_ended",
    "credential_revoked",
)
IN_WORDS = {Reach.READ: "read", Reach.WRITE: "read and write"}
_PROOF_SECONDS = 1.5
_REFUSED = (UNAUTHORIZED, 18)  # 18: authentication failed
# Unauthorized; a service in MongoDB's place that has no such command: command not found, not
# supported, and what Atlas answers, where users are made by its own API.
_NO_ADMINISTRATION = (UNAUTHORIZED, 59, 115, 8000)


@dataclass(frozen=True, slots=True)
class NewConnectionString:
    """A credential with a new user; ``uri``, by which programs connect, is shown only here. Its
    ``proof`` used exactly that, unless customers' hosts can't be reached from here."""

    credential: ObjectId
    uri: str = field(repr=False)
    proof: Proof
    by_customers_hosts: bool


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A credential's user, with its open ``connections``: ``None`` where MongoDB doesn't tell."""

    name: str
    created_at: datetime
    ends_at: datetime | None
    seen_at: datetime | None
    seen_by: list[str]
    connections: int | None


@dataclass(frozen=True, slots=True)
class ListedCredential:
    """A credential without its password, as listed; ``former`` is the user before the last
    rotation, while it still works. One that was revoked is pending in MongoDB since then."""

    id: ObjectId
    name: str
    reach: Reach
    made_by: str | None
    created_at: datetime
    user: ListedUser
    former: ListedUser | None
    pending_since: datetime | None


def missing_rights(organization: Organization) -> list[str]:
    """The actions on the organization's database that the portal's MongoDB user lacks to administer
    users; one command. Raises ClusterUnavailable."""
    return users.missing_rights(database_of(organization.placement))


def may_have_credentials(organization: Organization) -> bool:
    """Tell whether the organization has a collection that a MongoDB user may be bound to."""
    return organization.placement.strategy != Strategy.SHARED


def create_credential(
    access: Access, name: str, reach: str, context: RequestContext
) -> NewConnectionString:
    """Make a credential of the organization with a MongoDB user who may ``reach`` its documents.

    Raises InvalidCredentialName, InvalidReach (or SeveralErrors of them), TooManyAttempts,
    SharedCollection, MissingRights, ClusterUnavailable, TooManyCredentials, OperationInProgress,
    NotProven, Forbidden, NotFound, DuplicateRequest; then there is no such user.
    """
    name, reach = check_all(lambda: _clean_name(name), lambda: _clean_reach(reach))
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    _check_possible(access.organization)
    credential = Credential(
        id=ObjectId(),
        organization=access.organization.id,
        name=name,
        reach=reach,
        users=[new_user()],
        created_at=clock.now(),
        created_by=context.account,
    )

    @transactional
    def insert() -> Organization:
        organization = begin_credential_change(access, context, MADE, credential.id)
        # Writing the count makes two at once run one after the other.
        if (organization.credentials or 0) >= MAX_CREDENTIALS:
            raise errors.TooManyCredentials(MAX_CREDENTIALS)
        Organization.objects(id=organization.id).update_one(inc__credentials=1)
        credential.due_at = tending.next_due(credential)
        credential.insert()
        return organization

    def finish(organization: Organization, stored: Credential) -> None:
        details = {"name": stored.name, "reach": IN_WORDS[Reach(stored.reach)]}
        record_event(organization, "credential.created", stored, context, **details)

    return _make_user(insert(), credential, context, finish)


def rotate_credential(
    access: Access, credential_id: ObjectId, overlap: timedelta | None, context: RequestContext
) -> NewConnectionString:
    """Give the credential a second user; the first works for ``overlap`` longer, or until somebody
    ends it.

    Raises InvalidOverlap, CredentialNotFound, MissingRights, ClusterUnavailable, OverlapRunning,
    OperationInProgress, NotProven, Forbidden, NotFound, DuplicateRequest; then nothing was changed.
    """
    if overlap not in OVERLAPS:
        raise errors.InvalidOverlap
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    _check_possible(access.organization)
    user = new_user()

    @transactional
    def add_user() -> tuple[Organization, Credential]:
        organization = begin_credential_change(access, context, ROTATED, credential_id)
        credential = _stored(access, credential_id, revoked_at=None)
        if len(credential.users) > 1:
            raise errors.OverlapRunning(credential.name)
        credential.users.append(user)
        credential.due_at = tending.next_due(credential)
        credential.save()
        return organization, credential

    def finish(organization: Organization, stored: Credential) -> None:
        if overlap is not None:
            stored.users[0].ends_at = clock.now() + overlap
        record_event(organization, "credential.rotated", stored, context, user=user.name)

    new = _make_user(*add_user(), context, finish)
    if overlap == timedelta(0):
        tending.tend(credential_id)
    return new


def end_overlap(
    access: Access, credential_id: ObjectId, context: RequestContext, *, although_in_use: bool
) -> bool:
    """Drop the user before the last rotation; False where MongoDB didn't answer, and it is tried
    again later. Raises CredentialNotFound, NoOverlap, StillInUse unless ``although_in_use``,
    Forbidden, NotFound, DuplicateRequest."""
    former = _former(_stored(access, credential_id))
    if not although_in_use:
        _check_unused(access.organization, former.name)

    @transactional
    def end() -> None:
        organization = begin_change(
            access, context, ENDED, credential_id, permission="credentials.manage"
        )
        credential = _stored(access, credential_id)
        ended = _former(credential)
        ended.ended_at = credential.due_at = clock.now()
        credential.save()
        record_event(organization, "credential.overlap_ended", credential, context, user=ended.name)

    end()
    return tending.tend(credential_id)


def revoke_credential(
    access: Access, credential_id: ObjectId, context: RequestContext
) -> tuple[Credential, bool]:
    """Revoke the credential: its users are dropped, and their open connections refused.

    The credential, and False where MongoDB didn't answer: then it is pending there, and tried again
    until it is done. Raises CredentialNotFound, Forbidden, NotFound, DuplicateRequest.
    """

    @transactional
    def mark() -> Credential:
        organization = begin_change(
            access, context, REVOKED, credential_id, permission="credentials.manage"
        )
        credential = _stored(access, credential_id)
        mark_revoked(credential, organization, context)
        return credential

    return mark(), tending.tend(credential_id)


@within_transaction
def mark_revoked(
    credential: Credential, organization: Organization, context: RequestContext
) -> None:
    """Have the credential's users dropped as soon as possible, and record that."""
    if credential.revoked_at:
        return
    now = clock.now()
    credential.revoked_at = credential.due_at = now
    for user in credential.all_users:
        user.ended_at = user.ended_at or now
    credential.save()
    record_event(organization, "credential.revoked", credential, context)


def credentials_of(organization: Organization) -> list[ListedCredential]:
    """The organization's credentials by name, with their open connections: one read, and one more
    of MongoDB's connections where there are any."""
    return read(listing(organization))


def names_by(organization: Organization, account_id: ObjectId) -> list[str]:
    """The names of the organization's credentials that the account made, sorted; no read where it
    has none."""
    if not organization.credentials:
        return []
    made = Credential.objects(organization=organization.id, created_by=account_id, revoked_at=None)
    return sorted(made.scalar("name"))


def credential_of(
    organization: Organization, credential_id: str | ObjectId | None
) -> ListedCredential:
    """The organization's credential with this id. Raises CredentialNotFound."""
    if not ObjectId.is_valid(credential_id):
        raise errors.CredentialNotFound
    found = read(listing(organization, ObjectId(credential_id)))
    if not found:
        raise errors.CredentialNotFound
    return found[0]


def listing(
    organization: Organization, credential_id: ObjectId | None = None
) -> Part[list[ListedCredential]]:
    """The part of a page that lists the organization's credentials, or this one, by name, with
    their open connections."""
    query = {"organization": organization.id, "users.ready_at": {"$exists": True}}
    stages: list[dict[str, Any]] = [
        {"$match": {**query, "_id": credential_id} if credential_id else query},
        join(Account, "created_by", "_id", "creators", [{"$project": {"email": 1}}]),
        {"$set": {"lower": {"$toLower": "$name"}}},
        {"$sort": {"lower": 1, "_id": 1}},
    ]
    [rows] = yield [Read(Credential, stages)]
    names = [user["name"] for row in rows for user in row["users"]]
    connections = usage.open_connections(organization, names) if names else {}
    return [_listed_credential(row, connections) for row in rows]


def is_pending(credential_id: ObjectId) -> bool:
    """Tell whether a credential that was revoked isn't dropped in MongoDB yet."""
    return Credential.objects(id=credential_id).first() is not None


@within_transaction
def begin_credential_change(
    access: Access, context: RequestContext, kind: str, credential_id: ObjectId
) -> Organization:
    """The organization as it is in the caller's transaction, by whom its credentials may be changed
    now. Raises Forbidden, NotFound, DuplicateRequest, OperationInProgress."""
    sessions.lock_session(context)
    organization = begin_change(
        access, context, kind, credential_id, permission="credentials.manage"
    )
    if organization.operation:
        raise engine.in_progress(organization)
    return organization


def _make_user(
    organization: Organization,
    credential: Credential,
    context: RequestContext,
    finish: Callable[[Organization, Credential], None],
) -> NewConnectionString:
    """Make and prove the last user of the credential, as recorded; ``finish`` in the transaction
    that makes it ready. Drops it where anything fails."""
    user, password = credential.users[-1].name, users.random_password()
    placement, home = organization.placement, database_of(organization.placement)

    @transactional
    def make_ready() -> None:
        unchanged = Organization.objects(
            id=organization.id,
            state=OrganizationState.ACTIVE,
            operation=None,
            placement__collection=placement.collection,
            placement__uuid=placement.uuid,
        ).first()
        if unchanged is None:
            raise engine.refusal(organization)
        stored = Credential.objects(id=credential.id, revoked_at=None).first()
        if stored is None or stored.users[-1].name != user:
            raise errors.CredentialNotFound
        stored.users[-1].ready_at = clock.now()
        finish(unchanged, stored)
        stored.due_at = tending.next_due(stored)
        stored.save()

    try:
        # Whoever suspends it meanwhile gives the collection another name.
        reach = reach_while(organization.restricted, credential.reach)
        if reach is None:
            raise suspended(organization)
        privileges = privileges_on(home.name, placement.collection, reach)
        create_user(home, user, password, privileges)
        new = prove_user(credential.id, user, password, placement, placement.collection)
        make_ready()
    except Exception as error:
        abandon(credential.id, user, context)
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error
    return new


def create_user(
    home: Database, user: str, password: str, privileges: tuple[Privilege, ...]
) -> None:
    """Make the user with a role of its own. Raises MissingRights, PyMongoError."""
    try:
        users.create_user(home, user, password, privileges)
    except OperationFailure as error:
        if error.code not in _NO_ADMINISTRATION:
            raise
        raise errors.MissingRights(home.name, "createRole, createUser") from error


def prove_user(
    credential_id: ObjectId,
    user: str,
    password: str,
    placement: Placement,
    collection: str | None,
) -> NewConnectionString:
    """The connection string of a user who signed in by it, and read from the collection if there is
    one. Raises NotProven, OperationFailure."""

    def prove(uri: str) -> Proof:
        options = hosts.options(uri, placement.cluster)
        database = database_of(placement).name
        return users.prove(uri, database, collection, seconds=_PROOF_SECONDS, **options)

    uri, reachable = hosts.connection_string(placement, user, password), True
    try:
        proof = prove(uri)
    except (ConnectionFailure, ConfigurationError) as error:
        # Customers' hosts need not be reachable from here.
        log.warning("credential.hosts_unreachable", error=str(error)[:300])
        try:
            proof = prove(hosts.portals_connection_string(placement, user, password))
        except ConnectionFailure as again:
            raise errors.NotProven from again
        reachable = False
    return NewConnectionString(credential_id, uri, proof, reachable)


def abandon(credential_id: ObjectId, user: str, context: RequestContext) -> None:
    """Undo the record of a user that nobody was told of, and drop it."""

    @transactional
    def release() -> None:
        if context.idempotency_key:
            release_key(context.idempotency_key.id, credential_id)
        credential = Credential.objects(id=credential_id).first()
        for each in credential.all_users if credential else ():
            if each.name == user:
                each.ended_at = credential.due_at = clock.now()
                credential.save()

    try:
        release()
    except (PyMongoError, MongoEngineException) as error:  # the loop drops it later
        log.warning("credential.not_abandoned", credential=str(credential_id), error=str(error))
    else:
        tending.tend(credential_id)


def refusal_of(error: Exception) -> Exception | None:
    """The words for a server's refusal; ``None`` for any other error."""
    if not isinstance(error, OperationFailure):
        return None
    return errors.NotProven() if error.code in _REFUSED else None


def _check_possible(organization: Organization) -> None:
    if not may_have_credentials(organization):
        raise errors.SharedCollection(organization.name)
    if missing := missing_rights(organization):
        database = database_of(organization.placement).name
        raise errors.MissingRights(database, ", ".join(missing))


def _check_unused(organization: Organization, name: str) -> None:
    connections = (usage.open_connections(organization, [name]) or {}).get(name)
    if connections:
        names = ", ".join(applications(connections)) or "applications that tell no name"
        raise errors.StillInUse(len(connections), names)


def new_user() -> CredentialUser:
    """The record of a user that is yet to be made."""
    return CredentialUser(name=users.random_name(PREFIX), created_at=clock.now())


def _former(credential: Credential) -> CredentialUser:
    """Its user before the last rotation. Raises NoOverlap."""
    first, *others = credential.users
    if not others or first.ended_at or others[-1].ready_at is None:
        raise errors.NoOverlap(credential.name)
    return first


def _stored(access: Access, credential_id: ObjectId, **wanted: object) -> Credential:
    own = {"id": credential_id, "organization": access.organization.id, **wanted}
    credential = Credential.objects(**own, users__ready_at__exists=True).first()
    if credential is None:
        raise errors.CredentialNotFound
    return credential


@within_transaction
def record_event(
    organization: Organization,
    action: str,
    credential: Credential,
    context: RequestContext,
    **details: str,
) -> None:
    """Record an event about a credential."""
    named = {"name": credential.name, **details}
    record(organization, action, context.origin, target=credential.id, **named)


def _clean_name(name: str) -> str:
    try:
        return clean_words(name)
    except InvalidName as error:
        raise errors.InvalidCredentialName(error.reason) from error


def _clean_reach(reach: str) -> Reach:
    if reach not in tuple(Reach):
        raise errors.InvalidReach
    return Reach(reach)


def _listed_credential(row: dict, connections: Connections | None) -> ListedCredential:
    listed = [_listed_user(user, connections) for user in row["users"] if user.get("ready_at")]
    in_force = [user.get("ended_at") is None for user in row["users"]]
    return ListedCredential(
        id=row["_id"],
        name=row["name"],
        reach=Reach(row["reach"]),
        made_by=next((creator.get("email") for creator in row["creators"]), None),
        created_at=row["created_at"],
        user=listed[-1],
        former=listed[0] if len(listed) > 1 and in_force[0] else None,
        pending_since=row.get("revoked_at"),
    )


def _listed_user(user: dict, connections: Connections | None) -> ListedUser:
    own = None if connections is None else connections.get(user["name"], [])
    return ListedUser(
        name=user["name"],
        created_at=user["created_at"],
        ends_at=user.get("ends_at"),
        seen_at=clock.now() if own else user.get("seen_at"),
        seen_by=applications(own) if own else user.get("seen_by") or [],
        connections=None if own is None else len(own),
    )
