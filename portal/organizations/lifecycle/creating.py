"""Creating organizations: by sign-up, or for an account that exists.

The tenant collection is born under the organization's id, ours by construction, in the transaction
that writes the organization: so neither is ever without the other. It is renamed last; so a
stranger's collection under the final name stops us, on every version of the server, and is never
touched.
"""

from dataclasses import dataclass, field
from datetime import datetime

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from portal import clock
from portal.audit.trail import forget_chain, record
from portal.database.connection import tenant_database
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.audit import Origin
from portal.documents.invitations import Invitation
from portal.documents.memberships import OWNER, Membership
from portal.documents.organizations import (
    COLLECTION_MISSING,
    CREATE,
    Operation,
    Organization,
    Placement,
)
from portal.documents.sessions import Session
from portal.documents.slugs import CURRENT
from portal.email_addresses import EmailAddress
from portal.errors import NotFound
from portal.identity.accounts.errors import EmailTaken
from portal.identity.accounts.mails import VERIFY_ADDRESS
from portal.identity.second_factors import enrollment
from portal.identity.sessions import sessions
from portal.identity.sessions.principals import Principal
from portal.mail import outbox
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import (
    ForwardImpossible,
    LeaseLost,
    Plan,
    advance,
    declare,
    insert_with_intent,
    mine,
    pursue,
)
from portal.organizations.lifecycle.names import clean_name, collection_of, slug_of
from portal.organizations.lifecycle.steps import drop_collection, move_collection
from portal.tenants import collections
from portal.web import rate_limits


@dataclass(frozen=True, slots=True)
class Founder:
    """The account that a sign-up makes; with ``verified_at`` where its address was proved."""

    id: ObjectId
    address: EmailAddress
    password_hash: str = field(repr=False)
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignedUp:
    """What a sign-up made: who the browser is now, if it was one, and the organization."""

    principal: Principal | None
    organization: Organization


def found_with_account(
    name: str, founder: Founder, origin: Origin, user_agent: str | None
) -> SignedUp:
    """Write the account, its organization with its collection, and a session for the browser
    ``user_agent``, if there is one; in the caller's transaction, after which the organization's
    operation is to be pursued. Raises SlugTaken, EmailTaken.
    """
    account = Account(
        id=founder.id,
        email=founder.address.shown,
        email_key=founder.address.key,
        password_hash=founder.password_hash,
        created_at=clock.now(),
        verified_at=founder.verified_at,
    )
    entered = None
    if user_agent is not None:
        entered = sessions.open_session(account, origin, user_agent)
        origin = origin.by(entered.acting)
    elif not origin.actor:
        origin = origin.by({"account": account.id, "email": account.email})
    organization = _found(name, slug_of(name), account.id, origin)
    try:
        account.save(force_insert=True)
    except NotUniqueError as error:
        raise EmailTaken(account.email) from error
    if founder.verified_at:
        record(account, "account.address_verified", origin)
    else:
        outbox.put(VERIFY_ADDRESS, account.email, account=account.id)
    return SignedUp(entered, organization)


def create_organization(account_id: ObjectId, name: str, origin: Origin) -> Organization:
    """Create another organization for an account that exists; otherwise like ``sign_up``."""
    rate_limits.count_try(rate_limits.SIGNUP, rate_limits.network_of(origin.address))
    name = clean_name(name)
    slug = slug_of(name)

    def body() -> Organization:
        if not Account.objects(id=account_id, closed_at=None).update_one(inc__membership_changes=1):
            raise NotFound
        holder = slugs.holder_owned_by(account_id, slug)
        return _found(name, slug, account_id, origin, founds_account=False, holder=holder)

    return pursue(transaction(body))


def _found(
    name: str,
    slug: str,
    account_id: ObjectId,
    origin: Origin,
    *,
    founds_account: bool = True,
    holder: ObjectId | None = None,
) -> Organization:
    organization_id, now = ObjectId(), clock.now()
    organization = Organization(
        id=organization_id,
        name=name,
        slug=slug,
        placement=Placement(collection=f"new_{organization_id}"),
        created_at=now,
        created_by=account_id,
        operation=Operation(
            kind=CREATE,
            started_at=now,
            origin=origin,
            collection=collection_of(slug),
            name=name,
            slug=slug,
            founds_account=founds_account,
        ),
    )
    slugs.claim_slug(slug, organization_id, CURRENT, origin, holder)
    insert_with_intent(organization)
    collections.create_collection(tenant_database(), organization.placement.collection)
    Membership(organization=organization_id, account=account_id, role=OWNER, since=now).save(
        force_insert=True
    )
    record(organization, "organization.created", origin, name=name, slug=slug)
    return organization


def _record_uuid(organization: Organization) -> Organization:
    if organization.placement.uuid:
        return organization
    uuid = collections.uuid_of(tenant_database(), organization.placement.collection)
    if uuid is None:  # dropped by hand; or another attempt has moved it, and this one is over
        raise ForwardImpossible(COLLECTION_MISSING)
    return advance(organization, set__placement__uuid=uuid)


def _finish_create(organization: Organization) -> Organization:
    return advance(
        organization,
        set__placement__collection=organization.operation.collection,
        unset__operation=True,
    )


def _undo_founding(organization: Organization) -> Organization:
    def body() -> Organization:
        if not mine(organization).delete():
            raise LeaseLost(str(organization.id))
        Membership.objects(organization=organization.id).delete()
        ApiKey.objects(organization=organization.id).delete()
        Invitation.objects(organization=organization.id).delete()
        slugs.free_all(organization.id)
        forget_chain(organization.id)
        founder = organization.created_by
        # Deleting the account conflicts with every transaction that gives it a membership. One
        # that was closed meanwhile stays as its tombstone.
        if (
            organization.operation.founds_account
            and not Membership.objects(account=founder).first()
            and Account.objects(id=founder, closed_at=None).delete()
        ):
            Session.objects(account=founder).delete()
            enrollment.forget_all(founder)
            forget_chain(founder)
        return organization

    return transaction(body)


PLAN = declare(
    Plan(
        kind=CREATE,
        title="Creating the collection",
        doing="being created",
        forward=(_record_uuid, move_collection, _finish_create),
        back=(drop_collection, _undo_founding),
    )
)
