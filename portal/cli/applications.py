"""``flask applications``: the MongoDB users of the software that organizations use."""

import sys
from collections.abc import Iterator
from datetime import datetime

import click
from flask.cli import AppGroup

from portal.applications import managing
from portal.applications.dropping import Dropped, homes_of
from portal.applications.following import obstacle_of
from portal.applications.managing import ListedApplication, MadeUser
from portal.cli.administrators import (
    admin_uri_option,
    administrator_variable,
    administrators,
    cluster_admin_uri_option,
)
from portal.cli.running import on_database, plain, refusals
from portal.database.clusters import known_clusters
from portal.database.users import Connection
from portal.documents.organizations import MAIN_CLUSTER
from portal.web.context import OPERATOR, RequestContext

applications = AppGroup("applications", help="Applications that use tenant data directly.")

_NO_ADMINISTRATOR = (
    "The portal's own MongoDB user may make and drop none in admin, and MONGO_ADMIN_URI names no "
    "administrator. Paste this into mongosh as one:"
)


@applications.command("add")
@click.argument("name")
@admin_uri_option
@cluster_admin_uri_option
@on_database
def add_application(name: str, admin_uri: str | None, cluster_admin_uris: tuple[str, ...]) -> None:
    """Make a MongoDB user for the application NAME, and print its URI, once.

    The user reads the directory, reads and writes organizations' documents, and may do nothing
    else. The URI is printed after it was tried on each member that is up; after it those of other
    clusters with an administrator's URI, each behind the cluster's name.
    """
    with administrators(admin_uri, cluster_admin_uris) as admins, refusals():
        _print(managing.add_application(name, admins, RequestContext(OPERATOR)))


@applications.command("extend")
@click.argument("name")
@click.argument("cluster")
@admin_uri_option
@cluster_admin_uri_option
@on_database
def extend_application(
    name: str, cluster: str, admin_uri: str | None, cluster_admin_uris: tuple[str, ...]
) -> None:
    """Make the MongoDB user of the application NAME on another CLUSTER, and print its URI, once.

    One that was there is recreated, so a URI that was printed before ends. Without an
    administrator's URI for the cluster you are told what to paste into mongosh there.
    """
    context = RequestContext(OPERATOR)
    with administrators(admin_uri, cluster_admin_uris) as admins, refusals():
        _print(managing.extend_application(name, cluster, admins.get(cluster), context))


@applications.command("list")
@on_database
def list_applications() -> None:
    """List the applications, their MongoDB users, and where these have connections open."""
    found = managing.list_applications()
    for listed in found:
        for line in _lines(listed):
            click.echo(line)
    if not found:
        click.echo("There are no applications.")


@applications.command("rotate")
@click.argument("name")
@click.option("--finish", is_flag=True, help="Drop the user before the last rotation.")
@click.option("--yes", is_flag=True, help="With --finish: don't ask, though it is in use.")
@click.option("--dropped", is_flag=True, help="With --finish: you dropped it in mongosh.")
@admin_uri_option
@cluster_admin_uri_option
@on_database
def rotate_application(
    name: str,
    finish: bool,
    yes: bool,
    dropped: bool,
    admin_uri: str | None,
    cluster_admin_uris: tuple[str, ...],
) -> None:
    """Make another MongoDB user for the application NAME, and print its URI, once.

    The one before works on until you call this with --finish, which asks where it has open
    connections. While it is left on a cluster, for lack of an administrator there, it stays listed,
    the exit status is 1, and you call that again.
    """
    context = RequestContext(OPERATOR)
    with administrators(admin_uri, cluster_admin_uris, answering=finish) as admins, refusals():
        if not finish:
            _print(managing.rotate_application(name, admins, context))
            return
        listed = _listed(name)
        former = listed.connections_of(listed.application.former_user)
        if listed.application.former_user and former != [] and not yes:
            _ask(former, "The former user may be in use. Drop it all the same?")
        outcome = managing.finish_rotation(name, admins, context, dropped=dropped)
    _print_dropped(outcome, f"flask applications rotate {name} --finish")


