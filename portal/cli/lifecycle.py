"""``flask lifecycle``: due lifecycle operations."""

import sys

import click
from flask.cli import AppGroup

from portal.cli.running import on_database
from portal.documents.organizations import Organization
from portal.organizations.lifecycle import runner

lifecycle = AppGroup("lifecycle", help="Lifecycle operations of organizations.")


@lifecycle.command("run")
@on_database
def run_due_operations() -> None:
    """Resume each due operation once, and start the due purges.

    Exit status: 0 all done, 1 some failed and are retried later, 2 the command failed.
    """
    resumed = runner.recover_due_operations() + runner.start_due_purges()
    failed = Organization.objects(
        operation__lease_until__exists=True, operation__last_error__ne=None
    ).count()
    click.echo(f"operations resumed: {resumed}, failed: {failed}")
    sys.exit(1 if failed else 0)
