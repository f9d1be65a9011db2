"""``flask data list`` and ``count``: an organization's documents, and how many there are."""

import sys
from typing import Any

import click
from flask.cli import with_appcontext

from portal.cli.running import on_database, refusals
from portal.data import extended_json, queries, reading
from portal.data.access import DocumentAccess, operator_access
from portal.data.queries import LARGEST_PAGE, Query
from portal.organizations import planning
from portal.tenants.elements import framed_id, id_of

_USUAL = 20


@click.command("list")
@click.argument("slug")
@click.option("--filter", "text", default="{}", help="A filter, as Extended JSON.")
@click.option("--sort", "names", help="Fields with commas between them; -FIELD for descending.")
@click.option(
    "--limit",
    default=_USUAL,
    show_default=True,
    type=click.IntRange(1, LARGEST_PAGE),
    help="The most documents.",
)
@click.option("--relaxed", is_flag=True, help="Numbers and dates as people write them.")
@with_appcontext
@on_database
def list_documents(slug: str, text: str, names: str | None, limit: int, *, relaxed: bool) -> None:
    """List documents of the organization with this SLUG, newest first, one a line.

    As canonical Extended JSON, which reads back as the same documents. One that can't be told so
    has its _id alone, and is counted on the error output. All of them: flask data export.
    """
    with refusals():
        seen = _access_to(slug)
        asked = Query(queries.parse_query(text), _sort(names), limit=limit)
        page = reading.list_documents(seen, asked, None)
    unreadable = 0
    for document in page.documents:
        try:
            click.echo(extended_json.render(document, relaxed=relaxed))
        except ValueError:
            unreadable += 1
            click.echo(extended_json.render(framed_id(id_of(document))))
    if unreadable:
        click.echo(
            f"{unreadable} hold a text that is no UTF-8: only their _id is shown.", sys.stderr
        )
    if page.next:
        click.echo(f"There are more than these {len(page.documents)}.", sys.stderr)


@click.command("count")
@click.argument("slug")
@click.option("--filter", "text", default="{}", help="A filter, as Extended JSON.")
@with_appcontext
@on_database
def count_documents(slug: str, text: str) -> None:
    """Count documents of the organization with this SLUG, up to 100,000 of those that match."""
    with refusals():
        found = reading.count_documents(_access_to(slug), queries.parse_query(text), None)
    click.echo(f"more than {found.count}" if found.more else found.count)


def _access_to(slug: str) -> DocumentAccess:
    return operator_access(planning.find_organization(slug))


def _sort(names: str | None) -> dict[str, Any]:
    if not names:
        return {"_id": -1}
    given = [name.strip() for name in names.split(",") if name.strip()]
    return {name.removeprefix("-"): -1 if name.startswith("-") else 1 for name in given}


COMMANDS = (list_documents, count_documents)
