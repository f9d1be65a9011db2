"""The MongoDB administrator, whom some commands need: the portal's own user may make no other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from portal import settings
from portal.cli.running import CommandFailed
from portal.database import diagnosis, users
from portal.database.connection import CLIENT_TIMEOUT_SECONDS, client
from portal.database.users import ConnectionString
from portal.settings import instance
from portal.settings.checks import portable_uri

_HOME = "admin"

admin_uri_option: Callable[[Any], Any] = click.option(
    "--admin-uri",
    envvar="MONGO_ADMIN_URI",
    show_envvar=True,
    metavar="URI",
    help="The connection string of a MongoDB administrator; not needed beside a make run with a "
    "MongoDB of its own.",
)


@contextmanager
def administrator(uri: str | None) -> Iterator[MongoClient | None]:
    """A client of the administrator with this ``uri``, or of the embedded server's; ``None`` where
    there is neither. Raises CommandFailed."""
    uri = uri or _embedded_uri()
    if uri is None:
        yield None
        return
    opened: MongoClient = MongoClient(
        portable_uri(uri), timeoutMS=CLIENT_TIMEOUT_SECONDS * 1000, appname="portal"
    )
    with opened:
        try:
            _check(opened)
        except PyMongoError as error:
            reason = diagnosis.explain(error, opened.topology_description)
            if isinstance(error, OperationFailure) and diagnosis.refuses_credentials(error):
                reason = "MongoDB refuses the administrator's user name or password."
            raise CommandFailed(reason) from error
        yield opened


def _embedded_uri() -> str | None:
    """The administrator's of the server that runs in this folder, if that is the portal's."""
    running, password = instance.read_settings(), instance.read_administrator_password()
    own = settings.current().mongo_uri
    if password is None or running is None or running["MONGO_URI"] != own:
        return None
    return ConnectionString.of(own).for_user(
        instance.ADMINISTRATOR, password, database="", auth_source=_HOME, replica_set=None
    )


def _check(opened: MongoClient) -> None:
    own, theirs = (each.admin.command("hello") for each in (client(), opened))
    if own.get("setName") != theirs.get("setName") or not (
        set(own.get("hosts", [])) & set(theirs.get("hosts", [])) or "hosts" not in own
    ):
        raise CommandFailed("The administrator's URI leads to another MongoDB than MONGO_URI.")
    if missing := users.missing_rights(opened[_HOME]):
        raise CommandFailed(
            f"The administrator's user lacks {', '.join(missing)} on admin: userAdminAnyDatabase "
            "has them."
        )
