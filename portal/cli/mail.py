"""``flask mail``: the mails that wait, those of a portal without a mail server, and a test."""

from dataclasses import asdict
from typing import Any

import click
from flask.cli import AppGroup
from flask_mailman import EmailMultiAlternatives
from humanize import naturaldelta

from portal import clock, settings
from portal.cli.running import CommandFailed, on_database
from portal.cli.tables import json_option, print_json
from portal.database.leases import summary
from portal.documents.mails import Mail
from portal.mail import outbox, transport
from portal.operators.overview.running import have_mails_tried
from portal.web.context import OPERATOR, RequestContext
from portal.web.counting import counted

mail = AppGroup("mail", help="Mails that wait to leave, or that are stored as files.")


@mail.command("list")
@json_option
@on_database
def list_mails(as_json: bool) -> None:
    """List the mails that could not leave, with the reason; without MAIL_SERVER those that are
    stored as files, newest first."""
    if as_json:
        print_json(_listed())
        return
    backlog = outbox.backlog()
    click.echo(f"{backlog or 'No mail waits to leave'}.")
    for waiting in outbox.failing_mails():
        click.echo(_line(waiting))
    if not settings.current().mail_server:
        _list_files(settings.current().mail_directory)


@mail.command("retry")
@json_option
@on_database
def retry_mails(as_json: bool) -> None:
    """Have every mail that could not leave tried at once."""
    number = have_mails_tried(RequestContext(OPERATOR))
    if as_json:
        print_json({"mails": number})
    else:
        click.echo(f"{counted(number, 'mail')} tried at once.")


@mail.command("test")
@click.argument("address")
def send_test(address: str) -> None:
    """Send a mail to ADDRESS at once, by the settings as they are."""
    active = settings.current()
    message = EmailMultiAlternatives(
        "Test", f"The portal at {active.public_url} can send mails.\n", to=[address]
    )
    try:
        with transport.deliver(message):
            pass
    except (OSError, ValueError) as error:
        raise CommandFailed(f"The mail did not leave: {summary(error)}") from error
    taken = active.mail_server or f"{active.mail_directory} (MAIL_SERVER is not set)"
    click.echo(f"{taken} took the mail to {address}, from {active.sender}.")


def _listed() -> dict[str, Any]:
    active = settings.current()
    stored = () if active.mail_server else transport.stored_mails(active.mail_directory)
    return {
        "backlog": outbox.backlog(),
        "failing": [
            {
                "id": waiting.id,
                "kind": waiting.kind,
                "to": waiting.to,
                "created_at": waiting.created_at,
                "tries": waiting.attempt,
                "last_error": waiting.last_error,
            }
            for waiting in outbox.failing_mails()
        ],
        "stored": [{**asdict(each), "path": str(each.path)} for each in stored],
    }


def _line(waiting: Mail) -> str:
    age = naturaldelta(clock.now() - waiting.created_at)
    tries = "1 try" if waiting.attempt == 1 else f"{waiting.attempt} tries"
    return f"{waiting.kind} to {waiting.to}: {age}, {tries}, {waiting.last_error}"


def _list_files(directory: str) -> None:
    stored = None
    for stored in transport.stored_mails(directory):
        head = f"{stored.at}  {stored.to}  {stored.subject}\n{stored.path}"
        click.echo(f"{head}\n\n{stored.text}\n{'-' * 72}")
    if stored is None:
        click.echo(f"There are no mails in {directory}.")
