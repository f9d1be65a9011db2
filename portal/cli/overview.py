"""``flask overview``: what needs an operator, what runs, what operators did."""

import click
from bson import ObjectId
from flask.cli import AppGroup

from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.operators.overview import activity, figures, runners, running, sources
from portal.operators.overview.activity import ActFilter
from portal.operators.overview.sources import Looked
from portal.organizations.access.lookup import parse_object_id
from portal.web.context import OPERATOR, RequestContext

_OPERATION_HEADS = ("ORGANIZATION", "NAME", "OPERATION", "ATTEMPT", "SINCE", "LAST ERROR")
_MINUTE = "%Y-%m-%d %H:%M"


@click.group("overview", cls=AppGroup, invoke_without_command=True)
@json_option
@click.pass_context
def overview(ctx: click.Context, as_json: bool) -> None:
    """Say what needs an operator; with a command, what runs and what was done."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, as_json=as_json)


@overview.command("show")
@json_option
@on_database
def show(as_json: bool) -> None:
    """Say what needs somebody, and what was not looked at.

    Exit status: 0 nothing needs anybody, 1 something does, 2 the command failed.
    """
    looked = sources.look()
    if as_json:
        told = {"figures": figures.look(looked.needs.at), "clusters": looked.clusters}
        print_json({"needs": looked.needs, "processes": looked.runners.all, **told})
    else:
        _print_needs(looked)
    if looked.needs.number or looked.needs.unseen:
        raise click.exceptions.Exit(1)


@overview.command("operations")
@json_option
@on_database
def list_operations(as_json: bool) -> None:
    """List the lifecycle operations that run; flask moves and flask jobs list the rest."""
    found = running.operations()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            row.organization,
            row.name,
            row.kind,
            row.attempt,
            row.started_at.strftime(_MINUTE),
            row.last_error,
        )
        for row in found.rows
    ]
    if rows:
        print_table(_OPERATION_HEADS, rows)
    click.echo(f"{found.counted} running.", err=True)


@overview.command("outbox")
@json_option
@on_database
def list_outbox(as_json: bool) -> None:
    """List the mails that wait to leave."""
    found = running.mails()
    if as_json:
        print_json(found)
        return
    rows = [(row.kind, row.to, row.attempt, row.last_error) for row in found.rows]
    if rows:
        print_table(("KIND", "TO", "TRIES", "LAST REASON"), rows)
    click.echo(f"{found.counted} waiting.", err=True)


@overview.command("processes")
@json_option
@on_database
def list_processes(as_json: bool) -> None:
    """List the portal's processes, as each told of itself last."""
    found = runners.look().all
    if as_json:
        print_json(found)
        return
    rows = [
        (each.id, each.host, each.pid, each.version, "silent" if each.is_silent else "well")
        for each in found
    ]
    print_table(("ID", "HOST", "PROCESS", "VERSION", "STATE"), rows)


@overview.command("forget")
@click.argument("process", metavar="ID")
@json_option
@on_database
def forget_process(process: str, as_json: bool) -> None:
    """Tell no more of the process with this ID, which was killed."""
    with refusals():
        runners.forget(parse_object_id(process), RequestContext(OPERATOR))
    if as_json:
        print_json({"forgotten": process})
    else:
        click.echo("It is told of no more.")


@overview.command("activity")
@click.option("--operator", help="The id of an account or a key; command for commands.")
@click.option("--action", help="Such as organization.renamed.")
@click.option("--subject", help="The id of an organization or an account.")
@click.option("--after", help="The id of the last one of the page before.")
@json_option
@on_database
def list_acts(after: str | None, as_json: bool, **typed: str | None) -> None:
    """List what operators did, newest first."""
    given = {name: value for name, value in typed.items() if value}
    wanted = ActFilter.read(given)
    if unknown := given.keys() - wanted.query.keys():
        raise CommandFailed(f"There is nothing like that for --{min(unknown)}.")
    if after and not ObjectId.is_valid(after):
        raise CommandFailed("Give the id of an act to --after: 24 digits and letters.")
    page = activity.list_acts(wanted, after=ObjectId(after) if after else None)
    if as_json:
        print_json({"acts": page.rows, "after": page.after})
        return
    rows = [
        (act.event.at.strftime(_MINUTE), act.by, act.event.words, act.about) for act in page.rows
    ]
    if rows:
        print_table(("WHEN", "OPERATOR", "WHAT", "TO"), rows)
    if page.after:
        click.echo(f"There are more: --after {page.after}", err=True)


def _print_needs(looked: Looked) -> None:
    needs = looked.needs
    for need in needs.told:
        click.echo(f"{'!' if need.failed else '-'} {plain(need.title)}\n  {plain(need.words)}")
    for source in needs.sources:
        if source.more:
            click.echo(f"- {source.title}: {source.more:,} more")
    for source in needs.unseen:
        since = f"since {source.looked_at:{_MINUTE}} UTC" if source.looked_at else "yet"
        click.echo(f"- {source.title}: not looked at {since}\n  {plain(source.trouble or '')}")
    if not needs.number and not needs.unseen:
        click.echo("Nothing needs you. All was looked at.")
