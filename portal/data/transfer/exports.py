"""Exports: all documents, or those of a filter, as a file that is made by a job, and may be fetched
by whoever asked for it until it expires.

The file is made in pieces; with each stands how far it is, so a job that died goes on exactly. One
that can't come to its end has failed: there is no shorter file.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bson
import pymongo
from bson import Binary, ObjectId

from portal.data import plans
from portal.data.access import DocumentAccess
from portal.data.errors import IndexNeeded, InvalidQuery, QueryTooSlow
from portal.data.formats.mapping import check_mapping
from portal.data.formats.options import Column, Format, WriteOptions
from portal.data.formats.surveying import Survey
from portal.data.formats.writing import Writer
from portal.data.formats.written import Written
from portal.data.handles import documents_of
from portal.data.history.errors import MoreMatch
from portal.data.literal_fields import names_in
from portal.data.masks.errors import FieldMasked
from portal.data.queries import CODEC, Query, beyond, check_sort, cursor_of
from portal.data.reading import READ_SECONDS, Count, count_documents, list_documents, text_paths
from portal.data.server_errors import reading, within
from portal.data.transfer import files
from portal.data.transfer.errors import (
    ColumnsRefused,
    ExportNotDone,
    MaskedSince,
    NoColumnsThere,
    NotYours,
)
from portal.data.transfer.files import (
    Purpose,
    StoredFile,
    change_in,
    create_file,
    delete_file,
    find_file,
    put_piece,
)
from portal.data.transfer.passes import read_ahead
from portal.data.transfer.works import file_of, subject_of, while_kept
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Organization
from portal.jobs.managing import cancel_job, latest_job, start_job
from portal.jobs.running import JobFailed, JobKind, Run
from portal.web.context import IdempotencyKey, RequestContext

CHUNK_BYTES = 8 * 1024 * 1024
PAGE_BYTES = 2 * 1024 * 1024
PAGE_SECONDS = 30
COUNTING_SECONDS = 1.5
"""The rest of a request's time has to do for all else."""
_MOST_PAGE_BYTES = 4 * PAGE_BYTES
_FIRST_PAGE, _LARGEST_PAGE = 100, 20_000


@dataclass(frozen=True, slots=True)
class Export:
    """An export: its file, and the job that makes it."""

    file: StoredFile
    job: Job | None

    @property
    def is_running(self) -> bool:
        """True while the job makes it."""
        return self.job is not None and self.job.state in (JobState.RUNNING, JobState.PAUSED)

    @property
    def options(self) -> WriteOptions:
        """The options by which the file is written."""
        return WriteOptions.of(self.file.details["options"])

    @property
    def words(self) -> str:
        """The chosen documents, in words."""
        words: str = self.file.details["words"]
        return words

    @property
    def written(self) -> Written:
        """The progress of the file."""
        return Written.of(self.file.details["reached"]["written"])


def options_of(
    kind: Format,
    *,
    gzip: bool = False,
    typed: bool = True,
    guarded: bool = True,
    spreadsheet: bool = False,
    fields: Collection[str] = (),
) -> WriteOptions:
    """The options of an export; ``fields`` are the columns of a CSV file without types, as
    conditions name them, in place of all. Raises ColumnsRefused."""
    if fields and (typed or kind != Format.CSV):
        raise NoColumnsThere
    columns = tuple(
        Column(name, names_in(name) or tuple(name.split("."))) for name in dict.fromkeys(fields)
    )
    for fault in check_mapping(columns) if columns else ():
        raise ColumnsRefused(f"{columns[fault.index].header}: {fault.reason}")
    return WriteOptions(
        kind,
        gzip=gzip,
        columns=columns,
        typed=typed,
        guarded=guarded,
        delimiter=";" if spreadsheet else ",",
        spreadsheet=spreadsheet,
    )


def count_matching(access: DocumentAccess, query: dict[str, Any]) -> Count | None:
    """The number of documents that match; ``None`` where it isn't known within COUNTING_SECONDS, as
    the request goes on without it. Raises InvalidQuery, FieldMasked, IndexNeeded."""
    try:
        with within(COUNTING_SECONDS):
            return count_documents(access, query, None)
    except QueryTooSlow:
        return None


