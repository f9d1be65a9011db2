"""The services as commands: ``flask lifecycle run``, ``flask mail list``, ``flask audit verify``,
``flask keys``, ``flask doctor``.

A command needs the portal's settings. Beside a ``make run`` with a MongoDB of its own it takes
those that the supervisor left in ``instance/``.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import click
import structlog
from bson import ObjectId
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from portal import settings
from portal.audit.chains import BrokenChain, Tally, find_broken, verify_chain
from portal.database import connection
from portal.doctor import report
from portal.doctor.examination import CHECKS, examine
from portal.documents.organizations import ACTIVE, Organization
from portal.errors import InvalidName, KeyNotFound
from portal.identity.api_keys import provisioning
from portal.mail import transport
from portal.organizations.lifecycle import runner
from portal.settings import InvalidSettings, Settings, instance

log = structlog.get_logger()

COULD_NOT = 2

lifecycle = AppGroup("lifecycle", help="Operations that create, rename, move and delete.")
mail = AppGroup("mail", help="Mails of a portal without a mail server.")
audit = AppGroup("audit", help="The audit trail.")
keys = AppGroup("keys", help="Keys by which programs sign organizations up, and the portal signs.")


class CouldNot(click.ClickException):
    """Why a command could not do its work; the message says what to do."""

    exit_code = COULD_NOT


def init_app(app: Flask) -> None:
    """Give ``flask`` the portal's commands."""
    app.cli.add_command(lifecycle)
    app.cli.add_command(mail)
    app.cli.add_command(audit)
    app.cli.add_command(keys)
    app.cli.add_command(examine_installation)


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
            if not connection.unavailable(error):
                log.exception("command.failed")
            raise CouldNot(f"{type(error).__name__}: {error}") from error

    return guarded


@lifecycle.command("run")
@on_database
def run_due_operations() -> None:
    """Carry on, once, each operation that is due, and start the purges that are.

    Exit status: 0 all of it done, 1 something failed and is tried again later, 2 could not look.
    """
    carried_on = runner.recover_due_operations() + runner.start_due_purges()
    failed = Organization.objects(
        operation__lease_until__exists=True, operation__last_error__ne=None
    )
    left = failed.count()
    click.echo(f"operations carried on: {carried_on}, failed: {left}")
    sys.exit(1 if left else 0)


@mail.command("list")
@with_appcontext
def list_mails() -> None:
    """Show the mails that were kept as files, newest first: a portal without MAIL_SERVER."""
    directory = settings.current().mail_directory
    kept = None
    for kept in transport.kept_in(directory):
        click.echo(f"{kept.at}  {kept.to}  {kept.subject}\n{kept.path}\n\n{kept.text}\n{'-' * 72}")
    if kept is None:
        click.echo(f"There are no mails in {directory}.")


@audit.command("verify")
@click.option("--organization", metavar="SLUG_OR_ID", help="This one's chain alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per broken chain and line.")
@with_appcontext
@on_database
def verify_trail(organization: str | None, as_json: bool) -> None:
    """Look for audit events that were changed or removed, and name the first of each chain.

    Exit status: 0 all chains are whole, 1 some are broken, 2 could not look.
    """
    tally, broken = Tally(), 0
    for found in _broken_chains(organization, tally):
        broken += 1
        click.echo(json.dumps(_as_json(found)) if as_json else f"{found.subject}: {found.words}")
    if not as_json:
        told = f"{broken} broken" if broken else "all whole"
        click.echo(f"chains: {tally.chains}, events: {tally.events}, {told}.")
    sys.exit(1 if broken else 0)


def _broken_chains(organization: str | None, tally: Tally) -> Iterable[BrokenChain]:
    if organization is None:
        return find_broken(tally)
    found = Organization.objects(slug=organization, state=ACTIVE).only("id").first()
    if found is None and ObjectId.is_valid(organization):
        found = Organization.objects(id=organization).only("id").first()
    if found is None:
        raise CouldNot(
            f"There is no organization {organization}. One in the trash has its id alone."
        )
    broken = verify_chain(found.id, tally)
    return [broken] if broken else []


def _as_json(broken: BrokenChain) -> dict[str, object]:
    return {
        "chain": str(broken.chain),
        "subject": broken.subject,
        "organization": str(broken.organization) if broken.organization else None,
        "fault": broken.fault,
        "seq": broken.seq,
        "words": broken.words,
    }


@keys.command("provision")
@click.argument("name")
@on_database
def make_provisioning_key(name: str) -> None:
    """Make a key named NAME and show it, this once.

    With it a program signs organizations up by POST /org/create, and does nothing else.
    """
    try:
        click.echo(provisioning.make_provisioning_key(name))
    except InvalidName as error:
        raise CouldNot(f"{error.reason}.") from error


@keys.command("list")
@on_database
def list_provisioning_keys() -> None:
    """Show the keys there are, not their secrets."""
    found = provisioning.provisioning_keys()
    for key in found:
        used = f"last used {key.used_at:%Y-%m-%d %H:%M} UTC" if key.used_at else "never used"
        click.echo(f"{key.id}  made {key.created_at:%Y-%m-%d}  {used}  {key.name}")
    if not found:
        click.echo("There are no provisioning keys.")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@on_database
def revoke_provisioning_key(key_id: str) -> None:
    """End the key of this ID. What it created stays."""
    try:
        provisioning.revoke_provisioning_key(key_id)
    except KeyNotFound as error:
        raise CouldNot("There is no key of this ID: flask keys list shows them.") from error
    click.echo("Revoked.")


@keys.command("rotate")
@with_appcontext
def rotate_secrets() -> None:
    """Make a new JWT_SECRET and SECRET_KEY for a `make run` with a MongoDB of its own.

    It takes them up when it is started again. The old ones stay accepted for 30 days from then
    on, so nobody is logged out, and forms and links that are under way go on working.
    """
    active, left = settings.current(), instance.read_settings()
    runs_here = left is not None and left["MONGO_URI"] == active.mongo_uri
    if not runs_here or not instance.signs_by_own_secrets(active.jwt_secret, active.secret_key):
        raise CouldNot(
            "The portal's secrets come from the environment or .env, so they are changed there: "
            "put the old ones into JWT_SECRET_FALLBACKS and SECRET_KEY_FALLBACKS, new ones into "
            "JWT_SECRET and SECRET_KEY, and start the portal again."
        )
    instance.rotate_secrets()
    click.echo(
        f"{instance.SECRETS} has new secrets. Start the portal again (Ctrl-C, then `make run`) to "
        f"have it sign by them. The old ones are accepted for {instance.FORMER_KEPT.days} days "
        "from then on."
    )


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Mend what is safe to mend. Nothing is dropped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding and line.")
@with_appcontext
@on_database
def examine_installation(repair: bool, as_json: bool) -> None:
    """Compare master data with the tenant collections.

    Exit status: 0 all well, 1 something remains to be done, 2 could not look.
    """
    write = report.write_json if as_json else report.write_text
    remain = write(examine(check, repair=repair) for check in CHECKS)
    sys.exit(1 if remain else 0)
