"""Checking a file before anything of it is written: each record is read, and looked up in the
documents that are there."""

from collections.abc import Iterator, Sequence
from typing import Any

from portal.data.access import DocumentAccess
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.records import Fault, Record
from portal.data.handles import documents_of
from portal.data.transfer import passes
from portal.data.transfer.files import StoredFile, change_in, put_piece
from portal.data.transfer.lookups import find_existing, keyed
from portal.data.transfer.passes import Reached
from portal.data.transfer.plans import Existing, Plan
from portal.jobs.running import JobFailed, Run

MOST_ERRORS = 100_000
"""The number of failed records at which a check ends."""


def check_file(run: Run, access: DocumentAccess, file: StoredFile) -> dict[str, Any]:
    """The work of a check: goes on where the attempt before came to."""
    return _Check(run, access, file).work()


class _Check:
    def __init__(self, run: Run, access: DocumentAccess, file: StoredFile) -> None:
        self.run, self.access, self.file = run, access, file
        self.plan = Plan.of(file.details["plan"])
        self.reached = Reached.of(file.details["check"]["reached"])
        self.batch = file.details["check"]["batch"]
        self.errors = ErrorFile(self.plan.options)
        self.handle = documents_of(access.organization)

    def work(self) -> dict[str, Any]:
        records, consumed = passes.records_after(
            self.access.organization, self.file, self.plan.options, self.reached.at
        )
        for batch in passes.read_ahead(passes.in_batches(records)):
            self.run.check()
            self._check(batch)
            fatal = passes.fatal_fault(batch)
            if fatal:
                raise JobFailed(
                    f"The file can’t be read to its end: {fatal.reason}", self._result()
                )
            if self.reached.errors > MOST_ERRORS:
                raise JobFailed(f"More than {MOST_ERRORS:,} records are wrong.", self._result())
            self.run.report(consumed.bytes, "Check")
        self._keep(done=True, pieces=b"")
        return self._result()

    def _check(self, batch: list[Record]) -> None:
        refused = list(self._refused(batch))
        self.reached.count("errors", len(refused))
        self.reached.faults.add(refused)
        self.reached.advance(batch)
        self._keep(done=False, pieces=self.errors.encode(refused) if refused else b"")

    def _refused(self, batch: Sequence[Record]) -> Iterator[tuple[Record, Fault]]:
        for record in batch:
            if record.fault:
                yield record, record.fault
        by_key, without = keyed(batch, self.plan.key)
        name = self.plan.key
        if self.plan.existing != Existing.INSERT:
            yield from without
        given = list(by_key)
        found = find_existing(self.handle, name, given, whole=False) if given else {}
        new = sum(r.document is not None for r in batch) - len(found)
        if self.plan.existing == Existing.INSERT:
            for key in found:
                yield (
                    by_key[key],
                    Fault(f"Another document has the same {name}, which is unique", name),
                )
            self.reached.count("inserted", new)
            return
        new -= len(without)
        for key, several in found.items():
            if len(several) > 1:
                yield by_key[key], several_have(len(several), name)
            else:
                word = "replaced" if self.plan.existing == Existing.REPLACE else "existing"
                self.reached.count(word)
        self.reached.count("inserted", new)

    def _keep(self, *, done: bool, pieces: bytes) -> None:
        """Keep how far it is, and the piece of the error file, unless another attempt did."""
        self.batch += 1
        number = self.reached.pieces
        if pieces:
            self.reached.pieces += 1
            self.reached.error_bytes += len(pieces)
        errors = self.file.details["check"]["errors"]
        mine = {"details.check.errors": errors, "details.check.batch": self.batch - 1}
        kept = {
            "details.check.batch": self.batch,
            "details.check.done": done,
            "details.check.reached": self.reached.stored(),
        }

        def keep(handle: Any) -> None:
            change_in(handle, self.file, mine, kept)
            if pieces:
                put_piece(handle, self.file, errors, number, pieces)

        self.handle.with_transaction(keep)

    def _result(self) -> dict[str, Any]:
        return {"records": self.reached.records, **self.reached.counts}


def several_have(number: int, key: str) -> Fault:
    """The fault of a record whose key several documents have."""
    return Fault(f"{number} documents have this {key}", key)