def start_export(
    access: DocumentAccess,
    query: Query,
    options: WriteOptions,
    words: str,
    *,
    expected: int | None = None,
    key: IdempotencyKey | None = None,
) -> Export:
    """Have the documents that match exported, once for a ``key``; ``words`` say which. Raises what
    ``list_documents`` raises, MoreMatch where more match than ``expected``, TooMuchKept,
    IdempotencyKeyReused."""
    with pymongo.timeout(READ_SECONDS):
        list_documents(access, Query(query.filter, query.sort, limit=1), None)
    count = count_matching(access, query.filter)
    if expected is not None and count is not None and count.count > expected:
        raise MoreMatch(count.count, expected)
    asked = bson.encode({"filter": query.filter, "sort": query.sort}, codec_options=CODEC)
    details = {
        "query": Binary(asked),
        "words": words,
        "options": options.stored(),
        "surveyed": options.format != Format.CSV or bool(options.columns),
        "masked": sorted(access.mask.paths),
        "reached": {
            "batch": 0,
            "after": None,
            "chunks": 0,
            "written": Written().stored(),
            "bytes": 0,
        },
    }
    name = f"{access.organization.slug}.{options.format.value}{'.gz' if options.gzip else ''}"
    file = create_file(access, Purpose.EXPORT, name, details=details, key=key)
    if latest_job(KIND, subject_of(access.organization, file)):
        return find_export(access.organization, file.id)  # it was asked for before
    start_job(
        KIND,
        subject_of(access.organization, file),
        f"Export as {options.format.label}",
        access.context,
        organization=access.organization.id,
        total=0 if count is None or count.more else count.count,
        parameters={"file": file.id, "sees_all": not access.mask},
    )
    return find_export(access.organization, file.id)


def find_export(organization: Organization, file_id: str | ObjectId) -> Export:
    """The organization's export with this id. Raises TransferNotFound."""
    file = find_file(organization, file_id, Purpose.EXPORT)
    return Export(file, latest_job(KIND, subject_of(organization, file)))


def exports_of(organization: Organization, context: RequestContext, most: int) -> list[Export]:
    """The exports that the actor of a request asked for, newest first."""
    found = files.files_of(organization, Purpose.EXPORT, most)
    return [
        Export(file, latest_job(KIND, subject_of(organization, file)))
        for file in found
        if file.belongs_to(context)
    ]


def cancel_export(access: DocumentAccess, running: Export) -> None:
    """End the job; what it made is deleted. Raises JobEnded, NotYours."""
    _check_owner(access, running)
    if running.job is not None and running.is_running:
        cancel_job(str(running.job.id), access.context)
    delete_file(access.organization, running.file)


def export_content(access: DocumentAccess, made: Export) -> Iterator[bytes]:
    """The content of a finished export. Raises NotYours, ExportNotDone, MaskedSince where it has
    what the caller may not see any more; FileGone, also later, where it isn't there any more."""
    _check_owner(access, made)
    if not access.mask.paths <= set(made.file.details["masked"]):
        raise MaskedSince
    if not made.file.has_content:
        raise ExportNotDone
    return files.pieces_of(access.organization, made.file.id, 0, made.file.chunks)


def _work(run: Run) -> dict[str, Any]:
    with while_kept():
        access, file = file_of(run, Purpose.EXPORT)
        try:
            return _Making(run, access, file).work()
        except (IndexNeeded, FieldMasked, InvalidQuery, QueryTooSlow) as error:
            raise JobFailed(error.words, {}) from error


KIND = JobKind("export", goes_on="goes on by itself", work=_work)


