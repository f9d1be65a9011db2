"""``flask organizations``: help for organizations that nobody can manage."""

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.cli.accounts import account_with
from portal.cli.running import CommandFailed, on_database
from portal.documents.organizations import Organization, OrganizationState
from portal.identity.sessions.errors import AddressNotVerified
from portal.organizations.members import ownership
from portal.organizations.members.errors import AlreadyOwner
from portal.web.context import OPERATOR, RequestContext

organizations = AppGroup("organizations", help="Organizations that nobody can manage.")


@organizations.command("set-owner")
@click.argument("slug")
@click.argument("address")
@on_database
def set_owner(slug: str, address: str) -> None:
    """Make the account with this e-mail ADDRESS an owner of the organization with this SLUG.

    It need not be a member. Other owners stay. The audit trail names the operator, and all owners
    are told by mail. Give the id of an organization in the trash as SLUG.
    """
    organization, account = _organization_with(slug), account_with(address)
    try:
        ownership.set_owner(organization.id, account.id, RequestContext(OPERATOR))
    except AlreadyOwner as error:
        raise CommandFailed(error.words) from error
    except AddressNotVerified as error:
        raise CommandFailed(
            f"{account.email} is not verified, so anybody may have typed it. Have its owner follow "
            "the link that was mailed there. Nothing was changed."
        ) from error
    click.echo(f"{account.email} is an owner of {organization.name}. All owners are told by mail.")


def _organization_with(slug: str) -> Organization:
    found = Organization.objects(slug=slug, state=OrganizationState.ACTIVE).first()
    if found is None and ObjectId.is_valid(slug):
        found = Organization.objects(id=slug, state__ne=OrganizationState.PURGED).first()
    if found is None:
        raise CommandFailed(f"There is no organization {slug}. Give the id of one in the trash.")
    return found
