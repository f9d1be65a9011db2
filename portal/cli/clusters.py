"""``flask clusters``: MongoDB deployments for organizations' documents, beside the first one."""

import sys
from collections.abc import Iterator

import click
from flask.cli import AppGroup

from portal.applications.following import Follower, followers_of
from portal.cli.administrators import (
    admin_uri_option,
    administrators,
    cluster_admin_uri_option,
)
from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.clusters import managing, oplogs
from portal.clusters.checking import Checked
from portal.clusters.managing import Changes, ListedCluster
from portal.clusters.oplogs import LEAST_MEGABYTES
from portal.database.clusters import known_clusters
from portal.errors import PortalError
from portal.organizations.lifecycle import runner
from portal.organizations.moving.managing import give_moves_up
from portal.web.context import OPERATOR, RequestContext
from portal.web.counting import counted

clusters = AppGroup("clusters", help="MongoDB deployments for organizations' documents.")

_URI = "The connection string of the portal's user there; asked for if neither is given."


@clusters.command("add")
@click.argument("name")
@click.option("--uri", envvar="CLUSTER_URI", show_envvar=True, metavar="URI", help=_URI)
@click.option("--region", help="Where it is: organizations of another region are never put there.")
@click.option(
    "--weight", type=int, help="Its share of new organizations; 0 for none, 1 by default."
)
@click.option("--credentials-uri", metavar="URI", help="Hosts that customers get; without a user.")
@on_database
def add_cluster(
    name: str,
    uri: str | None,
    region: str | None,
    weight: int | None,
    credentials_uri: str | None,
) -> None:
    """Check the MongoDB of the URI, and register it as NAME.

    Applications need a URI for it as well (flask applications extend), or nothing is put there.
    """
    uri = uri or click.prompt("URI", hide_input=True, err=True)
    changes = Changes(uri, region, weight, credentials_uri)
    with refusals():
        _print_checked(name, managing.add_cluster(name, changes, RequestContext(OPERATOR)))
    click.echo(f"{name} is added. Portals use it within 5 seconds.")
    for follower in followers_of(name):
        if not follower.follows:
            click.echo(f"Nothing is put there yet: {in_words(follower)}", err=True)


@clusters.command("change")
@click.argument("name")
@click.option("--uri", metavar="URI", help="Another URI for the same MongoDB; - asks for it.")
@click.option("--region", help="Another region; an empty one for none.")
@click.option("--weight", type=int, help="Another share of new organizations; 0 for none.")
@click.option("--credentials-uri", metavar="URI", help="Hosts that customers get.")
@on_database
def change_cluster(
    name: str,
    uri: str | None,
    region: str | None,
    weight: int | None,
    credentials_uri: str | None,
) -> None:
    """Change what is given of the cluster NAME; another URI after a check of where it leads.

    The first cluster, main, has no URI here: that is MONGO_URI.
    """
    if uri == "-":
        uri = click.prompt("URI", hide_input=True, err=True)
    changes = Changes(uri, region, weight, credentials_uri)
    with refusals():
        checked = managing.change_cluster(name, changes, RequestContext(OPERATOR))
    if checked:
        _print_checked(name, checked)
    click.echo(f"{name} is changed. Portals use that within 5 seconds.")


@clusters.command("check")
@click.argument("name", required=False)
@on_database
def check_cluster(name: str | None) -> None:
    """Check the cluster NAME, or all: version, replica set, write concern, rights, clock.

    Exit status: 0 all well, 1 something is to be mended, 2 the command failed.
    """
    known = [one.name for one in known_clusters() if one.lost_at is None]
    bad = 0
    for each in [name] if name else known:
        try:
            checked = managing.check_known(each)
        except PortalError as error:
            bad += 1
            click.echo(f"{each}  {plain(error.words)}")
            continue
        bad += bool(checked.problems or checked.warnings)
        _print_checked(each, checked)
    sys.exit(1 if bad else 0)


@clusters.command("list")
@on_database
def list_clusters() -> None:
    """List the clusters with their organizations, and the applications that can't follow there."""
    for listed in managing.list_clusters():
        for line in _lines(listed):
            click.echo(line)


@clusters.command("oplog")
@click.argument("name")
@click.argument("megabytes", type=click.IntRange(min=LEAST_MEGABYTES))
@admin_uri_option
@cluster_admin_uri_option
@on_database
def resize_oplog(
    name: str, megabytes: int, admin_uri: str | None, cluster_admin_uris: tuple[str, ...]
) -> None:
    """Have the oplog of the cluster NAME keep MEGABYTES, from now on and while it runs.

    A move needs one that keeps all that is written until its end, the copy included.
    """
    with administrators(admin_uri, cluster_admin_uris) as admins, refusals():
        if name not in admins:
            raise CommandFailed(f"Name an administrator of {name}: see --help.")
        others = oplogs.resize_oplog(admins[name], megabytes)
    click.echo(f"The oplog of {name} keeps {megabytes:,} MB.")
    for member in others:
        click.echo(f"Do the same on {member}: {oplogs.command(megabytes)}")


@clusters.command("remove")
@click.argument("name")
@on_database
def remove_cluster(name: str) -> None:
    """Forget the cluster NAME, which holds nothing any more. What is on it stays as it is."""
    with refusals():
        managing.remove_cluster(name, RequestContext(OPERATOR))
    click.echo(
        f"{name} is removed. The portal's user and applications' users there, and <TENANT_DB>… "
        "are left to you."
    )


@clusters.command("lost")
@click.argument("name")
@click.option("--confirm", metavar="NAME", help="The name once more, in place of the question.")
@on_database
def lose_cluster(name: str, confirm: str | None) -> None:
    """Give up the cluster NAME, which is gone for ever. This can't be undone.

    What waits for it ends as given up. Its organizations are shown as lost until they are deleted.
    """
    with refusals():
        managing.find_record(name)
        question = f"The documents of its organizations are lost. Type {name} to confirm"
        if (confirm or click.prompt(question, err=True)) != name:
            raise CommandFailed("That is another name. Nothing was changed.")
        waiting = managing.count_waiting(name)
        lost = managing.lose_cluster(name, RequestContext(OPERATOR))
    given_up = give_moves_up(name)
    runner.recover_due_operations()
    ended = waiting - managing.count_waiting(name)
    click.echo(
        f"{name} is given up: organizations lost: {lost}, operations ended: {ended}, moves and "
        f"ways back ended: {given_up}."
    )


def _print_checked(name: str, checked: Checked) -> None:
    click.echo(f"{name}  MongoDB {checked.version}, {checked.kind}")
    for words in (*checked.problems, *checked.warnings, *checked.remarks):
        click.echo(f"  {plain(words)}")


def _lines(listed: ListedCluster) -> Iterator[str]:
    known = listed.cluster
    state = "answers"
    if listed.silence:
        state = listed.silence
    if known.lost_at:
        state = f"lost since {known.lost_at:%Y-%m-%d}"
    region = f"region {known.region}  " if known.region else ""
    held = counted(listed.organizations, "organization")
    yield f"{known.name}  {region}weight {known.weight}  {held}  {state}"
    for follower in followers_of(known.name):
        if not follower.follows:
            yield f"  {in_words(follower)}"


def in_words(follower: Follower) -> str:
    """An application that can't reach a cluster, and why."""
    return f"{follower.application} can't follow: {follower.obstacle}"
