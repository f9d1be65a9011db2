"""Imports and exports of an organization's documents for programs."""

import itertools
import re
from collections.abc import Iterable
from typing import Any

from flask import Response

from portal.api import transfer_schemas as schemas
from portal.api.document_requests import (
    OCTETS,
    OF_READING,
    access_to_documents,
    body_query,
    in_parts,
    key_for,
    takes_file,
    takes_json,
    with_link,
)
from portal.api.guard import ApiBlueprint, logged_in
from portal.api.replay import PARAMETER, REFUSALS, takes_key
from portal.data.access import DocumentAccess, program_access
from portal.data.errors import InvalidIndex, TooManyIndexes
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.options import Format
from portal.data.masks.errors import FieldMasked
from portal.data.queries import Query
from portal.data.transfer import exports, files, imports, showing
from portal.data.transfer.dump_indexes import begin_builds, indexes_of_dump
from portal.data.transfer.errors import (
    ChunkRefused,
    ColumnsRefused,
    ExportNotDone,
    FileGone,
    FileTooLarge,
    FileUnreadable,
    ImportBegun,
    ImportNotReady,
    ImportRuns,
    IndexNotOffered,
    IndexWouldDelete,
    MappingRefused,
    NotYours,
    TooMuchKept,
    TransferNotFound,
    UploadIncomplete,
)
from portal.data.transfer.files import CHUNK_BYTES, Purpose, StoredFile, find_file
from portal.data.transfer.mapping import decision_from, earlier_plan
from portal.data.transfer.stages import Import, Stage, find_import, imports_of
from portal.jobs.errors import JobEnded
from portal.web import bodies, streaming
from portal.web.errors import Overloaded
from portal.web.requests import request_context

transfers = ApiBlueprint("transfers", __name__, url_prefix="/org", description="Files")
transfers.after_request(with_link)

_MOST_LISTED = 50
_IMPORTS = "/<name:name>/imports"
_IMPORT = f"{_IMPORTS}/<file_id>"
_EXPORTS = "/<name:name>/exports"
_EXPORT = f"{_EXPORTS}/<export_id>"
_OF_FILES = (*OF_READING, TransferNotFound, NotYours)
_OF_UPLOADS = (*OF_READING, FileTooLarge, TooMuchKept, FileUnreadable, ImportRuns, Overloaded)


@transfers.get(_IMPORTS, refusals=OF_READING)
@logged_in
@transfers.response(200, schemas.ImportsAnswer)
def list_imports(name: str) -> dict[str, Any]:
    """List imports

    The latest 50, newest first; with their questions, which tell values of the file, those of your
    own.
    """
    seen = _seen(name, "documents.write")
    found = imports_of(seen.organization, _MOST_LISTED)
    return {"imports": [_listed(each, seen) for each in found]}


@transfers.post(_IMPORTS, refusals=(*_OF_UPLOADS, *REFUSALS, UploadIncomplete, 408))
@takes_json(schemas.UploadBody, PARAMETER)
@logged_in
@transfers.response(201, schemas.UploadAnswer)
def begin_import(name: str) -> tuple[dict[str, Any], int]:
    """Begin an import

    By the name and size of its file, which is sent after that: at once to `content`, or in `parts`
    of `part_bytes` each but for the last, in any order and as often as need be.
    """
    seen = _seen(name, "documents.write")
    body = body_query(schemas.UploadBody)
    key = key_for(seen.organization, "imports", bodies.read())
    file = imports.begin_upload(
        seen, body["file_name"], size_bytes=body["size"], zone=body.get("zone", ""), key=key
    )
    return {"id": str(file.id), "part_bytes": CHUNK_BYTES}, 201


@transfers.put(
    f"{_IMPORT}/content", refusals=(*_OF_UPLOADS, *_OF_FILES, ChunkRefused, UploadIncomplete, 408)
)
@takes_file(stream=True)
@logged_in
@transfers.response(200, schemas.ImportAnswer)
def put_import_content(name: str, file_id: str) -> dict[str, Any]:
    """Send the file of an import at once

    It is stored while it arrives. What it is then is told by its first bytes, and a CSV file is
    examined by a job: read the import until its `stage` is another.
    """
    seen = _seen(name, "documents.write")
    file = _own_file(seen, file_id, Purpose.IMPORT)

    def store() -> Import:
        if file.complete:
            return find_import(seen.organization, file.id)
        parts = bodies.parts() if bodies.is_stream() else iter([bodies.read()])
        return imports.finish_upload(seen, file, files.put_stream(seen, file, parts))

    return {"import": _shown(in_parts(store))}


