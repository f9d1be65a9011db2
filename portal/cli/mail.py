"""``flask mail``: the mails of a portal without a mail server."""

import click
from flask.cli import AppGroup

from portal import settings
from portal.mail import transport

mail = AppGroup("mail", help="Mails of a portal without a mail server.")


@mail.command("list")
def list_mails() -> None:
    """List the mails stored as files, newest first: those of a portal without MAIL_SERVER."""
    directory = settings.current().mail_directory
    stored = None
    for stored in transport.stored_mails(directory):
        head = f"{stored.at}  {stored.to}  {stored.subject}\n{stored.path}"
        click.echo(f"{head}\n\n{stored.text}\n{'-' * 72}")
    if stored is None:
        click.echo(f"There are no mails in {directory}.")
