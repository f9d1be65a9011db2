"""``flask lifecycle``: due operations."""

import sys

import click
from flask.cli import AppGroup

from portal.cli.running import on_database
from portal.documents.organizations import Organization
from portal.organizations.lifecycle import runner

lifecycle = AppGroup("lifecycle", help="Operations that create, rename, move and delete.")


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