@transfers.put(f"{_IMPORT}/parts/<number>", refusals=(*_OF_UPLOADS, *_OF_FILES, ChunkRefused))
@takes_file(stream=False)
@logged_in
@transfers.response(200, schemas.PartAnswer)
def put_import_part(name: str, file_id: str, number: str) -> dict[str, Any]:
    """Send a part of the file of an import

    The first one has the number 0. Sent again, it is the same part.
    """
    seen = _seen(name, "documents.write")
    file = _own_file(seen, file_id, Purpose.IMPORT)
    if not re.fullmatch("[0-9]{1,6}", number):
        raise ChunkRefused(-1)
    files.put_chunk(seen, file, int(number), bodies.read())
    return {"next": files.first_missing(seen.organization, file, file.size_bytes)}


@transfers.post(f"{_IMPORT}/complete", refusals=(*_OF_UPLOADS, *_OF_FILES, UploadIncomplete))
@takes_key
@logged_in
@transfers.response(200, schemas.ImportAnswer)
def complete_import_file(name: str, file_id: str) -> dict[str, Any]:
    """Complete the file of an import that was sent in parts

    The size has to be what was said when it was begun.
    """
    seen = _seen(name, "documents.write")
    file = _own_file(seen, file_id, Purpose.IMPORT)
    return {"import": _shown(imports.finish_upload(seen, file, file.size_bytes))}


@transfers.get(_IMPORT, refusals=_OF_FILES)
@logged_in
@transfers.response(200, schemas.ImportAnswer)
def get_import(name: str, file_id: str) -> dict[str, Any]:
    """Read how far an import is

    `stage` is `upload`, `reading` or `decide` where you have to answer `questions`, `ready` once
    it is checked, `done` once it is written; else it is what runs, as `running` says.
    """
    return {"import": _shown(_own(_seen(name, "documents.write"), file_id))}


@transfers.post(
    f"{_IMPORT}/reading", refusals=(*_OF_FILES, ImportBegun, ImportRuns, MappingRefused)
)
@takes_json(schemas.ReadingBody, PARAMETER)
@logged_in
@transfers.response(200, schemas.ImportAnswer)
def choose_import_reading(name: str, file_id: str) -> dict[str, Any]:
    """Say how the file of an import is read

    Its encoding, its delimiter, or the file of a dump, where that is asked; and the line that is
    its heading. A file that was examined already is examined again.
    """
    seen = _seen(name, "documents.write")
    chosen = body_query(schemas.ReadingBody)
    return {"import": _shown(imports.choose_reading(seen, _own(seen, file_id), **chosen))}


@transfers.post(
    f"{_IMPORT}/check",
    refusals=(*_OF_FILES, ImportBegun, ImportRuns, ImportNotReady, MappingRefused, FieldMasked),
)
@takes_json(schemas.CheckBody, PARAMETER)
@logged_in
@transfers.response(202, schemas.ImportAnswer)
def check_import(name: str, file_id: str) -> tuple[dict[str, Any], int]:
    """Decide how a file is imported, and check all of it

    Nothing is written. A column that isn't named becomes the field that is proposed, unless there
    are questions about it; or what it became by an `earlier` import of a file with the same
    headings.
    """
    seen = _seen(name, "documents.write")
    found = _own(seen, file_id)
    if found.stage not in (Stage.DECIDE, Stage.CHECK, Stage.READY):
        raise ImportNotReady
    body = body_query(schemas.CheckBody)
    earlier = earlier_plan(seen.organization, found, body["earlier"])
    decision = decision_from(found, schemas.as_form(found, body, earlier), earlier)
    if decision.plan is None:
        told = "; ".join(words.rstrip(".") for _, words in decision.faults)
        raise MappingRefused(told if told.endswith("…") else f"{told}.")
    return {"import": _shown(imports.decide(seen, found, decision.plan))}, 202


