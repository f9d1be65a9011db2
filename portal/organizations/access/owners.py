"""Owners of organizations, as mails and pages name them."""

from bson import ObjectId

from portal.database.transactions import within_transaction
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.mail import outbox
from portal.mail.outbox import MailKind


def email_of(account_id: ObjectId | None) -> str | None:
    """The account's e-mail address, if the account exists."""
    account = Account.objects(id=account_id).only("email").first() if account_id else None
    return account.email if account else None


@within_transaction
def email_owners(kind: MailKind, organization: Organization, **ids: ObjectId) -> None:
    """Mail each owner; ``ids`` are those of the mail's subjects besides the organization."""
    owners = Membership.objects(organization=organization.id, role=Role.OWNER).distinct("account")
    for owner in Account.objects(id__in=owners).only("email"):
        outbox.enqueue(kind, owner.email, organization=organization.id, **ids)
