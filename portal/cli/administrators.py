"""The MongoDB administrator, whom some commands need: the portal's own user may make no other."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from environs import ValidationError
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from portal import settings
from portal.cli.running import CommandFailed
from portal.database import diagnosis, users
from portal.database.clusters import client_of, known_clusters
from portal.database.connection import CLIENT_TIMEOUT_SECONDS
from portal.database.errors import ClusterUnavailable
from portal.database.users import ConnectionString
from portal.documents.organizations import MAIN_CLUSTER
from portal.errors import PortalError
from portal.settings import checks, instance
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


cluster_admin_uri_option: Callable[[Any], Any] = click.option(
    "--cluster-admin-uri",
    "cluster_admin_uris",
    multiple=True,
    metavar="NAME=URI",
    help="The same of another cluster; also MONGO_ADMIN_URI_NAME, the name in capitals with _ in "
    "place of -. May be given several times.",
)


class ClusterSilent(CommandFailed):
    """The cluster of an administrator doesn't answer."""


@contextmanager
def administrators(
    uri: str | None, others: Sequence[str], *, answering: bool = False
) -> Iterator[dict[str, MongoClient]]:
    """The clients of administrators by cluster: of the first with this ``uri``, or of the embedded
    server, and of the ``others``, each named as ``NAME=URI`` or in the environment; with
    ``answering`` without those that don't answer, which are told. Raises CommandFailed."""
    uris = _uris_in_environment() | dict(map(_named, others))
    with ExitStack() as stack:
        opened = {}
        if main := stack.enter_context(administrator(uri)):
            opened[MAIN_CLUSTER] = main
        for cluster in sorted(uris):
            try:
                opened[cluster] = stack.enter_context(_opened(uris[cluster], cluster))
            except ClusterSilent as silent:
                if not answering:
                    raise
                click.echo(f"{cluster}: {silent.message}", err=True)
        yield opened


@contextmanager
def administrator(uri: str | None) -> Iterator[MongoClient | None]:
    """A client of the administrator with this ``uri``, or of the embedded server's; ``None`` where
    there is neither. Raises CommandFailed."""
    uri = uri or _embedded_uri()
    if uri is None:
        yield None
        return
    with _opened(uri, MAIN_CLUSTER) as opened:
        yield opened


@contextmanager
def _opened(uri: str, cluster: str) -> Iterator[MongoClient]:
    """Without the URI in any words: it has a password."""
    try:
        checks.mongo_uri(uri)
    except ValidationError as error:
        raise CommandFailed(
            f"The URI of the administrator of {cluster} {error.messages[0]}"
        ) from error
    opened: MongoClient = MongoClient(
        portable_uri(uri), timeoutMS=CLIENT_TIMEOUT_SECONDS * 1000, appname="portal"
    )
    with opened:
        try:
            _check(opened, cluster)
        except PyMongoError as error:
            reason = diagnosis.explain(error, opened.topology_description)
            if isinstance(error, OperationFailure) and diagnosis.refuses_credentials(error):
                reason = "MongoDB refuses the administrator's user name or password."
                raise CommandFailed(reason) from error
            raise ClusterSilent(reason) from error
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


def administrator_variable(cluster: str) -> str:
    """The environment variable with the administrator's URI of a cluster that isn't the first."""
    return f"MONGO_ADMIN_URI_{cluster.upper().replace('-', '_')}"


def _named(given: str) -> tuple[str, str]:
    cluster, equals, uri = given.partition("=")
    if not equals or not cluster or "://" in cluster:
        raise click.UsageError("--cluster-admin-uri takes NAME=URI, like europe=mongodb://…")
    return cluster, uri


def _uris_in_environment() -> dict[str, str]:
    """The URIs in variables of the environment that name a registered cluster."""
    variables = {
        known.name: administrator_variable(known.name)
        for known in known_clusters()
        if known.name != MAIN_CLUSTER and known.lost_at is None
    }
    return {name: os.environ[each] for name, each in variables.items() if os.environ.get(each)}


def _check(opened: MongoClient, cluster: str) -> None:
    try:
        portals = client_of(cluster)
    except ClusterUnavailable as error:
        raise ClusterSilent(error.reason) from error
    except PortalError as error:
        raise CommandFailed(f"{cluster}: {error}") from error
    own, theirs = (each.admin.command("hello") for each in (portals, opened))
    if own.get("setName") != theirs.get("setName") or not (
        set(own.get("hosts", [])) & set(theirs.get("hosts", [])) or "hosts" not in own
    ):
        portals_uri = "MONGO_URI" if cluster == MAIN_CLUSTER else f"the portal's for {cluster}"
        raise CommandFailed(f"The administrator's URI leads to another MongoDB than {portals_uri}.")
    if missing := users.missing_rights(opened[_HOME]):
        raise CommandFailed(
            f"The administrator's user lacks {', '.join(missing)} on admin: userAdminAnyDatabase "
            "has them."
        )
