"""``flask bulk``: actions on many organizations, frozen and counted first."""

from typing import Any

import click
from flask.cli import AppGroup

from portal.cli.running import on_database, plain, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.documents.bulk_actions import BulkAction, BulkOutcome
from portal.operators.bulk import managing
from portal.operators.bulk.kinds import KINDS
from portal.operators.bulk.reading import latest_bulks, results_as_csv, shown_bulk
from portal.web.context import OPERATOR, RequestContext

bulk = AppGroup("bulk", help="Actions on many organizations, frozen and counted first.")

_MOST_LISTED = 50
_named = click.argument("bulk_id", metavar="ID")


class _Pair(click.ParamType):
    """A name and a value."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, separator, text = value.partition("=")
        if not separator:
            self.fail("Write it as NAME=VALUE.", param, ctx)
        return name, text


@bulk.command("plan")
@click.argument("action", type=click.Choice(list(KINDS)))
@click.option("--id", "ids", multiple=True, metavar="ID", help="An organization; give several.")
@click.option(
    "--filter", "filters", multiple=True, type=_Pair(), help="All that match, as in the list."
)
@click.option("--all", "every", is_flag=True, help="Every organization.")
@click.option("--with", "given", multiple=True, type=_Pair(), help="An argument of the action.")
@click.option("--per-minute", type=int, default=managing.PER_MINUTE, show_default=True)
@json_option
@on_database
def plan(
    action: str,
    ids: tuple[str, ...],
    filters: tuple[tuple[str, str], ...],
    every: bool,
    given: tuple[tuple[str, str], ...],
    per_minute: int,
    as_json: bool,
) -> None:
    """Plan an ACTION on many organizations: freeze which, and count them. Nothing else happens."""
    if [bool(ids), bool(filters), every].count(True) != 1:
        raise click.UsageError("Give --id, --filter or --all.")
    context, arguments = RequestContext(OPERATOR), dict(given)
    with refusals():
        if ids:
            planned = managing.plan_these(action, arguments, ids, context, per_minute)
        else:
            planned = managing.plan_all(action, arguments, dict(filters), context, per_minute)
    _tell(planned, as_json)


@bulk.command("list")
@json_option
@on_database
def list_all(as_json: bool) -> None:
    """List the latest actions on many organizations, newest first."""
    shown = [shown_bulk(one) for one in latest_bulks(_MOST_LISTED)]
    if as_json:
        print_json([one.as_told() for one in shown])
    elif shown:
        rows = [
            (one.bulk.id, one.title, one.ran.state if one.ran else one.bulk.state, one.bulk.words)
            for one in shown
        ]
        print_table(("ID", "ACTION", "STATE", "WHICH"), rows)
    else:
        click.echo("There are none.", err=True)


@bulk.command("show")
@_named
@json_option
@on_database
def show(bulk_id: str, as_json: bool) -> None:
    """Show the action with this ID: its plan, or how far it is."""
    with refusals():
        found = managing.find_bulk(bulk_id)
    _tell(found, as_json)


@bulk.command("results")
@_named
@on_database
def results(bulk_id: str) -> None:
    """Print what became of each organization as CSV."""
    with refusals():
        found = managing.find_bulk(bulk_id)
    for part in results_as_csv(found, "command"):
        click.echo(part, nl=False)


@bulk.command("start")
@_named
@click.option("--count", type=int, required=True, help="The number of organizations, as told.")
@json_option
@on_database
def start(bulk_id: str, count: int, as_json: bool) -> None:
    """Start the action with this ID, as it was planned. The portals carry it out."""
    with refusals():
        started = managing.start_bulk(bulk_id, count, RequestContext(OPERATOR))
    _tell(started, as_json)


@bulk.command("pause")
@_named
@json_option
@on_database
def pause(bulk_id: str, as_json: bool) -> None:
    """Pause the action with this ID, behind the organization in hand."""
    with refusals():
        managing.pause_bulk(bulk_id, RequestContext(OPERATOR))
        _tell(managing.find_bulk(bulk_id), as_json)


@bulk.command("resume")
@_named
@json_option
@on_database
def resume(bulk_id: str, as_json: bool) -> None:
    """Have the paused action with this ID go on."""
    with refusals():
        managing.resume_bulk(bulk_id, RequestContext(OPERATOR))
        _tell(managing.find_bulk(bulk_id), as_json)


@bulk.command("cancel")
@_named
@json_option
@on_database
def cancel(bulk_id: str, as_json: bool) -> None:
    """End the action with this ID for good. What was done stays done."""
    with refusals():
        managing.cancel_bulk(bulk_id, RequestContext(OPERATOR))
        _tell(managing.find_bulk(bulk_id), as_json)


@bulk.command("retry")
@_named
@json_option
@on_database
def retry(bulk_id: str, as_json: bool) -> None:
    """Plan the action with this ID again for those alone that it left over: that were refused, or
    not reached before its end."""
    with refusals():
        planned = managing.plan_again(bulk_id, RequestContext(OPERATOR))
    _tell(planned, as_json)


def _tell(found: BulkAction, as_json: bool) -> None:
    shown = shown_bulk(found)
    if as_json:
        print_json(shown.as_told())
        return
    outcomes = ", ".join(f"{shown.outcomes[one]:,} {one}" for one in BulkOutcome)
    rows = [
        ("id", found.id),
        ("action", shown.title),
        ("which", found.words),
        ("state", shown.ran.state if shown.ran else found.state),
        ("outcomes", outcomes),
        ("touches", f"{found.documents:,} documents, {found.members:,} memberships"),
        ("takes", f"{shown.minutes:,} min, at {found.per_minute:,} a minute"),
        *((words, f"{number:,}, each of which is refused") for words, number in shown.beside),
    ]
    for name, value in rows:
        click.echo(f"{name:<10} {plain(str(value))}")
    if shown.left_over:
        click.echo(
            f"\nTo plan it again for the {shown.left_over:,} left over: flask bulk retry {found.id}"
        )
    if found.state == "planned":
        click.echo(f"\nTo start it: flask bulk start {found.id} --count {found.total}")
