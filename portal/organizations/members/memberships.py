"""Parts of the transactions that change members and invitations.

Each transaction also writes the head of the organization's audit chain, so of two concurrent ones
on one organization one is retried.
"""

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Invitation, Membership
from portal.documents.organizations import Organization
from portal.errors import NotFound
from portal.mail import outbox
from portal.mail.outbox import MailKind
from portal.web.context import RequestContext


def membership_of(organization_id: ObjectId, account_id: ObjectId) -> Membership:
    """The account's membership. Raises NotFound where it has none."""
    membership = Membership.objects(organization=organization_id, account=account_id).first()
    if membership is None:
        raise NotFound(str(account_id))
    return membership


@within_transaction
def register_membership_change(account_id: ObjectId) -> Account:
    """Count a change of the account's memberships, which conflicts with every other transaction
    that depends on them; the account. Raises NotFound where there is none."""
    account = Account.objects(id=account_id).modify(new=True, inc__membership_changes=1)
    if account is None:
        raise NotFound(str(account_id))
    return account


@within_transaction
def record_about(
    target: Account | Invitation | None,
    organization: Organization,
    action: str,
    context: RequestContext,
    **details: str | None,
) -> None:
    """Append an event about an account or an invitation to the organization's audit chain."""
    record(
        organization,
        action,
        context.origin,
        target=target.id if target else None,
        target_email=target.email if target else None,
        **details,
    )


@within_transaction
def mail_member(
    kind: MailKind, account: Account, organization: Organization, **ids: ObjectId
) -> None:
    """Mail the account about its membership; ``ids`` are those of the mail's other subjects."""
    outbox.enqueue(kind, account.email, organization=organization.id, account=account.id, **ids)
