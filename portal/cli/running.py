"""Parts of every command: settings, a prepared database, and an exit status."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import click
import structlog

from portal import settings
from portal.database import connection
from portal.errors import PortalError
from portal.organizations.usage import metering
from portal.settings import InvalidSettings, Settings, instance

log = structlog.get_logger()

COMMAND_FAILED = 2


class CommandFailed(click.ClickException):
    """A command failed; the message says what to do."""

    exit_code = COMMAND_FAILED


def is_running() -> bool:
    """Tell whether this process is a command."""
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true"


def load_settings() -> Settings:
    """The settings for a command: from the environment and ``.env``, and where those have no
    MongoDB from the portal that runs in this folder. Raises CommandFailed."""
    try:
        if not settings.load_supervisor().mongo_uri:
            _use_embedded_settings()
        return settings.load()
    except InvalidSettings as error:
        raise CommandFailed(str(error)) from error


def _use_embedded_settings() -> None:
    running = instance.read_settings()
    if not running or not _is_reachable(running["MONGO_URI"]):
        raise CommandFailed(
            "No portal runs from this folder, and MONGO_URI names no MongoDB. Start the portal "
            "with `make run`, or set what it is served with: MONGO_URI, JWT_SECRET, SECRET_KEY."
        )
    os.environ.update(running)


def _is_reachable(uri: str) -> bool:
    server = urlsplit(uri)
    try:
        with socket.create_connection((server.hostname, server.port), timeout=5):
            return True
    except OSError:
        return False


def plain(text: str) -> str:
    """Without control sequences: anybody may name a stray collection, or a client of MongoDB."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@contextmanager
def refusals() -> Iterator[None]:
    """Tell a service's refusal in its words, as CommandFailed."""
    try:
        yield
    except PortalError as error:
        raise CommandFailed(plain(error.words)) from error


def on_database(command: Callable[..., Any]) -> Callable[..., Any]:
    """Prepare the database before the command, report errors as ``on_data_as_it_is`` does, and what
    the command counted of organizations' use."""

    @wraps(command)
    def prepared(*arguments: Any, **options: Any) -> Any:
        connection.prepare()
        try:
            return command(*arguments, **options)
        finally:
            metering.report(last=True)

    return on_data_as_it_is(prepared)


def on_data_as_it_is(command: Callable[..., Any]) -> Callable[..., Any]:
    """Report the command's errors on one line with the exit status COMMAND_FAILED. The database is
    left as it is, so the command may only read."""

    @wraps(command)
    def guarded(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if connection.is_unavailable(error):
                raise CommandFailed(connection.explain(error)) from error
            log.exception("command.failed")
            raise CommandFailed(f"{type(error).__name__}: {error}") from error

    return guarded