@transfers.post(f"{_IMPORT}/write", refusals=(*_OF_FILES, ImportRuns, ImportNotReady))
@takes_key
@logged_in
@transfers.response(202, schemas.ImportAnswer)
def write_import(name: str, file_id: str) -> tuple[dict[str, Any], int]:
    """Write a checked import, or go on with it

    Each record is written once. The import is an edit in the history, `edit`, and undone there.
    """
    seen = _seen(name, "documents.write")
    found = _own(seen, file_id)
    begun = found.stage == Stage.DONE or (found.stage == Stage.WRITE and found.is_running)
    return {"import": _shown(found if begun else imports.start_write(seen, found))}, 202


@transfers.get(f"{_IMPORT}/indexes", refusals=_OF_FILES)
@logged_in
@transfers.response(200, schemas.DumpIndexesAnswer)
def list_import_indexes(name: str, file_id: str) -> dict[str, Any]:
    """List the indexes that the collection had in its dump

    Each with the `state` of the index of its name here, or the `refusal` to build it. None where
    the file is no dump.
    """
    seen = _seen(name, "indexes.manage")
    return {"indexes": _dump_indexes(seen, _own(seen, file_id))}


@transfers.post(
    f"{_IMPORT}/indexes",
    refusals=(*_OF_FILES, InvalidIndex, TooManyIndexes, IndexNotOffered, IndexWouldDelete),
)
@takes_json(schemas.DumpIndexesBody, PARAMETER)
@logged_in
@transfers.response(202, schemas.DumpIndexesAnswer)
def build_import_indexes(name: str, file_id: str) -> tuple[dict[str, Any], int]:
    """Build indexes that the collection had in its dump

    Each in the background. One that is there stays, and one that would delete documents at once is
    refused.
    """
    access = access_to_documents(name, "indexes.manage")
    seen = program_access(access, request_context())
    found = _own(seen, file_id)
    begin_builds(access, found, body_query(schemas.DumpIndexesBody)["names"], seen.context)
    return {"indexes": _dump_indexes(seen, found)}, 202


@transfers.post(f"{_IMPORT}/cancel", refusals=(*_OF_FILES, JobEnded))
@takes_key
@logged_in
@transfers.response(200, schemas.ImportAnswer)
def cancel_import(name: str, file_id: str) -> dict[str, Any]:
    """Stop what runs of an import

    Behind the batch in hand. What is written stays.
    """
    seen = _seen(name, "documents.write")
    found = _own(seen, file_id)
    return {"import": _shown(imports.cancel_import(seen, found) if found.is_running else found)}


@transfers.get(f"{_IMPORT}/errors", refusals=(*_OF_FILES, ImportNotReady, FileGone, Overloaded))
@logged_in
@transfers.response(200, schemas.BINARY, content_type=OCTETS)
def get_import_errors(name: str, file_id: str) -> Response:
    """Read the records of an import that failed

    As they were, with line, record and reason. Mended, the file is imported like any.
    """
    seen = _seen(name, "documents.write")
    found = _own(seen, file_id)
    content, pieces = showing.errors_of(found)
    if found.plan is None or content is None:
        raise ImportNotReady
    error_file = ErrorFile(found.plan.options)
    parts = files.pieces_of(seen.organization, content, 0, pieces)
    return _streamed([error_file.begin()], parts)


@transfers.delete(_IMPORT, refusals=(*_OF_FILES, ImportRuns))
@takes_key
@logged_in
@transfers.response(200, schemas.FileDeletedAnswer)
def discard_import(name: str, file_id: str) -> dict[str, Any]:
    """Delete the file of an import

    What was written stays.
    """
    seen = _seen(name, "documents.write")
    imports.discard_import(seen, _own(seen, file_id))
    return {}


@transfers.post(
    _EXPORTS, refusals=(*OF_READING, *REFUSALS, FieldMasked, TooMuchKept, ColumnsRefused)
)
@takes_json(schemas.ExportBody, PARAMETER)
@logged_in
@transfers.response(202, schemas.ExportAnswer)
def begin_export(name: str) -> tuple[dict[str, Any], int]:
    """Have documents exported

    All, or those of a filter, into a file that a job makes: read the export until its `state` is
    `done`. One that can't be whole fails. CSV is read again by an import as the same documents;
    with `typed` false it is for people, and what no column has is told by `left_out`. For a stream
    at once, read documents with `Accept: application/x-ndjson`.
    """
    seen = _seen(name, "documents.read")
    body = body_query(schemas.ExportBody)
    options = exports.options_of(
        Format(body["format"]),
        gzip=body["gzip"],
        typed=body["typed"],
        guarded=body["guarded"],
        spreadsheet=body["spreadsheet"],
        fields=body["fields"],
    )
    asked = Query(body.get("filter", {}), body.get("sort", {}))
    words = "the documents of a filter" if asked.filter else "all documents"
    key = key_for(seen.organization, "exports", bodies.read())
    made = exports.start_export(seen, asked, options, words, key=key)
    return {"export": _shown_export(made)}, 202


