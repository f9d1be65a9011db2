"""``flask data export`` and ``import``: an organization's documents as a file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import click
from flask.cli import with_appcontext

from portal.cli.data_questions import Columns, Reading, plan_by, read_as
from portal.cli.data_structure import access_to
from portal.cli.running import CommandFailed, on_database, plain, refusals
from portal.data import queries
from portal.data.access import DocumentAccess, operator_access
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.options import Column, Format
from portal.data.formats.surveying import Survey
from portal.data.formats.writing import Writer
from portal.data.transfer import imports
from portal.data.transfer.dump_indexes import begin_builds, indexes_of_dump
from portal.data.transfer.errors import TransferNotFound
from portal.data.transfer.exports import DocumentReader, options_of
from portal.data.transfer.files import CHUNK_BYTES, StoredFile, pieces_of, put_stream
from portal.data.transfer.mapping import earlier_plans
from portal.data.transfer.plans import Existing, Plan
from portal.data.transfer.showing import errors_of, left_out_words, tried_words
from portal.data.transfer.stages import Import, find_import
from portal.documents.jobs import JobState
from portal.jobs.errors import JobEnded
from portal.jobs.progress import describe
from portal.jobs.running import acquire, run
from portal.organizations import planning

_LOOK_SECONDS = 0.5
_FORMATS = click.Choice([kind.value for kind in Format])


@click.command("export")
@click.argument("slug")
@click.option("--format", "kind", default="jsonl", show_default=True, type=_FORMATS)
@click.option("--filter", "text", default="{}", help="A filter, as Extended JSON.")
@click.option("--gzip", is_flag=True, help="Pack it.")
@click.option(
    "--typed/--untyped", default=True, help="CSV with types in its heading, as an import reads it."
)
@click.option(
    "--guarded/--unguarded", default=True, help="CSV cells that would be formulas begin with '."
)
@click.option("--spreadsheet", is_flag=True, help="CSV with ; between cells, and a mark.")
@click.option("--field", "fields", multiple=True, help="A column of untyped CSV, in place of all.")
@with_appcontext
@on_database
def export_documents(
    slug: str,
    kind: str,
    text: str,
    fields: tuple[str, ...],
    *,
    gzip: bool,
    typed: bool,
    guarded: bool,
    spreadsheet: bool,
) -> None:
    """Write the documents of the organization with this SLUG to the standard output.

    All of them, or those that match; an import reads them again as they were. Where it breaks off
    the exit status is not 0: the file is not whole then.
    """
    with refusals():
        access = operator_access(planning.find_organization(slug))
        reader = DocumentReader(access, queries.parse_query(text), {})
        options = options_of(
            Format(kind),
            gzip=gzip,
            typed=typed,
            guarded=guarded,
            spreadsheet=spreadsheet,
            fields=fields,
        )
        if options.format == Format.CSV and not options.columns:
            options = replace(options, columns=_columns(reader))
        writer = Writer(options)
        sys.stdout.buffer.write(writer.begin())
        for documents, _ in reader.pages(None):
            sys.stdout.buffer.write(writer.encode(documents))
        sys.stdout.buffer.write(writer.end())
        sys.stdout.buffer.flush()
    click.echo(f"{writer.written.documents:,} documents are exported.", sys.stderr)
    if left_out := left_out_words(writer.written):
        click.echo(plain(left_out), sys.stderr)


@click.command("import")
@click.argument("slug")
@click.argument("file", type=click.File("rb"))
@click.option("--replace", "replaced", metavar="FIELD", help="Replace documents with the same one.")
@click.option("--skip", "skipped", metavar="FIELD", help="Skip documents that have the same one.")
@click.option("--encoding", help="Of a text that is not UTF-8.")
@click.option("--delimiter", help="Between the columns of CSV, where several would fit.")
@click.option("--heading", help="The number of the line that is the heading, or no for none.")
@click.option("--member", help="The collection's file in a tar of a dump.")
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="COLUMN=ANSWER",
    help="To a question about a column of CSV: an answer that is told with it, or its number.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="The field that a column of CSV becomes; dots are levels.",
)
@click.option("--text", "as_text", is_flag=True, help="All columns of CSV as text.")
@click.option("--as-before", is_flag=True, help="Columns of CSV as they were decided last.")
@click.option("--may-fail", default=1.0, show_default=True, help="The percent that may fail.")
@click.option("--indexes", "with_indexes", is_flag=True, help="Build the dump's indexes too.")
@click.option(
    "--errors",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the records that fail there, as they are, with their reasons.",
)
@click.option("--dry-run", is_flag=True, help="Check all of it, and write nothing.")
@with_appcontext
@on_database
def import_documents(
    slug: str,
    file: BinaryIO,
    replaced: str | None,
    skipped: str | None,
    encoding: str | None,
    delimiter: str | None,
    heading: str | None,
    member: str | None,
    answers: tuple[str, ...],
    fields: tuple[str, ...],
    may_fail: float,
    errors: Path | None,
    *,
    as_text: bool,
    as_before: bool,
    with_indexes: bool,
    dry_run: bool,
) -> None:
    """Import a FILE into the organization with this SLUG: CSV, JSON lines, a JSON array or BSON.

    It is checked whole before anything is written; the import stands in the history, where it can
    be undone. What is asked is told with its answers, and nothing is kept of the file then. A
    COLUMN is its heading, or # and its number.
    """
    if replaced and skipped:
        raise CommandFailed("Give --replace or --skip, not both.")
    if as_before and (as_text or answers or fields):
        raise CommandFailed("With --as-before nothing else is decided about columns.")
    if errors is not None:
        _check_writable(errors, file)
    existing = Existing.REPLACE if replaced else Existing.SKIP if skipped else Existing.INSERT
    with refusals():
        access = operator_access(planning.find_organization(slug))
        begun = imports.begin_upload(access, file.name)
        with _discarded_unless_written(access, begun, errors):
            size_bytes = put_stream(access, begun, iter(lambda: file.read(CHUNK_BYTES), b""))
            found = _followed(access, imports.finish_upload(access, begun, size_bytes))
            reading = Reading(encoding, delimiter, heading, member)
            found = _followed(access, read_as(access, found, reading))
            columns = Columns(answers, fields, as_text)
            plan = replace(
                _decided_last(access, found) if as_before else plan_by(found, columns),
                existing=existing,
                key=replaced or skipped or "_id",
                stop_per_mille=round(may_fail * 10),
            )
            found = _followed(access, imports.decide(access, found, plan))
            _tell_check(found)
            if dry_run:
                return
            found = _followed(access, imports.start_write(access, found))
            _tell_write(found)
            if with_indexes:
                _build_indexes(slug, access, found)


COMMANDS = (export_documents, import_documents)


def _columns(reader: DocumentReader) -> tuple[Column, ...]:
    survey = Survey()
    for documents, _ in reader.pages(None):
        survey.add(documents)
    return survey.columns()


@contextmanager
def _discarded_unless_written(
    access: DocumentAccess, begun: StoredFile, errors: Path | None
) -> Iterator[None]:
    """Keep nothing of an import that isn't written in the end: only this command goes on with it.
    What failed is written to ``errors`` before."""
    try:
        yield
    finally:
        _end(access, begun, errors)


def _check_writable(errors: Path, file: BinaryIO) -> None:
    """Raise CommandFailed where failed records couldn't be written to a file, or in place of the
    one that is imported."""
    try:
        errors.open("ab").close()
    except OSError as error:
        raise CommandFailed(plain(f"{errors} can’t be written: {error.strerror}.")) from error
    if Path(file.name).exists() and errors.samefile(file.name):
        raise CommandFailed("Give --errors another file than the one that is imported.")


def _end(access: DocumentAccess, begun: StoredFile, errors: Path | None) -> None:
    try:
        found = find_import(access.organization, begun.id)
    except TransferNotFound:  # the file was refused, and is gone
        return
    if errors is not None and found.plan is not None:
        content, pieces = errors_of(found)
        parts = pieces_of(access.organization, content, 0, pieces) if content and pieces else ()
        with errors.open("wb") as written:
            written.writelines([ErrorFile(found.plan.options).begin()] if pieces else [])
            written.writelines(parts)
    if "writing" not in found.file.details:
        if found.is_running:
            with suppress(JobEnded):
                imports.cancel_import(access, found)
            found = find_import(access.organization, begun.id)
        imports.discard_import(access, found)


def _followed(access: DocumentAccess, found: Import) -> Import:
    """The import once its job has ended, which this process runs unless a portal does. Raises
    CommandFailed where it doesn't come to its end."""
    while found.job is not None and found.is_running:
        leased = acquire(found.job.id)
        if leased is not None:
            run(leased)
        else:
            click.echo(plain(describe(found.job)), sys.stderr)
            time.sleep(_LOOK_SECONDS)
        found = find_import(access.organization, found.file.id)
    if found.job is not None and found.job.state != JobState.DONE:
        reason = found.job.reason or f"The job was {found.job.state}."
        raise CommandFailed(plain(reason))
    return found


