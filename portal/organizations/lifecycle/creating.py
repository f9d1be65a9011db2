"""Creating organizations: by sign-up, or for an account that exists.

A collection of its own is created under a name made of the organization's id, unique by
construction, in the transaction that writes the organization: so neither exists without the other.
It is renamed last; so a foreign collection under the final name stops the creation, on every
version of the server, and is never touched. In another cluster it is created by the operation,
after the commit, and the organization waits where that cluster is away. In a pool, which is there
before, the transaction is all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bson import ObjectId
from mongoengine.errors import NotUniqueError
from pymongo.errors import DuplicateKeyError, OperationFailure

from portal import clock
from portal.audit.trail import begin_chain, delete_chain
from portal.database.cascade import delete_belongings
from portal.database.clusters import database_of, ensure_placeable, forget_registry
from portal.database.errors import ClusterClosed
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Failure,
    OperationKind,
    Organization,
    Placement,
    SlugState,
    Strategy,
)
from portal.errors import NotFound
from portal.identity.accounts.creating import NewAccount, create_account
from portal.identity.sessions.principals import AccountPrincipal
from portal.organizations.lifecycle import engine, pools, slugs
from portal.organizations.lifecycle.births import create_once
from portal.organizations.lifecycle.errors import (
    ClusterFull,
    ExternalIdTaken,
    PoolUnavailable,
)
from portal.organizations.lifecycle.external import External
from portal.organizations.lifecycle.names import OrganizationName, parse_name
from portal.organizations.lifecycle.naming import active_name, place_at_birth
from portal.organizations.lifecycle.steps import drop_collection, rename_collection
from portal.placement import capacity
from portal.placement.choosing import choose
from portal.placement.errors import ClustersUnavailable
from portal.tenants import collections
from portal.web import rate_limits
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

Written = TypeVar("Written")
NOT_EXTERNAL = External()


@dataclass(frozen=True, slots=True)
class SignedUp:
    """The organization of a sign-up, and the principal of its browser session, if there is one."""

    principal: AccountPrincipal | None
    organization: Organization


def make_room(placement: Placement) -> Placement:
    """The placement of a new organization, as chosen, with a pool where it will be in one. Called
    before the transaction that writes the organization. Raises PoolUnavailable."""
    if placement.strategy == Strategy.SHARED:
        pool = pools.pool_with_room(placement.cluster)
        placement.pool, placement.database = pool.id, pool.database
    return placement


def in_its_place(
    write: Callable[[Placement], Written],
    plan: str | None = None,
    region: str | None = None,
    placement: Placement | None = None,
) -> Written:
    """The result of ``write``, which writes a new organization in a transaction and runs its
    operation, in the ``placement`` or else where the policy has one of this ``plan`` and
    ``region``.

    Chosen once more where the cluster was closed or left the region meanwhile, or refuses another
    collection at a limit that nobody told; ``write`` left nothing then. Raises ClustersUnavailable
    where it refuses shared ones, too, and what ``choose`` and ``write`` raise; PoolUnavailable for
    a given ``placement``.
    """
    if placement:
        return write(make_room(placement))
    chosen = _choose_with_room(plan, region)
    try:
        return write(chosen)
    except ClusterClosed:
        forget_registry()
    except ClusterFull:
        pass  # as was noted
    except OperationFailure as error:
        if not capacity.is_refusal(error):
            raise
        capacity.note_refusal(chosen.cluster)
    try:
        return write(_choose_with_room(plan, region))
    except ClusterFull as full:
        raise ClustersUnavailable from full
    except OperationFailure as error:
        if not capacity.is_refusal(error):
            raise
        raise ClustersUnavailable from error


def _choose_with_room(plan: str | None, region: str | None) -> Placement:
    """A placement as ``choose`` has it, with a pool where it will be in one. A cluster that dies
    while its pool is opened is passed over. Raises what ``choose`` raises."""
    passed_over: list[str] = []
    while True:
        chosen = choose(plan, region, passed_over)
        try:
            return make_room(chosen)
        except PoolUnavailable:
            passed_over.append(chosen.cluster)


@within_transaction
def create_with_owner(
    name: OrganizationName,
    owner: NewAccount,
    context: RequestContext,
    user_agent: str | None,
    *,
    placement: Placement,
    plan: str | None = None,
    region: str | None = None,
    viewers_read_documents: bool = False,
    external: External = NOT_EXTERNAL,
) -> SignedUp:
    """Write the account, its organization in the ``placement`` that ``make_room`` returned, and a
    session for the browser ``user_agent``, if there is one. The caller runs the organization's
    operation, if it has one, after the commit. Raises SlugTaken, EmailTaken, ExternalIdTaken,
    ClusterClosed.
    """
    organization_id = ObjectId()
    # First: where name and address are both taken, SlugTaken is the error to report.
    slugs.claim_slug(name.slug, organization_id, SlugState.CURRENT, context)
    entered = create_account(owner, context, user_agent)
    organization = _insert_organization(
        organization_id,
        name,
        owner.id,
        entered.context,
        placement=placement,
        plan=plan,
        region=region,
        founds_account=True,
        viewers_read_documents=viewers_read_documents,
        external=external,
    )
    return SignedUp(entered.principal, organization)


def create_organization(
    account_id: ObjectId,
    typed_name: str,
    context: RequestContext,
    typed_slug: str | None = None,
    *,
    placement: Placement | None = None,
    viewers_read_documents: bool = False,
) -> Organization:
    """Create an organization for an existing account, where the policy has it unless a
    ``placement`` is given; otherwise like ``sign_up``."""
    rate_limits.count_attempt_of_network(rate_limits.SIGNUP, context.ip_address)
    name = parse_name(typed_name, typed_slug)
    with slugs.offering_a_free_slug(typed_slug):
        return in_its_place(
            lambda chosen: engine.run_now(
                _create_for(
                    account_id,
                    name,
                    context,
                    placement=chosen,
                    viewers_read_documents=viewers_read_documents,
                )
            ),
            placement=placement,
        )


def _create_for(
    account_id: ObjectId,
    name: OrganizationName,
    context: RequestContext,
    *,
    placement: Placement,
    viewers_read_documents: bool,
) -> Organization:
    @transactional
    def write(held_by_own: bool) -> Organization:
        account = Account.objects(id=account_id, closed_at=None)
        if not account.update_one(inc__membership_changes=1):
            raise NotFound
        organization_id = ObjectId()
        holder = slugs.owned_holder(account_id, name.slug) if held_by_own else None
        slugs.claim_slug(name.slug, organization_id, SlugState.CURRENT, context, holder)
        return _insert_organization(
            organization_id,
            name,
            account_id,
            context,
            placement=placement,
            founds_account=False,
            viewers_read_documents=viewers_read_documents,
        )

    return slugs.claiming(name.slug, account_id, write)


def _insert_organization(
    organization_id: ObjectId,
    name: OrganizationName,
    owner: ObjectId,
    context: RequestContext,
    *,
    placement: Placement,
    founds_account: bool,
    viewers_read_documents: bool,
    plan: str | None = None,
    region: str | None = None,
    external: External = NOT_EXTERNAL,
) -> Organization:
    now = clock.now()
    organization = Organization(
        id=organization_id,
        name=name.shown,
        slug=name.slug,
        placement=place_at_birth(organization_id, placement),
        version=1,
        plan=plan,
        region=region,
        external_id=external.external_id,
        metadata=dict(external.metadata) or None,
        created_at=now,
        created_by=owner,
        viewers_read_documents=viewers_read_documents or None,
    )
    begin_chain(
        organization, "organization.created", context.origin, name=name.shown, slug=name.slug
    )
    try:
        _write(organization, name, context, founds_account=founds_account)
    except (DuplicateKeyError, NotUniqueError) as error:
        raise ExternalIdTaken(external.external_id or "") from error
    Membership(organization=organization_id, account=owner, role=Role.OWNER, since=now).insert()
    ensure_placeable(placement.cluster, region)
    return organization


@within_transaction
def _write(
    organization: Organization,
    name: OrganizationName,
    context: RequestContext,
    *,
    founds_account: bool,
) -> None:
    """Write the organization with its operation, and its collection if that is in this cluster. In
    a pool there is nothing more to do."""
    placement = organization.placement
    if not engine.takes_steps(OperationKind.CREATE, placement.strategy):
        claim_key(context, organization.id, OperationKind.CREATE)
        organization.insert()
        return
    organization.operation = engine.new_operation(
        OperationKind.CREATE,
        active_name(placement, name),
        context,
        name=name.shown,
        slug=name.slug,
        founds_account=founds_account,
    )
    engine.insert_with_intent(organization, context)
    if placement.cluster == MAIN_CLUSTER:
        collections.create_collection(database_of(placement), placement.collection)


def _record_uuid(organization: Organization) -> Organization:
    if organization.placement.uuid:
        return organization
    name = organization.placement.collection
    uuid = collections.uuid_of(database_of(organization.placement), name)
    if uuid is None:
        _create_missing(organization)
        uuid = collections.uuid_of(database_of(organization.placement), name)
    if uuid is None:  # dropped by hand just now
        raise engine.RollBack(Failure.COLLECTION_MISSING)
    return engine.update_if_held(organization, set__placement__uuid=uuid)


def _create_missing(organization: Organization) -> None:
    """Create the collection in another cluster; in the first one that of a sign-up that an earlier
    version committed without it. A late attempt creates nothing.

    Where the cluster refuses it for want of room the creation is undone, unless somebody was told
    already that it is under way: then it waits for room.
    """
    placement = organization.placement
    if placement.cluster == MAIN_CLUSTER:
        _create_under_lease(organization)
        return
    try:
        create_once(database_of(placement), placement.collection, organization.id)
    except OperationFailure as error:
        if not capacity.is_refusal(error):
            raise
        capacity.note_refusal(placement.cluster)
        if organization.operation.attempt > 1:
            raise
        raise engine.RollBack(Failure.NO_ROOM) from error


@transactional
def _create_under_lease(organization: Organization) -> None:
    """Renewing the lease writes the document. Raises LeaseLost."""
    engine.renew_lease(organization)
    collections.create_collection(
        database_of(organization.placement), organization.placement.collection
    )


def _finish_create(organization: Organization) -> Organization:
    return engine.update_if_held(
        organization,
        unset__operation=True,
        **engine.new_place(organization.operation),
    )


@transactional
def _undo_creation(organization: Organization) -> Organization:
    if not engine.current_attempt(organization).delete():
        raise engine.LeaseLost(str(organization.id))
    delete_belongings(Organization, organization.id)
    delete_chain(organization.id)
    owner = organization.created_by
    # Deleting the account conflicts with every transaction that gives it a membership. An account
    # that was closed meanwhile stays as its tombstone.
    founded = (
        organization.operation.founds_account and not Membership.objects(account=owner).first()
    )
    if founded and Account.objects(id=owner, closed_at=None).delete():
        delete_belongings(Account, owner)
        delete_chain(owner)
    return organization


CREATE = engine.Plan(
    kind=OperationKind.CREATE,
    title="Creating the collection",
    doing="being created",
    ways={
        Strategy.COLLECTION: engine.Way(
            forward=(_record_uuid, rename_collection, _finish_create),
            back=(drop_collection, _undo_creation),
        ),
        Strategy.DATABASE: engine.Way(
            forward=(_record_uuid, _finish_create), back=(drop_collection, _undo_creation)
        ),
    },
)
