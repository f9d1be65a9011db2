"""Creating organizations: by sign-up, or for an account that exists.

The tenant collection is created under a name made of the organization's id, unique by construction,
in the transaction that writes the organization: so neither exists without the other. It is renamed
last; so a foreign collection under the final name stops the creation, on every version of the
server, and is never touched.
"""

from dataclasses import dataclass

from bson import ObjectId

from portal.audit.trail import begin_chain, delete_chain
from portal.database.cascade import delete_belongings
from portal.database.clusters import database_of
from portal.database.transactions import transactional, within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import (
    Failure,
    OperationKind,
    Organization,
    Placement,
    SlugState,
)
from portal.errors import NotFound
from portal.identity.accounts.creating import NewAccount, create_account
from portal.identity.sessions.principals import AccountPrincipal
from portal.organizations.lifecycle import engine, slugs
from portal.organizations.lifecycle.names import OrganizationName, parse_name
from portal.organizations.lifecycle.steps import drop_collection, rename_collection
from portal.tenants import collections
from portal.web import rate_limits
from portal.web.context import RequestContext


@dataclass(frozen=True, slots=True)
class SignedUp:
    """The organization of a sign-up, and the principal of its browser session, if there is one."""

    principal: AccountPrincipal | None
    organization: Organization


@within_transaction
def create_with_owner(
    name: OrganizationName,
    owner: NewAccount,
    context: RequestContext,
    user_agent: str | None,
    *,
    viewers_read_documents: bool = False,
) -> SignedUp:
    """Write the account, its organization with its collection, and a session for the browser
    ``user_agent``, if there is one. The caller runs the organization's operation after the commit.
    Raises SlugTaken, EmailTaken.
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
        founds_account=True,
        viewers_read_documents=viewers_read_documents,
    )
    return SignedUp(entered.principal, organization)


def create_organization(
    account_id: ObjectId,
    typed_name: str,
    context: RequestContext,
    typed_slug: str | None = None,
    *,
    viewers_read_documents: bool = False,
) -> Organization:
    """Create an organization for an existing account; otherwise like ``sign_up``."""
    rate_limits.count_attempt_of_network(rate_limits.SIGNUP, context.ip_address)
    name = parse_name(typed_name, typed_slug)
    with slugs.offering_a_free_slug(typed_slug):
        return engine.run_now(
            _create_for(account_id, name, context, viewers_read_documents=viewers_read_documents)
        )


@transactional
def _create_for(
    account_id: ObjectId,
    name: OrganizationName,
    context: RequestContext,
    *,
    viewers_read_documents: bool,
) -> Organization:
    if not Account.objects(id=account_id, closed_at=None).update_one(inc__membership_changes=1):
        raise NotFound
    organization_id, holder = ObjectId(), slugs.owned_holder(account_id, name.slug)
    slugs.claim_slug(name.slug, organization_id, SlugState.CURRENT, context, holder)
    return _insert_organization(
        organization_id,
        name,
        account_id,
        context,
        founds_account=False,
        viewers_read_documents=viewers_read_documents,
    )


def _insert_organization(
    organization_id: ObjectId,
    name: OrganizationName,
    owner: ObjectId,
    context: RequestContext,
    *,
    founds_account: bool,
    viewers_read_documents: bool,
) -> Organization:
    operation = engine.new_operation(
        OperationKind.CREATE,
        name.collection,
        context,
        name=name.shown,
        slug=name.slug,
        founds_account=founds_account,
    )
    now = operation.started_at
    organization = Organization(
        id=organization_id,
        name=name.shown,
        slug=name.slug,
        placement=Placement(collection=f"new_{organization_id}"),
        version=1,
        created_at=now,
        created_by=owner,
        operation=operation,
        viewers_read_documents=viewers_read_documents or None,
    )
    begin_chain(
        organization, "organization.created", context.origin, name=name.shown, slug=name.slug
    )
    engine.insert_with_intent(organization, context)
    collections.create_collection(
        database_of(organization.placement), organization.placement.collection
    )
    Membership(organization=organization_id, account=owner, role=Role.OWNER, since=now).save(
        force_insert=True
    )
    return organization


def _record_uuid(organization: Organization) -> Organization:
    if organization.placement.uuid:
        return organization
    name = organization.placement.collection
    if collections.uuid_of(database_of(organization.placement), name) is None:
        _create_missing(organization)
    uuid = collections.uuid_of(database_of(organization.placement), name)
    if uuid is None:  # dropped by hand just now
        raise engine.RollBack(Failure.COLLECTION_MISSING)
    return engine.update_if_held(organization, set__placement__uuid=uuid)


@transactional
def _create_missing(organization: Organization) -> None:
    """Create the collection of a sign-up that an earlier version committed without it.

    Renewing the lease writes the document, so a late attempt creates nothing. Raises LeaseLost.
    """
    engine.renew_lease(organization)
    collections.create_collection(
        database_of(organization.placement), organization.placement.collection
    )


def _finish_create(organization: Organization) -> Organization:
    return engine.update_if_held(
        organization,
        set__placement__collection=organization.operation.collection,
        unset__operation=True,
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
    forward=(_record_uuid, rename_collection, _finish_create),
    back=(drop_collection, _undo_creation),
)
