"""Credentials of an organization that moves.

Passwords are hashed, and no user can be copied to where their organization moves: to another
cluster, or another database. So before the switch each credential is given another user there, who
reaches nothing yet; the owners put the new string into their programs for the time after it. At the
switch these users get the privileges, in the place of the former ones, who stay without any until
the old copy goes: on the way back they are the right ones again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bson import ObjectId

from portal import clock
from portal.database import users
from portal.database.clusters import database_of
from portal.database.transactions import transactional
from portal.documents.credentials import Credential, CredentialUser, UserElsewhere
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization, Placement, Strategy
from portal.organizations.access.lookup import Access
from portal.organizations.credentials import errors, managing, tending
from portal.organizations.credentials.managing import NewConnectionString
from portal.organizations.lifecycle.privileges import home_of
from portal.web import rate_limits
from portal.web.context import RequestContext

PREPARED = "credential_prepared"
_BEFORE_SWITCH = (MoveState.COPYING, MoveState.VERIFYING, MoveState.READY)


@dataclass(frozen=True, slots=True)
class Journey:
    """The place to which an organization is about to move, and its credentials by id: those that
    have a user there, and those that lack one."""

    target: Placement
    prepared: frozenset[ObjectId]
    lacking: frozenset[ObjectId]


def travelling(organization: Organization, target: Placement) -> list[Credential]:
    """The organization's credentials that would not work at the target as it is now: each must be
    given a user there before the switch, or ends by it. None where their users are in the same
    database there; all where documents are in a shared collection."""
    if not organization.credentials or home_of(target) == home_of(organization.placement):
        return []
    credentials = Credential.objects(organization=organization.id, revoked_at=None)
    in_force = [each for each in credentials if any(_works(user) for user in each.users)]
    if target.strategy == Strategy.SHARED:
        return in_force
    return [each for each in in_force if not any(_working_at(each, target))]


def journey_of(organization: Organization) -> Journey | None:
    """The move of the organization that takes credentials along, before its switch."""
    move = _move_of(organization.id) if organization.credentials else None
    if move is None or move.target.strategy == Strategy.SHARED:
        return None
    lacking = frozenset(each.id for each in travelling(organization, move.target))
    there = Credential.objects(organization=organization.id, revoked_at=None)
    prepared = frozenset(each.id for each in there if any(_working_at(each, move.target)))
    return Journey(move.target, prepared, lacking) if lacking or prepared else None


def prepare_credential(
    access: Access, credential_id: ObjectId, context: RequestContext
) -> NewConnectionString:
    """Give the credential a user where its organization moves to, who reaches nothing before the
    switch, and signed in there; one that it had there ends.

    Raises CredentialNotFound, NotTravelling where no move is about to switch, MissingRights,
    ClusterUnavailable, OperationInProgress, NotProven, Forbidden, NotFound, DuplicateRequest; then
    nothing was changed.
    """
    rate_limits.count_attempt(rate_limits.MEMBER_CHANGES, str(access.organization.id))
    move = _move_of(access.organization.id)
    if move is None or move.target.strategy == Strategy.SHARED:
        raise errors.NotTravelling
    home = database_of(move.target)
    if missing := users.missing_rights(home):
        raise errors.MissingRights(home.name, ", ".join(missing))
    user, password = managing.new_user(), users.random_password()
    _add_user(access, credential_id, move, user, context)
    try:
        managing.create_user(home, user.name, password, ())
        new = managing.prove_user(credential_id, user.name, password, move.target, None)
        _make_ready(access, credential_id, move, user, context)
    except Exception as error:
        managing.abandon(credential_id, user.name, context)
        refusal = managing.refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error
    tending.tend(credential_id)
    return new


@transactional
def _add_user(
    access: Access,
    credential_id: ObjectId,
    move: Move,
    user: CredentialUser,
    context: RequestContext,
) -> None:
    managing.begin_credential_change(access, context, PREPARED, credential_id)
    _check_open(move)
    credential = _stored(access, credential_id)
    cluster, database = home_of(move.target)
    one = UserElsewhere(user=user, cluster=cluster, database=database)
    credential.elsewhere.append(one)
    credential.due_at = tending.next_due(credential)
    credential.save()


@transactional
def _make_ready(
    access: Access,
    credential_id: ObjectId,
    move: Move,
    user: CredentialUser,
    context: RequestContext,
) -> None:
    """Have the user count, and the one that the credential had there end. The switch writes
    credentials as well, so it comes before this or after it."""
    _check_open(move)
    credential, there = _stored(access, credential_id), home_of(move.target)
    for each in credential.elsewhere:
        if each.user.name == user.name:
            each.user.ready_at = clock.now()
        elif (each.cluster, each.database) == there:
            each.user.ended_at = clock.now()
    credential.due_at = tending.next_due(credential)
    credential.save()
    organization = Organization.objects.get(id=access.organization.id)
    details = {"user": user.name, "cluster": move.target.cluster}
    managing.record_event(organization, "credential.prepared", credential, context, **details)


def end_users_at(organization_id: ObjectId, placement: Placement) -> None:
    """Have the users end that credentials have where the organization isn't: at an old copy, or at
    the target of a move that was aborted. In a cluster that doesn't answer they are dropped later.
    """
    there = home_of(placement)
    for credential in Credential.objects(organization=organization_id):
        _end_elsewhere(credential.id, there)
        tending.tend(credential.id)


@transactional
def _end_elsewhere(credential_id: ObjectId, there: tuple[str, str]) -> None:
    credential = Credential.objects(id=credential_id).first()
    if credential is None:
        return
    for each in credential.elsewhere:
        if (each.cluster, each.database) == there and each.user.ended_at is None:
            each.user.ended_at = credential.due_at = clock.now()
    credential.save()


def _move_of(organization: ObjectId) -> Move | None:
    """The organization's move before its switch, if it has one; a way back has all it needs."""
    found = Move.objects(organization=organization, open=True, way_back_of=None)
    return found.filter(state__in=_BEFORE_SWITCH).first()


def _check_open(move: Move) -> None:
    if not Move.objects(id=move.id, state__in=_BEFORE_SWITCH, open=True).first():
        raise errors.NotTravelling


def _stored(access: Access, credential_id: ObjectId) -> Credential:
    own = {"id": credential_id, "organization": access.organization.id, "revoked_at": None}
    credential = Credential.objects(**own, users__ready_at__exists=True).first()
    if credential is None:
        raise errors.CredentialNotFound
    return credential


def _working_at(credential: Credential, target: Placement) -> Iterator[UserElsewhere]:
    for each in credential.elsewhere:
        if (each.cluster, each.database) == home_of(target) and _works(each.user):
            yield each


def _works(user: CredentialUser) -> bool:
    return bool(user.ready_at and not user.ended_at)
