"""The ends of an account's parts in organizations: steps that ``create_app`` wires into the
transactions that close it, and that first verify its address."""

from bson import ObjectId
from mongoengine.queryset.visitor import Q

from portal.audit.trail import record
from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.credentials import Credential
from portal.documents.memberships import Invitation, InvitationState, Membership
from portal.documents.organizations import Organization
from portal.organizations.credentials.managing import mark_revoked
from portal.organizations.lifecycle.engine import in_progress
from portal.organizations.members.inviting import withdraw_sent_by, withdraw_sent_to
from portal.organizations.members.ownership import lapse_offers
from portal.web.context import RequestContext


@within_transaction
def erase_invitations(account: Account, context: RequestContext) -> list[ObjectId]:
    """Withdraw open invitations to the account's address, and erase the address from all that were
    ever sent to it; their ids."""
    withdraw_sent_to(account, context)
    received = Invitation.objects(Q(account=account.id) | Q(email_key=account.email_key))
    ids = received.distinct("id")
    placeholder = {"$concat": ["closed:", {"$toString": "$_id"}]}
    erased = [{"$set": {"email": "a closed account", "email_key": placeholder}}]
    Invitation.objects(id__in=ids).update(__raw__=erased)
    return ids


@within_transaction
def leave_organizations(account: Account, context: RequestContext) -> list[ObjectId]:
    """End the memberships of a closing account; an empty list, since no events name it as a target.
    Raises OperationInProgress where an operation that it started is running.

    Each event writes its organization's head: so of two owners who leave at once one is last.
    """
    roles = {found.organization: found.role for found in Membership.objects(account=account.id)}
    organizations = list(Organization.objects(id__in=list(roles)))
    # Its event would name the person. The partial index covers organizations with a lease.
    started = {"operation.lease_until": {"$exists": True}, "operation.origin.account": account.id}
    running = Organization.objects(__raw__=started).first()
    if running:
        raise in_progress(running)
    for organization in organizations:
        lapse_offers(organization, account.id, context)
        withdraw_sent_by(account, organization, context)
        record(organization, "member.left", context.origin, role_before=roles[organization.id])
    Membership.objects(account=account.id).delete()
    return []


@within_transaction
def revoke_api_keys(account: Account, context: RequestContext) -> None:
    """Revoke the API keys that were created by the account before its address was verified: nobody
    knows whose they are. An organization's keys otherwise outlive their creator's membership."""
    made = ApiKey.objects(created_by=account.id)
    for key in made:
        organization = Organization.objects(id=key.organization).first()
        if organization:
            record(organization, "key.revoked", context.origin, target=key.id, name=key.name)
    made.delete()


@within_transaction
def revoke_credentials(account: Account, context: RequestContext) -> None:
    """Revoke the credentials for MongoDB that were made by the account before its address was
    verified, as its API keys are."""
    for credential in Credential.objects(created_by=account.id):
        organization = Organization.objects(id=credential.organization).first()
        if organization:
            mark_revoked(credential, organization, context)


@within_transaction
def withdraw_invitations(account: Account, context: RequestContext) -> None:
    """Withdraw the open invitations that the account sent before its address was verified: a
    stranger may have sent them to themselves."""
    sent = Invitation.objects(inviter=account.id, state=InvitationState.OPEN)
    for organization in sent.distinct("organization"):
        withdraw_sent_by(account, Organization.objects.get(id=organization), context)
