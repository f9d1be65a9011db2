"""Writing the documents of a checked file: each batch in one transaction with its edit, which keeps
how far the file is written. So each record is written once, however often the work is killed, and
the whole import can be undone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymongo.errors import BulkWriteError

from portal.data.access import DocumentAccess
from portal.data.edits import Change, Edit, EditKind, EditState
from portal.data.errors import (
    DocumentInvalid,
    DuplicateDocument,
    EditOvertaken,
    EditTooLarge,
    QueryTooSlow,
    WriteRefused,
)
from portal.data.exact import Insertable, insert_exactly, replace_exactly
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.records import Fault, Record
from portal.data.handles import documents_of
from portal.data.masks.errors import FieldMasked
from portal.data.recording import (
    Insertions,
    append,
    assign_job,
    open_edit,
    prepare_recording,
    trim,
)
from portal.data.refused_writes import note_refused
from portal.data.server_errors import writing
from portal.data.transfer import passes
from portal.data.transfer.checking import several_have
from portal.data.transfer.faults import fault_of
from portal.data.transfer.files import StoredFile, put_piece
from portal.data.transfer.identities import identified, identified_as
from portal.data.transfer.lookups import KeyValue, find_existing, key_of, no_key
from portal.data.transfer.passes import Reached
from portal.data.transfer.plans import Existing, Plan
from portal.database.leases import Interrupted
from portal.errors import PortalError
from portal.jobs.running import JobFailed, Run
from portal.tenants.elements import field_of, id_of

SMALLEST_BATCH = 50
"""The records that are tried at once behind one that the database refused."""


def write_file(run: Run, access: DocumentAccess, file: StoredFile) -> dict[str, Any]:
    """The work of a write: goes on where the attempt before, or the cancelled job, came to. Raises
    JobFailed where more records fail than may."""
    return _Write(run, access, file).work()


@dataclass(slots=True)
class _Entry:
    """A record that has a document, and the key that it is known by."""

    record: Record
    document: bytes
    key: KeyValue


@dataclass(slots=True)
class _New:
    """Documents to insert, as they are inserted and recorded, with their records."""

    records: Sequence[Record]
    documents: Insertable
    insertions: Insertions


@dataclass(slots=True)
class _Part:
    """Records that are written together: those that can’t be written; those with a document, which
    are all ``new``, or ``entries`` that are looked up first."""

    records: Sequence[Record]
    faults: Sequence[tuple[Record, Fault]] = ()
    entries: Sequence[_Entry] = ()
    new: _New | None = None


@dataclass(slots=True)
class _Tried:
    """The result of a transaction."""

    refused: list[tuple[Record, Fault]]
    inserted: Insertions | None = None
    changes: list[Change] = field(default_factory=list)
    existing: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of documents that were written."""
        inserted = len(self.inserted.ids) if self.inserted else 0
        return {"inserted": inserted, "replaced": len(self.changes)}


