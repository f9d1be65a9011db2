"""``flask operators``: who gets into the operators' console."""

import click
from flask.cli import AppGroup

from portal.cli.running import on_database
from portal.cli.tables import json_option, print_json, print_table
from portal.operators.roles import list_operators

operators = AppGroup("operators", help="The people who get into the operators' console.")


@operators.command("list")
@json_option
@on_database
def list_all(as_json: bool) -> None:
    """List everybody with a role in the console."""
    found = list_operators()
    if as_json:
        print_json(found)
    elif found:
        rows = [
            (one.email, one.role, "set up" if one.has_second_factor else "none yet")
            for one in found
        ]
        print_table(("OPERATOR", "ROLE", "SECOND FACTOR"), rows)
    else:
        click.echo("There are no operators: flask operators create ADDRESS makes one.")
