"""Importing a stream of documents, one a line, in batches."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pymongo
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from werkzeug.exceptions import HTTPException

from portal.data import extended_json
from portal.data.access import DocumentAccess
from portal.data.edits import Change, EditKind
from portal.data.errors import ImportStopped, InvalidExtendedJson, StreamBrokeOff
from portal.data.exact import insert_exactly
from portal.data.handles import RAW
from portal.data.idempotency import Answer, write_once
from portal.data.masks.errors import FieldMasked
from portal.data.recording import append, close_edit, open_edit, prepare_recording
from portal.data.refused_writes import noting_refused
from portal.data.server_errors import writing
from portal.errors import PortalError
from portal.tenants.elements import field_of, id_of, with_id, with_id_in_front
from portal.web.context import IdempotencyKey

END = "$end"
"""The only key of a stream's last line: what an export ends with, and an import may."""
BATCH_DOCUMENTS = 2000
BATCH_BYTES = 8 * 1024 * 1024
BATCH_SECONDS = 10

MakeKey = Callable[[int, bytes], IdempotencyKey | None]


@dataclass(frozen=True, slots=True)
class Imported:
    """The number of documents of a stream, and of those that an earlier call had inserted."""

    inserted: int
    repeated: int

    def plus(self, other: "Imported") -> "Imported":
        """The sum."""
        return Imported(self.inserted + other.inserted, self.repeated + other.repeated)


def import_lines(access: DocumentAccess, parts: Iterable[bytes], make_key: MakeKey) -> Imported:
    """Insert the documents of a stream in their order, each batch of BATCH_DOCUMENTS or BATCH_BYTES
    in a transaction of its own.

    ``make_key`` makes a batch's idempotency key of its number and content: sent again with the
    same keys, batches that are inserted are passed over. Raises ImportStopped with the number of
    documents that are inserted, at the first line that can't be read or batch that is refused;
    FieldMasked where the first batch is, for a masked field.
    """
    done = Imported(0, 0)
    recorder = _Recorder(access)
    fault: Exception | None = None
    # The next batch is read while one is inserted.
    with ThreadPoolExecutor(1, "import") as thread:
        waiting: Future[Imported] | None = None
        batches = enumerate(_batches(_lines(parts)))
        while True:
            try:
                number, batch = next(batches, (0, None))
            except (InvalidExtendedJson, HTTPException) as error:
                fault, batch = error, None
            try:
                done = done.plus(waiting.result()) if waiting else done
            except _BatchRefused as refused:
                recorder.close()
                if isinstance(refused.error, FieldMasked) and not done.inserted:
                    raise refused.error from refused
                raise ImportStopped(refused.fields, done.inserted) from refused
            if batch is None:
                break
            key = make_key(number, batch.content)
            waiting = thread.submit(_insert, access, batch, key, recorder)
    recorder.close()
    if isinstance(fault, InvalidExtendedJson):
        raise ImportStopped(fault.fields, done.inserted) from fault
    if isinstance(fault, HTTPException):
        raise StreamBrokeOff(fault.name, done.inserted) from fault
    return done


@dataclass
class _BatchRefused(Exception):
    error: PortalError
    line: int

    @property
    def fields(self) -> dict[str, str]:
        return {f"line {self.line}": self.error.api_words}


@dataclass(frozen=True, slots=True)
class _Batch:
    first_line: int
    documents: list[bytes]
    content: bytes


class _Recorder:
    """The edit that a stream is recorded as, opened with its first batch, if it is recorded."""

    def __init__(self, access: DocumentAccess) -> None:
        self._access = access
        self._id = ObjectId() if access.recorded else None
        if access.recorded:
            prepare_recording(access.organization)

    def append(self, handle: Any, documents: Sequence[bytes]) -> None:
        """Record a batch in the transaction that inserts it."""
        if self._id is None:
            return
        title = "Inserted a stream of documents"
        edit = open_edit(handle, self._access, EditKind.IMPORT, title=title, edit_id=self._id)
        append(handle, edit, [Change(id_of(each), None, each) for each in documents])

    def close(self) -> None:
        """Close the edit, when no batch follows."""
        if self._id is not None:
            close_edit(self._access.organization, self._id)


def _insert(
    access: DocumentAccess, batch: _Batch, key: IdempotencyKey | None, recorder: _Recorder
) -> Imported:
    def insert(handle: Any) -> Answer:
        documents = [with_id_in_front(each) for each in batch.documents]
        with writing():
            insert_exactly(handle, documents)
        recorder.append(handle, documents)
        return {"inserted": len(batch.documents)}

    try:
        for document in batch.documents:
            access.mask.check_insert(document)
        with pymongo.timeout(BATCH_SECONDS), noting_refused(access.organization.id):
            answer, repeated = write_once(access.organization, key, insert)
    except PortalError as error:
        raise _BatchRefused(error, batch.first_line) from error
    return Imported(answer["inserted"], answer["inserted"] if repeated else 0)


def _batches(lines: Iterator[tuple[int, bytes]]) -> Iterator[_Batch]:
    documents: list[bytes] = []
    content: list[bytes] = []
    first, size_bytes, before = 1, 0, 0
    for number, line in lines:
        document = extended_json.parse(line, f"line {number}")
        ended = field_of(document, END) if document[5:10] == b"$end\0" else None
        if ended is not None:
            _check_end(ended, before + len(documents), number, lines)
            break
        if documents and (
            len(documents) == BATCH_DOCUMENTS or size_bytes + len(document) > BATCH_BYTES
        ):
            yield _Batch(first, documents, b"\n".join(content))
            before += len(documents)
            documents, content, size_bytes = [], [], 0
        if not documents:
            first = number
        if document[5:9] != b"_id\0":
            document = with_id(document)[0]
        documents.append(document)
        content.append(line)
        size_bytes += len(document)
    if documents:
        yield _Batch(first, documents, b"\n".join(content))


def _check_end(ended: bytes, count: int, number: int, lines: Iterator[tuple[int, bytes]]) -> None:
    told = RawBSONDocument(ended, RAW)[""]
    if not isinstance(told, RawBSONDocument) or told.get("documents") != count:
        raise InvalidExtendedJson.at(f"line {number}", "the stream has not as many documents")
    for after, _ in lines:
        raise InvalidExtendedJson.at(f"line {after}", "nothing follows the end")


def _lines(parts: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines that aren't blank, with their numbers. Raises InvalidExtendedJson for one that is
    too large."""
    number, rest = 0, b""
    for part in parts:
        lines = (rest + part).split(b"\n") if b"\n" in part else None
        if lines is None:
            rest += part
        else:
            rest = lines.pop()
            for line in lines:
                number += 1
                if line.strip():
                    yield number, line
        if len(rest) > extended_json.LARGEST_TEXT_BYTES:
            raise InvalidExtendedJson.at(f"line {number + 1}", "larger than 16 MiB")
    if rest.strip():
        yield number + 1, rest
