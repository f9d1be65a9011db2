"""``flask lifecycle``: due lifecycle operations."""

import sys
from collections.abc import Callable

import click
from flask.cli import AppGroup

from portal.cli.running import on_database, plain, refusals
from portal.cli.tables import json_option, print_json
from portal.documents.organizations import Organization
from portal.organizations.lifecycle import retrying, runner
from portal.organizations.lifecycle.errors import OperationOver
from portal.organizations.planning import find_organization
from portal.web.context import OPERATOR, RequestContext

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


@lifecycle.command("retry")
@click.argument("organization", metavar="ORGANIZATION")
@json_option
@on_database
def retry_operation(organization: str, as_json: bool) -> None:
    """Try the operation of ORGANIZATION, by its slug or id, again at once.

    Exit status: 0 it is done, 1 it failed again and is tried later, 2 the command failed.
    """
    _print_done(_act(retrying.retry_operation, organization), as_json=as_json)


@lifecycle.command("undo")
@click.argument("organization", metavar="ORGANIZATION")
@json_option
@on_database
def undo_operation(organization: str, as_json: bool) -> None:
    """Undo the rename, deletion, restore, suspension or end of one that runs of ORGANIZATION.

    Exit status: 0 all is as before, 1 that failed and is tried again, 2 the command failed.
    """
    _print_done(_act(retrying.undo_operation, organization), as_json=as_json)


def _act(act: Callable[..., Organization], name: str) -> Organization:
    with refusals():
        found = find_organization(name)
        if found.operation is None:
            raise OperationOver
        return act(found.id, found.operation.id, RequestContext(OPERATOR))


def _print_done(organization: Organization, *, as_json: bool) -> None:
    done = organization.operation is None
    if as_json:
        print_json({"organization": organization.id, "done": done})
    elif done:
        click.echo(f"Done: {plain(organization.name)} is {organization.state}.")
    else:
        click.echo(f"It failed: {plain(organization.operation.last_error or '')}", err=True)
    sys.exit(0 if done else 1)
