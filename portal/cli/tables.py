"""Tables on a terminal."""

from collections.abc import Sequence

import click

from portal.cli.running import plain


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print the rows in columns under their heads; of a value that is missing a -."""
    shown = [[plain(str("-" if value is None else value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *shown, strict=True)]
    for line in (heads, *shown):
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
