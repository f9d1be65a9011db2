"""``flask organizations``: plans and regions; help for organizations that nobody can manage."""

import click
from flask.cli import AppGroup

from portal.cli.accounts import account_with
from portal.cli.running import CommandFailed, on_database
from portal.documents.organizations import Organization
from portal.errors import NotFound, PortalError
from portal.identity.sessions.errors import AddressNotVerified
from portal.organizations import planning
from portal.organizations.members import ownership
from portal.organizations.members.errors import AlreadyOwner
from portal.web.context import OPERATOR, RequestContext

organizations = AppGroup(
    "organizations", help="Plans and regions of organizations, and their owners."
)


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


@organizations.command("set")
@click.argument("slug")
@click.option("--plan", help="Its plan, by which the placement policy goes; '' for none.")
@click.option("--region", help="The region that its documents stay in; '' for any.")
@on_database
def set_plan(slug: str, plan: str | None, region: str | None) -> None:
    """Set the plan or the region of the organization with this SLUG.

    What is left out stays. The audit trail names the operator. Give the id of an organization in
    the trash as SLUG.
    """
    organization = _organization_with(slug)
    given = {"plan": plan, "region": region}
    chosen = {name: value or None for name, value in given.items() if value is not None}
    try:
        organization = planning.set_plan(organization.id, RequestContext(OPERATOR), **chosen)
    except PortalError as error:
        raise CommandFailed(error.words) from error
    click.echo(
        f"{organization.name}: plan {organization.plan or 'none'}, region "
        f"{organization.region or 'any'}."
    )


def _organization_with(slug: str) -> Organization:
    try:
        return planning.find_organization(slug)
    except NotFound as error:
        raise CommandFailed(
            f"There is no organization {slug}. Give the id of one in the trash."
        ) from error
