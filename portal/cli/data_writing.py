"""``flask data insert``, ``edit``, ``delete``, ``change``, ``delete-many``: writing documents."""

from typing import BinaryIO

import click
from bson import ObjectId
from flask.cli import with_appcontext

from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.data import extended_json, reading, writing
from portal.data.access import operator_access
from portal.data.document_ids import address_of, parse_document_id
from portal.data.etags import etag_of
from portal.data.history.changing import BulkEdit, Preview, preview_change, start_change
from portal.data.history.entries import shown_id
from portal.data.history.field_changes import (
    Changes,
    DeleteDocuments,
    FieldChange,
    FieldChanges,
    RemoveField,
    RenameField,
    SetField,
    read_value,
)
from portal.data.history.words import REFUSALS, shown_value
from portal.data.queries import parse_query
from portal.organizations import planning

_REASON = click.option("--reason", help="Kept with the edit.")


@click.command("insert")
@click.argument("slug")
@click.argument("file", type=click.File("rb"))
@_REASON
@with_appcontext
@on_database
def insert(slug: str, file: BinaryIO, reason: str | None) -> None:
    """Insert the document in FILE, or an array of them, for the organization with this SLUG.

    As Extended JSON; - is the standard input. All of them or none, 1,000 at most: more are
    imported.
    """
    with refusals():
        access = operator_access(planning.find_organization(slug))
        documents = extended_json.parse_array(file.read())
        made, _ = writing.insert_documents(access, documents, None, reason=reason)
    for document_id in made["ids"]:
        click.echo(f"Inserted {plain(shown_id(document_id))} at {address_of(document_id)}")


@click.command("edit")
@click.argument("slug")
@click.argument("address")
@click.argument("file", type=click.File("rb"), required=False)
@_REASON
@with_appcontext
@on_database
def edit(slug: str, address: str, file: BinaryIO | None, reason: str | None) -> None:
    """Edit the document at ADDRESS of the organization with this SLUG, in your $EDITOR.

    As canonical Extended JSON, whole; or replaced by what is in FILE, - for the standard input.
    Refused where somebody changed it meanwhile.
    """
    with refusals():
        access = operator_access(planning.find_organization(slug))
        document_id = parse_document_id(address)
        stored, _ = reading.get_document(access, document_id)
        typed = file.read().decode("utf-8", "surrogateescape") if file else _typed(stored)
        if typed is None:
            click.echo("Nothing was changed.")
            return
        written, _ = writing.replace_document(
            access,
            document_id,
            extended_json.parse(typed.encode("utf-8", "surrogateescape")),
            etag_of(access.organization.id, stored),
            None,
            reason=reason,
        )
    click.echo("It is changed." if written["modified"] else "It is as it was.")


@click.command("delete")
@click.argument("slug")
@click.argument("address")
@_REASON
@click.confirmation_option(prompt="Delete the document?")
@with_appcontext
@on_database
def delete(slug: str, address: str, reason: str | None) -> None:
    """Delete the document at ADDRESS of the organization with this SLUG.

    That can be undone for 30 days: flask data undo.
    """
    with refusals():
        access = operator_access(planning.find_organization(slug))
        writing.delete_document(access, parse_document_id(address), None, None, reason=reason)
    click.echo("It is deleted.")


@click.command("change")
@click.argument("slug")
@click.option("--filter", "text", required=True, help="A filter, as Extended JSON; {} for all.")
@click.option("--set", "given", multiple=True, metavar="FIELD=VALUE", help="As Extended JSON.")
@click.option("--unset", multiple=True, metavar="FIELD", help="Remove a field.")
@click.option("--rename", multiple=True, metavar="FIELD=NAME", help="Call a field otherwise.")
@click.option("--yes", is_flag=True, help="Change them, without asking.")
@_REASON
@with_appcontext
@on_database
def change(
    slug: str,
    text: str,
    given: tuple[str, ...],
    unset: tuple[str, ...],
    rename: tuple[str, ...],
    reason: str | None,
    *,
    yes: bool,
) -> None:
    """Change fields in all documents that match, of the organization with this SLUG.

    First it tells how many match, and three of them before and after. A job, which portals run,
    changes them as one edit.
    """
    with refusals():
        changes = FieldChanges(_changes(given, unset, rename))
        _preview_and_start(slug, text, changes, reason, yes=yes)


@click.command("delete-many")
@click.argument("slug")
@click.option("--filter", "text", required=True, help="A filter, as Extended JSON; {} for all.")
@click.option("--yes", is_flag=True, help="Delete them, without asking.")
@_REASON
@with_appcontext
@on_database
def delete_many(slug: str, text: str, reason: str | None, *, yes: bool) -> None:
    """Delete all documents that match, of the organization with this SLUG.

    First it tells how many match, and three of them. A job, which portals run, deletes them as one
    edit, which can be undone for 30 days.
    """
    with refusals():
        _preview_and_start(slug, text, DeleteDocuments(), reason, yes=yes)


COMMANDS = (insert, edit, delete, change, delete_many)


def _preview_and_start(
    slug: str, text: str, changes: Changes, reason: str | None, *, yes: bool
) -> None:
    access = operator_access(planning.find_organization(slug))
    query = parse_query(text)
    preview = preview_change(access, query, changes)
    _tell(preview)
    if not preview.count:
        return
    if not yes:
        click.confirm(f"{changes.title_for(preview.count)}?", abort=True)
    edit_id = ObjectId()
    job = start_change(access, BulkEdit(query, changes, preview.count), edit_id, reason=reason)
    click.echo(f"Job {job and job.id} goes on with it, as edit {edit_id}.")


def _typed(stored: bytes) -> str | None:
    """The document as it was typed in the editor; ``None`` where it wasn't saved. Raises
    CommandFailed for one that its text can't carry."""
    text = extended_json.render(stored)
    if not extended_json.is_exact(stored, text):
        raise CommandFailed("As text it would not be the same document: edit it on its page.")
    return click.edit(f"{text}\n", extension=".json")


def _changes(
    given: tuple[str, ...], unset: tuple[str, ...], rename: tuple[str, ...]
) -> tuple[FieldChange, ...]:
    return (
        *(SetField(field, read_value("json", value)) for field, value in map(_pair, given)),
        *(RemoveField(field) for field in unset),
        *(RenameField(field, name) for field, name in map(_pair, rename)),
    )


def _pair(text: str) -> tuple[str, str]:
    field, sign, value = text.partition("=")
    if not sign:
        raise CommandFailed(plain(f"Write {text}=… with what it is to be."))
    return field, value


def _tell(preview: Preview) -> None:
    click.echo(f"{preview.count:,} documents match.")
    breaking = preview.breaking
    if breaking and breaking.documents:
        of = "" if breaking.tried == preview.count else f" of {breaking.tried:,} drawn at random"
        click.echo(f"{breaking.documents:,}{of} would break a rule, and are left alone.")
    for pair in preview.pairs:
        click.echo(plain(pair.shown_id))
        if pair.refusal:
            click.echo(plain(f"  {REFUSALS[pair.refusal]}"))
        for each in pair.differences:
            before, after = (
                "missing" if value is None else shown_value(value)
                for value in (each.before, each.after)
            )
            click.echo(plain(f"  {'.'.join(map(str, each.path))}: {before} → {after}"))
