"""``flask data history``, ``undo`` and ``erase``: what was edited, and back."""

import click
from flask.cli import with_appcontext

from portal.cli.running import on_database, plain, refusals
from portal.cli.tables import print_table
from portal.data.access import operator_access
from portal.data.document_ids import parse_document_id
from portal.data.history import entries
from portal.data.history.erasing import erase_document
from portal.data.history.settings import record_programs
from portal.data.history.undoing import undo_edit
from portal.organizations import planning
from portal.organizations.access.lookup import Access
from portal.permissions import ALL
from portal.web.context import OPERATOR, RequestContext


@click.command("history")
@click.argument("slug")
@click.option("--document", help="Only edits of the document at this address.")
@with_appcontext
@on_database
def list_edits(slug: str, document: str | None) -> None:
    """List the latest edits of documents of the organization with this SLUG."""
    with refusals():
        organization = planning.find_organization(slug)
        document_id = parse_document_id(document) if document else None
        page = entries.list_edits(organization, document=document_id)
    if not page.rows:
        click.echo("Nothing was edited in the last 30 days.")
        return
    print_table(
        ("edit", "at", "what", "by", "documents", "left alone"),
        [
            (
                str(entry.id),
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                plain(entry.words),
                plain(entry.actor),
                str(entry.documents),
                str(entry.left),
            )
            for entry in page.rows
        ],
    )


@click.command("undo")
@click.argument("slug")
@click.argument("edit")
@click.option("--reason", help="Kept with the undo.")
@with_appcontext
@on_database
def undo(slug: str, edit: str, reason: str | None) -> None:
    """Undo an EDIT of documents of the organization with this SLUG.

    Documents that were changed later keep that. One of many documents is a job, which portals run.
    """
    with refusals():
        organization = planning.find_organization(slug)
        undone = undo_edit(operator_access(organization), edit, reason=reason)
        if undone.job is not None:
            click.echo(f"Job {undone.job.id} goes on with it, as edit {undone.id}.")
            return
        entry = entries.entry_of(organization, undone.id)
        click.echo(f"{entry.documents} put back, {entry.left} left alone, as edit {entry.id}.")
        for left in entries.outcomes_of(organization, entry):
            click.echo(f"{plain(left.shown_id)}: {left.refusal}")


@click.command("erase")
@click.argument("slug")
@click.argument("address")
@click.option("--reason", help="Kept with the erasure.")
@click.confirmation_option(prompt="Erase the document and all that is kept of it for good?")
@with_appcontext
@on_database
def erase(slug: str, address: str, reason: str | None) -> None:
    """Erase the document at ADDRESS for good, in the organization with this SLUG.

    Itself, what edits keep of it, and the content of all files of imports and exports. A job, which
    portals run, goes on with it.
    """
    with refusals():
        organization = planning.find_organization(slug)
        document_id = parse_document_id(address)
        _, job = erase_document(operator_access(organization), document_id, reason=reason)
    click.echo(f"It is deleted. Job {job.id} erases what is kept of it.")


@click.command("record-programs")
@click.argument("slug")
@click.option("--on/--off", "recorded", required=True, help="Keep what they write, or don't.")
@with_appcontext
@on_database
def keep_programs(slug: str, *, recorded: bool) -> None:
    """Have the history of the organization with this SLUG keep what programs write.

    From their next request on; edits by people, commands and imports are always kept.
    """
    with refusals():
        organization = planning.find_organization(slug)
        access = Access(organization, None, organization.slug, ALL)
        record_programs(access, RequestContext(OPERATOR), recorded=recorded)
    click.echo(f"What programs write is {'kept' if recorded else 'not kept'}.")


COMMANDS = (list_edits, undo, erase, keep_programs)
