"""Withdrawing invitations in the transaction that ends their sender's right to invite, or their
recipient's account."""

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Invitation, InvitationState
from portal.documents.organizations import Organization
from portal.web.context import RequestContext


@within_transaction
def withdraw_sent_by(account: Account, organization: Organization, context: RequestContext) -> None:
    """Withdraw the account's open invitations to the organization; they stay withdrawn if it may
    invite again.

    One event records them all: no number of invitations keeps their sender from being removed.
    """
    sent = Invitation.objects(
        organization=organization.id, inviter=account.id, state=InvitationState.OPEN
    )
    count = sent.update(set__state=InvitationState.WITHDRAWN, set__ended_at=clock.now())
    if count:
        record(
            organization,
            "invitation.withdrawn_with_role",
            context.origin,
            target=account.id,
            target_email=account.email,
            count=str(count),
        )


@within_transaction
def withdraw_sent_to(account: Account, context: RequestContext) -> None:
    """Withdraw all open invitations to the account's address, each with an event of its
    organization."""
    sent = Invitation.objects(email_key=account.email_key, state=InvitationState.OPEN)
    for invitation in sent:
        organization = Organization.objects(id=invitation.organization).first()
        if organization:
            record(
                organization,
                "invitation.withdrawn",
                context.origin,
                target=invitation.id,
                target_email=invitation.email,
            )
    sent.update(set__state=InvitationState.WITHDRAWN, set__ended_at=clock.now())
