"""The output of commands: tables on a terminal, or JSON for programs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date
from typing import Any

import click
from bson import ObjectId

from portal.cli.running import plain

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs."
)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print the rows in columns under their heads; of a value that is missing a -."""
    shown = [[plain(str("-" if value is None else value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *shown, strict=True)]
    for line in (heads, *shown):
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_json(value: object) -> None:
    """Print the value, dataclasses in it as objects, ids and times as text. In ASCII: nothing in it
    moves the cursor of a terminal."""
    click.echo(json.dumps(value, default=_as_json, indent=2))


def _as_json(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