@transfers.get(_EXPORT, refusals=_OF_FILES)
@logged_in
@transfers.response(200, schemas.ExportAnswer)
def get_export(name: str, export_id: str) -> dict[str, Any]:
    """Read how far an export is

    With what was written until now, and until when its file can be fetched.
    """
    found = _own_export(_seen(name, "documents.read"), export_id)
    return {"export": _shown_export(found)}


@transfers.get(f"{_EXPORT}/file", refusals=(*_OF_FILES, ExportNotDone, FileGone, Overloaded))
@logged_in
@transfers.response(200, schemas.BINARY, content_type=OCTETS)
def get_export_file(name: str, export_id: str) -> Response:
    """Fetch the file of an export

    For 7 days, by the key or account that asked for it alone.
    """
    seen = _seen(name, "documents.read")
    found = _own_export(seen, export_id)
    return _streamed([], exports.export_content(seen, found))


@transfers.delete(_EXPORT, refusals=(*_OF_FILES, JobEnded))
@takes_key
@logged_in
@transfers.response(200, schemas.FileDeletedAnswer)
def delete_export(name: str, export_id: str) -> dict[str, Any]:
    """Delete an export

    One that runs is stopped.
    """
    seen = _seen(name, "documents.read")
    exports.cancel_export(seen, _own_export(seen, export_id))
    return {}


def _seen(name: str, permission: str) -> DocumentAccess:
    return program_access(access_to_documents(name, permission), request_context())


def _own_file(seen: DocumentAccess, file_id: str, purpose: Purpose) -> StoredFile:
    file = find_file(seen.organization, file_id, purpose)
    if not file.belongs_to(seen.context):
        raise NotYours
    return file


def _own(seen: DocumentAccess, file_id: str) -> Import:
    found = find_import(seen.organization, file_id)
    if not found.file.belongs_to(seen.context):
        raise NotYours
    return found


def _own_export(seen: DocumentAccess, export_id: str) -> exports.Export:
    found = exports.find_export(seen.organization, export_id)
    if not found.file.belongs_to(seen.context):
        raise NotYours
    return found


def _listed(found: Import, seen: DocumentAccess) -> dict[str, Any]:
    """An import for those who may not have its file."""
    shown = _shown(found)
    return shown if found.file.belongs_to(seen.context) else {**shown, "questions": []}


def _shown(found: Import) -> dict[str, Any]:
    reached = found.written or found.checked
    return {
        "id": str(found.file.id),
        "file_name": found.file.name,
        "size": found.file.size_bytes,
        "stage": found.stage.value,
        "running": found.is_running,
        "reason": found.job.reason if found.job else None,
        "questions": schemas.questions_of(found),
        "records": reached.records if reached else 0,
        "counts": reached.counts if reached else {},
        "edit": str(found.edit.id) if found.edit else None,
    }


def _dump_indexes(seen: DocumentAccess, found: Import) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "keys": dict(each.index.keys) if each.index else {},
            "state": each.here and each.here.state,
            "refusal": each.refusal,
            "note": each.note,
        }
        for each in indexes_of_dump(seen, found)
    ]


def _shown_export(found: exports.Export) -> dict[str, Any]:
    return {
        "id": str(found.file.id),
        "state": found.job.state if found.job else "failed",
        "reason": found.job.reason if found.job else None,
        "documents": found.written.documents,
        "left_out": found.written.left_out,
        "size": found.file.size_bytes,
        "until": found.file.content_until,
    }


def _streamed(begin: Iterable[bytes], parts: Iterable[bytes]) -> Response:
    content = streaming.bytes_in_parts(itertools.chain(begin, parts))
    return Response(content, mimetype=OCTETS)
