"""``flask mail``: the mails of a portal without a mail server."""

import click
from flask.cli import AppGroup, with_appcontext

from portal import settings
from portal.mail import transport

mail = AppGroup("mail", help="Mails of a portal without a mail server.")


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
