"""``flask listing``: the listing of organizations, checked and rebuilt; the list itself, as
``flask organizations list``."""

import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import click
from flask.cli import AppGroup

from portal.cli.running import on_database, refusals
from portal.cli.tables import json_option, print_json, print_table
from portal.documents.listing import ListedState, SizeClass, UseClass
from portal.documents.organizations import Strategy
from portal.operators.listing import checking, feeding
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import FIELDS
from portal.operators.listing.sorting import FIELDS as SORTS
from portal.operators.listing.sorting import Order

listing = AppGroup("listing", help="What lists of organizations and their search read.")

_TOLD_EVERY_SECONDS = 5
_PAUSE_SECONDS = 0.2
_HEADS = ("ID", "SLUG", "NAME", "STATE", "PLAN", "PLACEMENT", "CLUSTER", "DOCUMENTS", "BYTES")
_COLUMNS = ("_id", "slug", "name", "state", "plan", "strategy", "cluster", "documents", "bytes")


@listing.command("check")
@click.option("--repair", is_flag=True, help="List again what differs.")
@json_option
@on_database
def check(repair: bool, as_json: bool) -> None:
    """Compare the listing with the truth, field by field and word by word.

    What changed a moment ago is listed first. Ends with status 1 where something differs.
    """
    found = list(checking.find_differences(repair=repair))
    if as_json:
        print_json(found)
    else:
        for each in found:
            click.echo(f"{each.organization}  {each.words}")
        click.echo(f"{len(found)} differ." if found else "The listing is as the truth is.")
    if found and not repair:
        raise click.exceptions.Exit(1)


@listing.command("rebuild")
@on_database
def rebuild() -> None:
    """Rebuild the listing, while the portal runs.

    It stays in use meanwhile, and follows changes as ever. A portal goes on with it where this
    command is stopped.
    """
    feeding.begin_building()
    begun = told = time.monotonic()
    number = 0
    while not feeding.is_filled():
        for listed in feeding.steps():
            number += listed
            if time.monotonic() - told > _TOLD_EVERY_SECONDS:
                told = time.monotonic()
                click.echo(f"{number:,} organizations", err=True)
        time.sleep(_PAUSE_SECONDS)  # perhaps another process fills it
    click.echo(
        f"Filled in {time.monotonic() - begun:.0f} s; {number:,} organizations by this command."
    )


def with_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each filter of the list to a command, which gets them by their names."""
    choices = {"state": ListedState, "strategy": Strategy, "size": SizeClass, "used": UseClass}
    for name in ("created-to", "created-from", "cluster", "region", "plan"):
        command = click.option(f"--{name}")(command)
    for name, values in choices.items():
        command = click.option(f"--{name}", type=click.Choice([str(value) for value in values]))(
            command
        )
    return command


def filter_of(search: str | None, options: dict[str, str | None]) -> OrganizationFilter:
    """The filter of a command's argument and options. Raises CommandFailed."""
    given = {name: value for name, value in options.items() if value}
    with refusals():
        return OrganizationFilter.from_args({**given, **({"search": search} if search else {})})


@click.command("list")
@click.argument("search", required=False)
@with_filters
@click.option("--sort", default="name", type=click.Choice([*SORTS, *(f"-{one}" for one in SORTS)]))
@click.option("--limit", default=100, help="How many at most; 0 for all that match.")
@json_option
@on_database
def list_organizations(
    search: str | None, sort: str, limit: int, as_json: bool, **options: str | None
) -> None:
    """List organizations, or those whose words begin with the words of SEARCH.

    Words are of name, slug, owners' e-mail addresses and their domains, ids elsewhere and metadata;
    an id, a slug, a collection or the address of any member finds exactly that.
    """
    rows = filter_of(search, options).matching_rows(list(FIELDS), Order.parse(sort) or Order())
    found = list(islice(rows, limit or None))
    if as_json:
        print_json(
            [{"id": row["_id"], **{name: row.get(name) for name in FIELDS}} for row in found]
        )
    elif found:
        print_table(_HEADS, [[row.get(name) for name in _COLUMNS] for row in found])
    else:
        click.echo("No organization matches.")
