"""Checking a file before anything of it is written: each record is read, and looked up in the
documents that are there; some are tried on rules and other unique indexes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from portal.data.access import DocumentAccess
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.records import Fault, Record
from portal.data.handles import documents_of
from portal.data.transfer import passes
from portal.data.transfer.files import StoredFile, change_in, put_piece
from portal.data.transfer.identities import identified
from portal.data.transfer.lookups import KeyValue, find_existing, key_of, no_key
from portal.data.transfer.passes import Reached
from portal.data.transfer.plans import Existing, Plan
from portal.data.transfer.trying import Entry, Trial, some_of
from portal.jobs.running import JobFailed, Run
from portal.tenants.elements import id_of

MOST_ERRORS = 100_000
"""The number of failed records at which a check ends."""

INSERTED, REPLACED, EXISTING = "inserted", "replaced", "existing"


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
        self.trial = Trial(access)

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
        refused = self._refused(batch)
        self.reached.count("errors", len(refused))
        self.reached.faults.add(refused)
        self.reached.advance(batch)
        self._keep(done=False, pieces=self.errors.encode(refused) if refused else b"")

    def _refused(self, batch: Sequence[Record]) -> list[tuple[Record, Fault]]:
        """The records that would fail; the others are counted."""
        refused = [(record, record.fault) for record in batch if record.fault]
        entries = list(self._entries(batch, refused))
        faults = self._tried([each for each in entries if each.word != EXISTING])
        counts: Counter[str] = Counter()
        for entry in entries:
            fault = faults.get(entry.record.number)
            if fault is None:
                counts[entry.word] += 1
            else:
                refused.append((entry.record, fault))
        for word, number in counts.items():
            self.reached.count(word, number)
        return sorted(refused, key=lambda pair: pair[0].number)

    def _entries(
        self, batch: Sequence[Record], refused: list[tuple[Record, Fault]]
    ) -> Iterator[Entry]:
        """The records that nothing in the file or in the key refuses."""
        inserts = self.plan.existing == Existing.INSERT
        name = "_id" if inserts else self.plan.key
        keys = [(each, key_of(each.document, name)) for each in batch if each.document is not None]
        given = {key for _, key in keys if isinstance(key, KeyValue)}
        found = find_existing(self.handle, name, given, whole=False) if given else {}
        made: dict[KeyValue, bytes] = {}
        for record, key in keys:
            if isinstance(key, str):
                if inserts:
                    yield Entry(record, INSERTED)
                else:
                    refused.append((record, no_key(name, key)))
                continue
            there = found.get(key, [])
            if inserts and (there or key in made):
                what = "document" if there else "record of the file"
                words = f"Another {what} has the same {name}, which is unique"
                refused.append((record, Fault(words, name)))
            elif len(there) > 1:
                refused.append((record, several_have(len(there), name)))
            elif there or key in made:
                word = REPLACED if self.plan.existing == Existing.REPLACE else EXISTING
                yield Entry(record, word, id_of(there[0]) if there else made[key])
            else:
                made[key] = b"" if inserts else id_of(identified(record.document or b""))
                yield Entry(record, INSERTED, made[key] or None)

    def _tried(self, entries: Sequence[Entry]) -> dict[int, Fault]:
        if not self.trial.tries_anything:
            return {}
        before = self.reached.counts.get("tried", 0)
        faults, tried = self.trial.faults(some_of(entries, before))
        self.reached.count("tried", tried)
        return faults

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
            "details.check.trial": self.trial.stored(),
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