class _Write:
    def __init__(self, run: Run, access: DocumentAccess, file: StoredFile) -> None:
        self.run, self.access, self.file = run, access, file
        self.plan = Plan.of(file.details["plan"])
        self.total = Reached.of(file.details["check"]["reached"]).records
        self.errors = ErrorFile(self.plan.options)
        self.handle = documents_of(access.organization)
        prepare_recording(access.organization)
        self.edit: Edit = self.handle.with_transaction(self._open)
        assign_job(access.organization, self.edit.id, run.job.id)
        self.reached = Reached.of(self.edit.position)
        self.size = self.most = passes.BATCH_RECORDS
        # By record; found before they are written, or by a try that was refused.
        self.faults: dict[int, Fault] = {}

    def _open(self, handle: Any) -> Edit:
        return open_edit(
            handle,
            self.access,
            EditKind.IMPORT,
            title=f"Import of {self.file.name}",
            job=self.run.job.id,
            edit_id=self.file.details["edit"],
        )

    def work(self) -> dict[str, Any]:
        if self.edit.state == EditState.DONE:
            return self._result()
        records, _ = passes.records_after(
            self.access.organization, self.file, self.plan.options, self.reached.at
        )
        parts = map(self._prepared, passes.in_batches(records))
        for part in passes.read_ahead(parts):
            self._write_batch(part)
            fatal = passes.fatal_fault(part.records)
            if fatal:
                raise JobFailed(
                    f"The file can’t be read to its end: {fatal.reason}", self._result()
                )
        self._commit(_Part(()), state=EditState.DONE)
        trim(self.access.organization)
        return self._result()

    def _write_batch(self, batch: _Part) -> None:
        """Write the batch, in parts where the database refuses some of it. Raises JobFailed where
        more failed than may."""
        rest = batch.records
        while rest:
            self.run.check()
            size = self._part_size(rest)
            is_whole = size == len(batch.records) and not self.faults
            part = batch if is_whole else self._prepared(rest[:size])
            try:
                self._commit(part)
            except _RefusedOne as refused:
                self._note(part.records, refused)
                continue
            except QueryTooSlow:  # such as with many indexes
                if size <= SMALLEST_BATCH:
                    raise
                self.size = self.most = size // 2
                continue
            rest = rest[size:]
            self.size = min(self.size * 2, self.most)
            self.run.report(self.reached.records, "Write")
            self._check_share()
        self.faults.clear()

    def _part_size(self, rest: Sequence[Record]) -> int:
        """The number of records that are written together: none has the key of another one."""
        most = min(self.size, len(rest))
        if self.plan.existing == Existing.INSERT:
            return most
        seen: set[KeyValue] = set()
        for number, record in enumerate(rest[:most]):
            key = None if record.document is None else key_of(record.document, self.plan.key)
            if isinstance(key, KeyValue):
                if key in seen:
                    return number
                seen.add(key)
        return most

    def _note(self, part: Sequence[Record], refused: "_RefusedOne") -> None:
        """Note which record of the part was refused; where that isn't known, try fewer at once."""
        if (refused.record or len(part) == 1) and isinstance(refused.__cause__, DocumentInvalid):
            note_refused(self.access.organization.id)
        if refused.record is not None:
            self.faults[refused.record.number] = refused.fault
            self.size = max(SMALLEST_BATCH, len(part) // 2)
        elif len(part) == 1:
            self.faults[part[0].number] = refused.fault
        else:
            self.size = max(len(part) // 2, 1)

    def _check_share(self) -> None:
        may_fail = self.plan.may_fail(self.total)
        if self.reached.errors > may_fail:
            words = f"{self.reached.errors:,} records failed, {may_fail:,} may."
            raise JobFailed(words, self._result())

    def _commit(self, part: _Part, state: EditState = EditState.OPEN) -> None:
        """Write the records, their edit and their errors in one transaction, and go on from their
        end. Raises _RefusedOne, with nothing written; JobFailed."""
        body = partial(self._write_in, part, state)
        try:
            with writing():
                self.edit, self.reached = self.handle.with_transaction(body)
        except EditOvertaken as error:
            raise Interrupted(str(self.run.job.id)) from error
        except EditTooLarge as error:
            raise JobFailed(error.words, self._result()) from error
        except (DuplicateDocument, DocumentInvalid, WriteRefused) as error:
            raise _RefusedOne(fault_of(error), self._refused_record(error, part)) from error

    def _prepared(self, records: Sequence[Record]) -> _Part:
        """The records as they are written; all that can be done before the transaction is."""
        faults, sound = list[tuple[Record, Fault]](), list[Record]()
        for record in records:
            fault = record.fault or self.faults.get(record.number)
            if fault:
                faults.append((record, fault))
            elif record.document is not None:
                sound.append(record)
        if self.plan.existing == Existing.INSERT:
            new = self._new(sound, [identified(each.document or b"") for each in sound], faults)
            return _Part(records, faults, new=new)
        entries = list(self._entries(sound, faults))
        return _Part(records, faults, entries)

    def _entries(
        self, records: Sequence[Record], faults: list[tuple[Record, Fault]]
    ) -> Iterator[_Entry]:
        """The records that have a key."""
        for record in records:
            document = record.document or b""
            key = key_of(document, self.plan.key)
            if isinstance(key, str):
                faults.append((record, no_key(self.plan.key, key)))
            else:
                yield _Entry(record, document, key)

    def _new(
        self,
        records: list[Record],
        documents: list[bytes],
        faults: list[tuple[Record, Fault]],
    ) -> _New:
        """The documents of these records that have no field that is masked for who imports."""
        if self.access.mask.may_refuse:
            pairs = list(zip(records, documents, strict=True))
            records, documents = [], []
            for record, document in pairs:
                try:
                    self.access.mask.check_insert(document)
                except FieldMasked as error:
                    faults.append((record, fault_of(error)))
                else:
                    records.append(record)
                    documents.append(document)
        return _New(records, Insertable.of(documents), Insertions.of(documents))

    def _write_in(self, part: _Part, state: EditState, handle: Any) -> tuple[Edit, Reached]:
        tried = _Tried(list(part.faults))
        if part.new:
            self._insert(handle, part.new, tried)
        else:
            self._merge(handle, part.entries, tried)
        tried.refused.sort(key=lambda pair: pair[0].number)
        reached = Reached.of(self.reached.stored())
        if part.records:
            reached.advance(part.records)
        reached.count("errors", len(tried.refused))
        reached.count("existing", tried.existing)
        for name, number in tried.counts.items():
            reached.count(name, number)
        reached.faults.add(tried.refused)
        if tried.refused:
            piece = self.errors.encode(tried.refused)
            content = self.file.details["write_errors"]
            put_piece(handle, self.file, content, reached.pieces, piece)
            reached.pieces += 1
            reached.error_bytes += len(piece)
        edit = append(
            handle,
            self.edit,
            tried.changes,
            inserted=tried.inserted,
            position=reached.stored(),
            counts=tried.counts,
            state=state,
        )
        return edit, reached

    def _insert(self, handle: Any, new: _New, tried: _Tried) -> None:
        insert_exactly(handle, new.documents)
        tried.inserted = new.insertions

    def _merge(self, handle: Any, entries: Sequence[_Entry], tried: _Tried) -> None:
        replaces = self.plan.existing == Existing.REPLACE
        keys = [entry.key for entry in entries]
        found = find_existing(handle, self.plan.key, keys, whole=replaces) if keys else {}
        new, documents = list[Record](), list[bytes]()
        for entry in entries:
            there = found.get(entry.key, [])
            if not there:
                new.append(entry.record)
                documents.append(identified(entry.document))
            elif len(there) > 1:
                tried.refused.append((entry.record, several_have(len(there), self.plan.key)))
            elif not replaces:
                tried.existing += 1
            else:
                self._replace(entry, there[0], tried)
        self._insert(handle, self._new(new, documents, tried.refused), tried)
        made = [change.after for change in tried.changes if not change.changes_nothing]
        replace_exactly(handle, [each for each in made if each is not None])

    def _replace(self, entry: _Entry, stored: bytes, tried: _Tried) -> None:
        document_id = id_of(stored)
        given = field_of(entry.document, "_id")
        if given is not None and key_of(entry.document, "_id") != key_of(stored, "_id"):
            fault = Fault(f"The document with this {self.plan.key} has another _id", "_id")
            tried.refused.append((entry.record, fault))
            return
        try:
            document = self.access.mask.merged(identified_as(entry.document, document_id), stored)
        except FieldMasked as error:
            tried.refused.append((entry.record, fault_of(error)))
            return
        tried.changes.append(Change(document_id, stored, document))

    def _result(self) -> dict[str, Any]:
        return {"records": self.reached.records, **self.reached.counts}

    def _refused_record(self, error: PortalError, part: _Part) -> Record | None:
        """The record that the database refused, where its reply tells."""
        # What is special is inserted one by one.
        if part.new is None or part.new.documents.special:
            return None
        if not isinstance(error.__cause__, BulkWriteError):
            return None
        faults = (error.__cause__.details or {}).get("writeErrors") or []
        return part.new.records[faults[0]["index"]] if faults else None


@dataclass
class _RefusedOne(Exception):
    """The database refuses a record, if it is known which."""

    fault: Fault
    record: Record | None
