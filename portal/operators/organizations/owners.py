"""Owners made by operators: for an organization that nobody can manage any more."""

from bson import ObjectId

from portal.documents.accounts import Account
from portal.documents.organizations import Organization
from portal.email_addresses import parse_email
from portal.identity.sessions.errors import AddressNotVerified
from portal.operators.organizations.errors import (
    OwnerAlready,
    OwnerIsOperator,
    UnknownAddress,
    UnverifiedAddress,
)
from portal.organizations.members import ownership
from portal.organizations.members.errors import AlreadyOwner
from portal.web.context import RequestContext


def set_owner(organization_id: ObjectId, email: str, context: RequestContext) -> Organization:
    """Make the account with this address an owner, a member or not. Other owners stay, and all are
    told by mail.

    Raises InvalidEmail, UnknownAddress, UnverifiedAddress, BlockedOwner, OwnerAlready, NotFound;
    OwnerIsOperator, since no operator reads documents without an owner's consent; then nothing was
    changed.
    """
    address = parse_email(email)
    found = Account.objects(email_key=address.key, closed_at=None)
    account = found.only("id", "operator_role").first()
    if account is None:
        raise UnknownAddress(address.shown)
    if account.operator_role:
        raise OwnerIsOperator(address.shown)
    try:
        return ownership.set_owner(organization_id, account.id, context)
    except AddressNotVerified as error:
        raise UnverifiedAddress(address.shown) from error
    except AlreadyOwner as error:
        raise OwnerAlready(address.shown) from error
