"""``flask organizations``: all that is known of one, and what operators do to it."""

from typing import Any

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.cli.accounts import account_with
from portal.cli.listing import list_organizations
from portal.cli.organization_actions import act, planned_command, print_organization
from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.cli.tables import json_option, print_json
from portal.documents.organizations import Organization
from portal.errors import NotFound, PortalError
from portal.identity.sessions.errors import AddressNotVerified
from portal.operators.organizations import notes
from portal.operators.organizations.planning import PlannedAction
from portal.operators.organizations.reading import as_told
from portal.organizations import external, planning
from portal.organizations.members import ownership
from portal.organizations.members.errors import AlreadyOwner, BlockedOwner
from portal.web.context import OPERATOR, RequestContext


class _ObjectId(click.ParamType):
    """An id."""

    name = "id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ObjectId:
        if not ObjectId.is_valid(value):
            self.fail("Give an id of 24 digits and letters a to f.", param, ctx)
        return ObjectId(value)


OBJECT_ID = _ObjectId()

organizations = AppGroup(
    "organizations", help="Organizations, and what whoever runs the portal does to them."
)


@organizations.command("show")
@click.argument("slug")
@json_option
@on_database
def show(slug: str, as_json: bool) -> None:
    """Show all that is known of the organization with this SLUG, or id, but its documents."""
    with refusals():
        organization = _organization_in_any_state(slug)
        if as_json:
            print_json(as_told(organization))
        else:
            print_organization(organization)


@organizations.command("rename")
@click.argument("slug")
@click.argument("name")
@click.option("--slug", "typed_slug", help="The new slug; without it, it is made of the name.")
@planned_command
def rename(slug: str, name: str, typed_slug: str | None, **options: Any) -> None:
    """Give the organization with this SLUG, or id, another NAME."""
    act(PlannedAction.RENAME, slug, typed_name=name, typed_slug=typed_slug, **options)


@organizations.command("trash")
@click.argument("slug")
@planned_command
def trash(slug: str, **options: Any) -> None:
    """Move the organization with this SLUG, or id, to the trash."""
    act(PlannedAction.TRASH, slug, **options)


@organizations.command("restore")
@click.argument("organization_id", metavar="ID")
@click.option("--name", help="Another name, where its own is taken.")
@click.option("--slug", "typed_slug", help="Another slug, where its own is taken.")
@planned_command
def restore(organization_id: str, name: str | None, typed_slug: str | None, **options: Any) -> None:
    """Bring the organization with this ID back from the trash."""
    act(PlannedAction.RESTORE, organization_id, typed_name=name, typed_slug=typed_slug, **options)


@organizations.command("purge")
@click.argument("slug")
@planned_command
def purge(slug: str, **options: Any) -> None:
    """Delete the organization with this SLUG, or id, for good, with all of its documents."""
    act(PlannedAction.PURGE, slug, **options)


@organizations.command("note")
@click.argument("slug")
@click.argument("text")
@json_option
@on_database
def note(slug: str, text: str, as_json: bool) -> None:
    """Keep a note, TEXT, about the organization with this SLUG, or id, for operators alone."""
    with refusals():
        kept = notes.add_note(_organization_with(slug).id, text, RequestContext(OPERATOR))
    if as_json:
        print_json({"id": kept.id, "text": kept.text, "at": kept.at})
    else:
        click.echo(f"Kept. To remove it: flask organizations remove-note {slug} {kept.id}")


@organizations.command("notes")
@click.argument("slug")
@click.option("--after", type=OBJECT_ID, metavar="ID", help="Those before this one.")
@json_option
@on_database
def list_notes(slug: str, after: ObjectId | None, as_json: bool) -> None:
    """List the notes about the organization with this SLUG, or id, 25 at a time, newest first."""
    found = notes.notes_of(_organization_with(slug).id, after=after).rows
    if as_json:
        print_json(found)
    for one in [] if as_json else found:
        author = one.author or "a command, or a closed account"
        click.echo(f"{one.id}  {one.at:%Y-%m-%d %H:%M} UTC, {plain(author)}")
        for line in one.text.splitlines():
            click.echo(f"    {plain(line)}")
    if not found:
        click.echo("There are no notes.", err=True)


@organizations.command("remove-note")
@click.argument("slug")
@click.argument("note_id", metavar="ID", type=OBJECT_ID)
@json_option
@on_database
def remove_note(slug: str, note_id: ObjectId, as_json: bool) -> None:
    """Remove the note with this ID about the organization with this SLUG, or id."""
    with refusals():
        notes.remove_note(_organization_with(slug).id, note_id, RequestContext(OPERATOR))
    if as_json:
        print_json({"removed": note_id})
    else:
        click.echo("Removed.")


@organizations.command("metadata")
@click.argument("slug")
@click.option("--external-id", help="By which another system knows it; '' for none.")
@click.option(
    "--set", "entries", multiple=True, metavar="NAME=VALUE", help="An entry; NAME= takes it away."
)
@json_option
@on_database
def set_metadata(
    slug: str, external_id: str | None, entries: tuple[str, ...], as_json: bool
) -> None:
    """Set what other systems know the organization with this SLUG, or id, by.

    What isn't named stays.
    """
    metadata = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not separator:
            raise click.UsageError("Write an entry as NAME=VALUE.")
        metadata[name] = value or None
    given = {} if external_id is None else {"external_id": external_id or None}
    with refusals():
        organization = external.set_external(
            _organization_with(slug).id, RequestContext(OPERATOR), metadata=metadata, **given
        )
        if as_json:
            print_json(as_told(organization))
        else:
            print_organization(organization)


organizations.add_command(list_organizations)


@organizations.command("set-owner")
@click.argument("slug")
@click.argument("address")
@json_option
@on_database
def set_owner(slug: str, address: str, as_json: bool) -> None:
    """Make the account with this e-mail ADDRESS an owner of the organization with this SLUG.

    It need not be a member. Other owners stay. The audit trail names the operator, and all owners
    are told by mail. Give the id of an organization in the trash as SLUG.
    """
    organization, account = _organization_with(slug), account_with(address)
    try:
        organization = ownership.set_owner(organization.id, account.id, RequestContext(OPERATOR))
    except (AlreadyOwner, BlockedOwner) as error:
        raise CommandFailed(error.words) from error
    except AddressNotVerified as error:
        raise CommandFailed(
            f"{account.email} is not verified, so anybody may have typed it. Have its owner follow "
            "the link that was mailed there. Nothing was changed."
        ) from error
    if as_json:
        print_json(as_told(organization))
    else:
        told = "All owners are told by mail."
        click.echo(f"{account.email} is an owner of {organization.name}. {told}")


@organizations.command("set")
@click.argument("slug")
@click.option("--plan", help="Its plan, by which the placement policy goes; '' for none.")
@click.option("--region", help="The region that its documents stay in; '' for any.")
@json_option
@on_database
def set_plan(slug: str, plan: str | None, region: str | None, as_json: bool) -> None:
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
    if as_json:
        print_json(as_told(organization))
    else:
        click.echo(
            f"{organization.name}: plan {organization.plan or 'none'}, region "
            f"{organization.region or 'any'}."
        )


def _organization_in_any_state(slug: str) -> Organization:
    """Also one that was purged, by its id."""
    if ObjectId.is_valid(slug) and (found := Organization.objects(id=slug).first()):
        return found
    return _organization_with(slug)


def _organization_with(slug: str) -> Organization:
    try:
        return planning.find_organization(slug)
    except NotFound as error:
        raise CommandFailed(
            f"There is no organization {slug}. Give the id of one in the trash."
        ) from error
