"""``flask migrate``: migrations of master data."""

import sys

import click
from flask.cli import AppGroup

from portal.cli.running import on_data_as_it_is
from portal.database.connection import master_database
from portal.database.migrations import Standing, read_standings

migrate = AppGroup("migrate", help="Migrations of master data.")


@migrate.command("status")
@on_data_as_it_is
def show_status() -> None:
    """Show each migration, when it ran, and how many documents still have the older shape.

    Older documents are written by a portal of an earlier version that still runs. They are served,
    and brought to the new shape within the hour. Exit status: 0 all ran and none is left, 1
    otherwise, 2 the command failed.
    """
    standings = list(read_standings(master_database()))
    for standing in standings:
        click.echo(
            f"{standing.migration.number}  {_when(standing):<20}  "
            f"older documents: {standing.older_documents}  {standing.migration.title}"
        )
    settled = all(standing.done and not standing.older_documents for standing in standings)
    sys.exit(0 if settled else 1)


def _when(standing: Standing) -> str:
    if not standing.done:
        return "not yet"
    return f"{standing.at:%Y-%m-%d %H:%M} UTC" if standing.at else "done"