def _build_indexes(slug: str, access: DocumentAccess, found: Import) -> None:
    """Build the indexes that the dump had and that can be built here, but for those that delete
    documents by a date, and tell what became of each."""
    offered = (each for each in indexes_of_dump(access, found) if each.is_offered)
    names = [
        each.name for each in offered if each.index and each.index.expire_after_seconds is None
    ]
    if names:
        for job in begin_builds(access_to(slug), found, names, access.context):
            leased = acquire(job.id)
            if leased is not None:
                run(leased)
    for each in indexes_of_dump(access, found):
        state = each.refusal or "not built, since it deletes documents: see create-index"
        if each.here is not None:
            state = each.here.cause or each.here.state
        if each.note:
            state = f"{state} ({each.note})"
        click.echo(plain(f"{each.name}: {state}"))


def _decided_last(access: DocumentAccess, found: Import) -> Plan:
    """The plan by what was decided last for a file with these headings. Raises CommandFailed."""
    plans = earlier_plans(access.organization, found)
    if not plans:
        raise CommandFailed("No file with these headings was imported in the last 37 days.")
    return Plan(replace(found.options, columns=plans[0].plan.options.columns))


def _tell_check(found: Import) -> None:
    checked = found.checked
    if checked is None:
        return
    click.echo(f"{checked.records:,} records, {checked.errors:,} wrong.", sys.stderr)
    for line in _faults(found):
        click.echo(line, sys.stderr)
    if tried := tried_words(found):
        click.echo(plain(tried), sys.stderr)


def _tell_write(found: Import) -> None:
    written = found.written
    counts = written.counts if written else {}
    click.echo(
        ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("inserted", "replaced", "errors"))
    )


def _faults(found: Import) -> Iterator[str]:
    groups = found.checked.faults.groups.values() if found.checked else ()
    for group in groups:
        column = f", {group.column}" if group.column else ""
        yield plain(
            f"  line {group.line}, record {group.record}{column}: {group.reason} ({group.count}×)"
        )
