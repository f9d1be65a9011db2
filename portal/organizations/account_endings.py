"""What organizations end together with an account: steps that ``create_app`` wires into its
closing, and into the first verification of its address."""

from bson import ObjectId
from mongoengine.queryset.visitor import Q

from portal.audit.trail import record
from portal.documents.accounts import Account
from portal.documents.api_keys import ApiKey
from portal.documents.invitations import Invitation, InvitationState
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.engine import in_progress
from portal.organizations.members.ownership import lapse_offers
from portal.organizations.members.withdrawing import withdraw_sent_by, withdraw_sent_to
from portal.web.context import RequestContext


def forget_invitations(account: Account, context: RequestContext) -> list[ObjectId]:
    """Take the address out of all invitations that were ever sent to it, and end open ones;
    which."""
    withdraw_sent_to(account, context)
    to_them = Invitation.objects(Q(account=account.id) | Q(email_key=account.email_key))
    ids = to_them.distinct("id")
    key = {"$concat": ["closed:", {"$toString": "$_id"}]}
    forgotten = [{"$set": {"email": "a closed account", "email_key": key}}]
    Invitation.objects(id__in=ids).update(__raw__=forgotten)
    return ids


def leave_organizations(account: Account, context: RequestContext) -> list[ObjectId]:
    """End the memberships of an account that is closed. None of its organizations may be at work on
    what it asked for: OperationInProgress.

    Each event writes its organization's head: so of two owners who leave at once one is last."""
    memberships = {found.organization: found for found in Membership.objects(account=account.id)}
    organizations = list(Organization.objects(id__in=list(memberships)))
    running = Organization.objects(
        # The former is what the partial index holds. Their events would name the person.
        __raw__={
            "operation.lease_until": {"$exists": True},
            "operation.origin.account": account.id,
        }
    ).first()
    if running:
        raise in_progress(running)
    for organization in organizations:
        lapse_offers(organization, account.id, context)
        withdraw_sent_by(account, organization, context)
        role = memberships[organization.id].role
        record(organization, "member.left", context.origin, role_before=role)
    Membership.objects(account=account.id).delete()
    return []


def revoke_api_keys(account: Account, context: RequestContext) -> None:
    """End the API keys that were made under the account: an organization's stay when their maker
    leaves, but here nobody knows whose they are."""
    made = ApiKey.objects(created_by=account.id)
    for key in made:
        organization = Organization.objects(id=key.organization).first()
        if organization:
            record(organization, "key.revoked", context.origin, target=key.id, name=key.name)
    made.delete()


def withdraw_invitations(account: Account, context: RequestContext) -> None:
    """End the invitations that were sent under the account: whoever sent them may wait there."""
    for organization in Invitation.objects(inviter=account.id, state=InvitationState.OPEN).distinct(
        "organization"
    ):
        withdraw_sent_by(account, Organization.objects.get(id=organization), context)
