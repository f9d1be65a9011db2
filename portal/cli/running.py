"""What every command needs: settings, a prepared database, and an exit status."""

import os
import socket
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import click
import structlog

from portal import settings
from portal.database import connection
from portal.settings import InvalidSettings, Settings, instance

log = structlog.get_logger()

COULD_NOT = 2


class CouldNot(click.ClickException):
    """Why a command could not do its work; the message says what to do."""

    exit_code = COULD_NOT


def is_running() -> bool:
    """Whether this process is a command."""
    return os.environ.get("FLASK_RUN_FROM_CLI") == "true"


def load_settings() -> Settings:
    """The settings for a command: the environment's and ``.env``'s, and where they name no
    MongoDB those of the portal that runs from this folder. Raises CouldNot."""
    try:
        if not settings.load_supervisor().mongo_uri:
            _take_settings_of_embedded()
        return settings.load()
    except InvalidSettings as error:
        raise CouldNot(str(error)) from error


def _take_settings_of_embedded() -> None:
    left = instance.read_settings()
    if not left or not _answers(left["MONGO_URI"]):
        raise CouldNot(
            "No portal runs from this folder, and MONGO_URI names no MongoDB. Start the portal "
            "with `make run`, or set what it is served with: MONGO_URI, JWT_SECRET, SECRET_KEY."
        )
    os.environ.update(left)


def _answers(uri: str) -> bool:
    server = urlsplit(uri)
    try:
        with socket.create_connection((server.hostname, server.port), timeout=5):
            return True
    except OSError:
        return False


def on_database(command: Callable[..., Any]) -> Callable[..., Any]:
    """Prepare the database before the command, and tell in one line what stops it: exit status
    COULD_NOT."""

    @wraps(command)
    def guarded(*arguments: Any, **options: Any) -> Any:
        try:
            connection.prepare()
            return command(*arguments, **options)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            if not connection.is_unavailable(error):
                log.exception("command.failed")
            raise CouldNot(f"{type(error).__name__}: {error}") from error

    return guarded
