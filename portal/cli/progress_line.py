"""The line that says how far a command's work is."""

import shutil
import sys
import time

import click

from portal.cli.running import plain

# Who keeps the output looks whether there is any.
_LINE_EVERY_SECONDS = 60
_ANEW_EVERY_SECONDS = 0.1


class ProgressLine:
    """A line that is written anew on a terminal; elsewhere it is a new one, every
    _LINE_EVERY_SECONDS."""

    def __init__(self) -> None:
        self._anew = sys.stdout.isatty()
        self._every_seconds = _ANEW_EVERY_SECONDS if self._anew else _LINE_EVERY_SECONDS
        self._next = time.monotonic() + self._every_seconds
        self._width = 0

    def show(self, line: str) -> None:
        """Show it in place of the one before."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every_seconds
        line = plain(line)
        if self._anew:
            line = line[: shutil.get_terminal_size().columns - 1]
            click.echo(f"\r{line:<{self._width}}", nl=False)
            self._width = len(line)
        else:
            click.echo(line)

    def keep(self, line: str) -> None:
        """Show it for good."""
        click.echo(f"\r{line:<{self._width}}" if self._width else line)
        self._width = 0

    def end(self) -> None:
        """Clear what is shown."""
        if self._width:
            click.echo(f"\r{'':<{self._width}}\r", nl=False)