@applications.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--dropped", is_flag=True, help="You dropped its users in mongosh.")
@admin_uri_option
@cluster_admin_uri_option
@on_database
def remove_application(
    name: str,
    yes: bool,
    dropped: bool,
    admin_uri: str | None,
    cluster_admin_uris: tuple[str, ...],
) -> None:
    """Drop the MongoDB users of the application NAME. Its open connections are refused at once;
    what it wrote stays.

    While one of its users is left on a cluster, for lack of an administrator there, the application
    stays listed, and you call this again. Exit status: 0 all dropped, 1 something is left.
    """
    with administrators(admin_uri, cluster_admin_uris, answering=True) as admins, refusals():
        listed = _listed(name)
        if not yes:
            _ask(listed.connections, f"Remove {name}? It can't read or write from then on.")
        context = RequestContext(OPERATOR)
        outcome = managing.remove_application(name, admins, context, dropped=dropped)
    _print_dropped(outcome, f"flask applications remove {name}")


def _listed(name: str) -> ListedApplication:
    managing.find_application(name)
    return next(one for one in managing.list_applications() if one.application.name == name)


def _print(made: MadeUser) -> None:
    _print_uri(made, "")
    for cluster, there in made.elsewhere.items():
        _print_uri(there, f"{cluster} ")
    click.echo("Keep it: it is stored nowhere, and not shown again.", err=True)


def _print_uri(made: MadeUser, before: str) -> None:
    if made.script:
        click.echo(f"{_NO_ADMINISTRATOR}\n\n{made.script}\n", err=True)
    if made.proof:
        for words, members in (
            ("does not know the user yet", made.proof.lagging),
            ("could not be tried", made.proof.down),
        ):
            for member in members:
                click.echo(f"{member} {words}.", err=True)
    click.echo(f"{before}{made.uri}")


def _print_dropped(outcome: Dropped, command: str) -> None:
    """Say what is gone, and what isn't: then the exit status is 1."""
    if not outcome.left and not outcome.by_hand:
        click.echo("Dropped. Its open connections are refused.")
        return
    if outcome.gone:
        there = ", ".join(outcome.gone)
        click.echo(f"Dropped on {there}: its open connections there are refused.")
    if outcome.by_hand:
        click.echo(f"Recorded as dropped by you on {', '.join(outcome.by_hand)}.")
        return
    left = ", ".join(outcome.left)
    click.echo(
        f"Not on {left} yet: {_variables(outcome.left)} leads to no administrator. Call this again "
        f"with one, or paste this into mongosh there as one:\n\n"
        f"{outcome.script}\n\nThen: {command} --dropped",
        err=True,
    )
    sys.exit(1)


def _variables(clusters: tuple[str, ...]) -> str:
    names = (
        "MONGO_ADMIN_URI" if cluster == MAIN_CLUSTER else administrator_variable(cluster)
        for cluster in clusters
    )
    return ", ".join(names)


def _ask(connections: list[Connection] | None, question: str) -> None:
    for line in _indented(connections):
        click.echo(line, err=True)
    click.confirm(question, abort=True, err=True)


def _lines(listed: ListedApplication) -> Iterator[str]:
    application = listed.application
    state = application.user_state
    if application.ending_since:
        state = _to_drop(
            "removed", application.ending_since, homes_of(application, application.user)
        )
    since = f"since {application.user_since:%Y-%m-%d}"
    yield f"{application.name}  {application.user}  {since}  {state}"
    for one in listed.reported:
        version = plain(one.library) or "unknown"
        started = f"{one.processes} processes, the last {one.last_at:%Y-%m-%d %H:%M} UTC"
        yield f"  started with portal-tenants {version}: {started}"
    yield from _indented(listed.connections_of(application.user))
    for cluster in [] if application.ending_since else known_clusters():
        if cluster.name != MAIN_CLUSTER and cluster.lost_at is None:
            obstacle = obstacle_of(application, cluster.name)
            yield f"  {cluster.name}: {obstacle or 'can follow'}"
    if application.former_user:
        state = "until the rotation is finished"
        if since := application.ending_since or application.finishing_since:
            state = _to_drop("dropped", since, homes_of(application, application.former_user))
        yield f"{application.name}  {application.former_user}  {state}"
        yield from _indented(listed.connections_of(application.former_user))


def _to_drop(done: str, since: datetime, left: tuple[str, ...]) -> str:
    where = f"still on {', '.join(left)}" if left else "gone everywhere"
    return f"to be {done} since {since:%Y-%m-%d}, {where}"


def _indented(connections: list[Connection] | None) -> Iterator[str]:
    if connections is None:
        yield "  connections unknown: the portal's MongoDB user lacks inprog on the cluster"
        return
    words = sorted(map(_words, connections))
    for each in dict.fromkeys(words):
        yield f"  {words.count(each)} x {each}"


def _words(connection: Connection) -> str:
    name = connection.app_name or "without appName"
    return plain(f"{name}, from {connection.client.rpartition(':')[0]}")
