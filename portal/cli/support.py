"""``flask support``: access to customers' organizations that their owners give."""

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.cli.running import on_database, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.organizations import planning as organizations
from portal.organizations.support import grants
from portal.organizations.support.grants import ListedGrant
from portal.web.context import OPERATOR, RequestContext

support = AppGroup("support", help="Access to organizations that their owners give operators.")


@support.command("list")
@click.argument("organization")
@json_option
@on_database
def list_all(organization: str, as_json: bool) -> None:
    """List who asked to look at an organization, and who may: by its slug or id."""
    with refusals():
        found = grants.grants_of(organizations.find_organization(organization).id)
    if as_json:
        print_json(found)
    elif found:
        print_table(("ID", "STATE", "SHOWS", "UNTIL", "PAGES", "WHY"), [_row(one) for one in found])
    else:
        click.echo("Nobody has asked: flask support ask does.")


@support.command("ask")
@click.argument("organization")
@click.option("--reason", required=True, help="Why; its owners read it.")
@click.option("--hours", type=int, default=4, show_default=True)
@click.option("--documents", is_flag=True, help="Ask to see documents too.")
@json_option
@on_database
def ask(organization: str, reason: str, hours: int, documents: bool, as_json: bool) -> None:
    """Ask the owners of an organization to let an operator look. They decide, and get a mail."""
    with refusals():
        there = organizations.find_organization(organization)
        context = RequestContext(OPERATOR)
        asked = grants.ask(there.id, reason, hours, context, with_documents=documents)
    if as_json:
        print_json(grants.grant_of(there.id, asked.id))
    else:
        click.echo(f"Asked as {asked.id}. Once an owner agrees, any operator may look, on pages.")


@support.command("end")
@click.argument("organization")
@click.argument("grant")
@json_option
@on_database
def end(organization: str, grant: str, as_json: bool) -> None:
    """Withdraw what was asked for, or end access that is in force."""
    with refusals():
        there = organizations.find_organization(organization)
        found = grants.grant_of(there.id, grant)
        ended = grants.give_back(there.id, ObjectId(found.id), RequestContext(OPERATOR))
    if as_json:
        print_json(grants.grant_of(there.id, ended.id))
    else:
        click.echo(f"It is {ended.state}. Nobody looks by it any more.")


def _row(grant: ListedGrant) -> tuple[object, ...]:
    shows = "with documents" if grant.with_documents else "no documents"
    until = grant.ended_at or grant.ends_at
    told = f"{until:%Y-%m-%d %H:%M}" if until else None
    return grant.id, grant.shown_state, shows, told, grant.pages, grant.reason