class _Making:
    """An attempt at making a file."""

    def __init__(self, run: Run, access: DocumentAccess, file: StoredFile) -> None:
        self.run, self.access, self.file = run, access, file
        self.reached: dict[str, Any] = file.details["reached"]
        asked = bson.decode(file.details["query"], CODEC)
        self.reader = DocumentReader(access, asked["filter"], asked["sort"])

    def work(self) -> dict[str, Any]:
        if self.file.complete:
            return self._result()
        if not self.file.details["surveyed"]:
            self._survey()
        writer = Writer(
            WriteOptions.of(self.file.details["options"]), Written.of(self.reached["written"])
        )
        piece = writer.begin() if self.reached["batch"] == 0 else b""
        for documents, after in read_ahead(self.reader.pages(self.reached["after"])):
            self.run.check()
            piece += writer.encode(documents)
            self._keep(piece, after, writer.written)
            piece = b""
            self.run.report(writer.written.documents, "Write")
        self._keep(piece + writer.end(), None, writer.written, last=True)
        return self._result()

    def _survey(self) -> None:
        """Find the columns of a CSV file from all of its documents."""
        survey = Survey()
        for documents, _ in read_ahead(self.reader.pages(None)):
            self.run.check()
            survey.add(documents)
        options = WriteOptions.of(self.file.details["options"])
        options = replace(options, columns=survey.columns())
        self._change({"details.surveyed": True, "details.options": options.stored()})

    def _keep(
        self, piece: bytes, after: str | None, written: Written, *, last: bool = False
    ) -> None:
        """Keep the piece, and how far the export is, unless another attempt did. Raises
        JobFailed where the file would be too large."""
        chunks = [piece[at : at + CHUNK_BYTES] for at in range(0, len(piece), CHUNK_BYTES)]
        kept = {
            "batch": self.reached["batch"] + 1,
            "chunks": self.reached["chunks"] + len(chunks),
            "after": after,
            "written": written.stored(),
            "bytes": self.reached["bytes"] + len(piece),
        }
        if kept["bytes"] > files.LARGEST_BYTES:
            raise JobFailed("The file would be larger than 4 GiB. Compress it, or filter.", {})
        change = {"details.reached": kept, "size": kept["bytes"]}
        if last:
            change |= {"complete": True, "chunks": kept["chunks"]}
            change |= {"expires_at": self.file.content_until}
        self._change(change, chunks)
        self.reached = kept

    def _change(self, change: Mapping[str, Any], chunks: Sequence[bytes] = ()) -> None:
        before = {"complete": False, "details.reached.batch": self.reached["batch"]}

        def write(handle: Any) -> StoredFile:
            for number, chunk in enumerate(chunks, self.reached["chunks"]):
                put_piece(handle, self.file, self.file.id, number, chunk)
            return change_in(handle, self.file, before, change)

        self.file = self.reader.handle.with_transaction(write)

    def _result(self) -> dict[str, Any]:
        written = Written.of(self.reached["written"])
        return {"documents": written.documents, "wrapped": written.wrapped}


class DocumentReader:
    """Reads all documents of a filter, masked, in the order of a sort: each that matches throughout
    once. Raises, as each reading does, IndexNeeded, FieldMasked, InvalidQuery, QueryTooSlow."""

    def __init__(
        self, access: DocumentAccess, query: dict[str, Any], sort: Mapping[str, int]
    ) -> None:
        self.access, self.query, self.sort = access, query, check_sort(sort)
        self.handle = documents_of(access.organization)

    def pages(self, after: str | None) -> Iterator[tuple[list[bytes], str]]:
        """The documents behind a cursor, in pages of about PAGE_BYTES, each with the cursor behind
        it."""
        access, limit = self.access, _FIRST_PAGE
        with reading():
            access.mask.check_sort(self.sort)
            access.mask.check_filter(self.query, lambda: text_paths(self.handle))
            plans.check_find(access.organization, self.handle, self.query, self.sort)
            if after is None:
                with pymongo.timeout(PAGE_SECONDS):
                    plans.check_sortable(access.organization, self.handle, self.query, self.sort)
        while True:
            page, size_bytes = self._page(after, limit)
            if not page:
                return
            after = cursor_of(page[-1], self.sort)
            yield [access.mask.hide(document) for document in page], after
            limit = max(1, min(PAGE_BYTES * len(page) // size_bytes, _LARGEST_PAGE))

    def _page(self, after: str | None, limit: int) -> tuple[list[bytes], int]:
        page, size_bytes = [], 0
        with reading(), pymongo.timeout(PAGE_SECONDS):
            found = self.handle.find(
                beyond(self.query, self.sort, after), sort=list(self.sort.items()), limit=limit
            )
            for document in found:
                page.append(bytes(document.raw))
                size_bytes += len(page[-1])
                if size_bytes >= _MOST_PAGE_BYTES:
                    break
        return page, size_bytes


def _check_owner(access: DocumentAccess, asked: Export) -> None:
    if not asked.file.belongs_to(access.context):
        raise NotYours
