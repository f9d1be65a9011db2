"""``flask data masks``, ``mask`` and ``unmask``: sensitive fields of an organization."""

import click
from flask.cli import with_appcontext

from portal.cli.running import on_database, plain, refusals
from portal.cli.tables import print_table
from portal.data.structure import masking
from portal.organizations import planning
from portal.organizations.access.lookup import Access
from portal.permissions import ALL
from portal.web.context import OPERATOR, RequestContext


@click.command("masks")
@click.argument("slug")
@with_appcontext
@on_database
def list_masks(slug: str) -> None:
    """List the sensitive fields of the organization with this SLUG."""
    with refusals():
        fields = masking.sensitive_fields(_access_to(slug).organization)
    if fields:
        print_table(
            ("field", "since", "by"),
            [(each.path, each.since and f"{each.since:%Y-%m-%d}", each.by) for each in fields],
        )
    else:
        click.echo("No field is sensitive.")


@click.command("mask")
@click.argument("slug")
@click.argument("path")
@with_appcontext
@on_database
def mask_field(slug: str, path: str) -> None:
    """Make a field sensitive: that at PATH, in the organization with this SLUG.

    Viewers, and API keys that may not unmask, see no value of it from their next request on.
    """
    with refusals():
        masking.mask_field(_access_to(slug), path, RequestContext(OPERATOR))
    click.echo(f"{plain(path)} is sensitive.")


@click.command("unmask")
@click.argument("slug")
@click.argument("path")
@with_appcontext
@on_database
def unmask_field(slug: str, path: str) -> None:
    """Make the field at PATH visible to all who read documents."""
    with refusals():
        masking.unmask_field(_access_to(slug), path, RequestContext(OPERATOR))
    click.echo(f"{plain(path)} is visible.")


def _access_to(slug: str) -> Access:
    organization = planning.find_organization(slug)
    return Access(organization, None, organization.slug, ALL)


COMMANDS = (list_masks, mask_field, unmask_field)
