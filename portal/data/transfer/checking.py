"""Checking a file before anything of it is written: each record is read, and looked up in the
documents that are there and in the records before; some are tried on rules and other unique
indexes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bson import ObjectId

from portal.data.access import DocumentAccess
from portal.data.formats.error_files import ErrorFile
from portal.data.formats.records import Fault, Position, Record
from portal.data.handles import documents_of
from portal.data.transfer import passes, repeats
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
        self.digests_at = file.details["check"].get("digests")
        self.compared = file.details["check"].get("compared", 0)
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
            self._check_errors()
            self.run.report(consumed.bytes, "Check")
        if self.digests_at is not None:
            self._compare_batches(self.digests_at)
        self._keep(done=True)
        if self.digests_at is not None:
            repeats.forget_digests(self.access.organization, self.digests_at)
        return self._result()

    def _check_errors(self) -> None:
        if self.reached.errors > MOST_ERRORS:
            raise JobFailed(f"More than {MOST_ERRORS:,} records are wrong.", self._result())

    def _check(self, batch: list[Record]) -> None:
        refused, keys = self._refused(batch)
        self.reached.advance(batch)
        self._keep(refused, keys=keys)

    def _compare_batches(self, digests_at: ObjectId) -> None:
        """Find the records whose keys are in batches before. Where that is no fault, those of equal
        digests are counted."""
        organization = self.access.organization
        self.run.report(self.file.size_bytes, "Looking for keys that are there twice")
        if self.plan.existing != Existing.INSERT:
            more = repeats.count_repeats(organization, digests_at)
            self.reached.count(INSERTED, -more)
            self.reached.count(self._word, more)
            return
        suspects = repeats.repeated(organization, digests_at, MOST_ERRORS + 1)
        if suspects:
            self._refuse_repeated(digests_at, suspects)

    def _refuse_repeated(self, digests_at: ObjectId, suspects: set[int]) -> None:
        """Read the file once more, and refuse the records whose keys are in batches before."""
        organization, seen = self.access.organization, set[KeyValue]()
        records, consumed = passes.records_after(
            organization, self.file, self.plan.options, Position()
        )
        for number, batch in enumerate(passes.read_ahead(passes.in_batches(records)), 1):
            self.run.check()
            again = []
            # Those that were refused for something else are not among the digests.
            accepted = suspects & repeats.digests_in(organization, digests_at, number)
            for record, key in self._keyed(batch) if accepted else ():
                digest = repeats.digest_of(key)
                if digest not in accepted:
                    continue
                accepted.remove(digest)
                if key in seen:
                    again.append((record, _not_unique("record of the file", "_id")))
                seen.add(key)
            if again and number > self.compared:
                self.compared = number
                self.reached.count(INSERTED, -len(again))
                self._keep(again)
                self._check_errors()
            self.run.report(consumed.bytes, "Comparing keys that are there twice")

    def _keyed(self, batch: Sequence[Record]) -> Iterator[tuple[Record, KeyValue]]:
        for record in batch:
            key = None if record.document is None else key_of(record.document, "_id")
            if isinstance(key, KeyValue):
                yield record, key

    @property
    def _word(self) -> str:
        """The count of records whose document is there already."""
        return REPLACED if self.plan.existing == Existing.REPLACE else EXISTING

    def _refused(
        self, batch: Sequence[Record]
    ) -> tuple[list[tuple[Record, Fault]], Sequence[KeyValue]]:
        """The records that would fail; the others are counted. The keys of those that would be
        inserted."""
        refused = [(record, record.fault) for record in batch if record.fault]
        entries = list(self._entries(batch, refused))
        faults = self._tried([each for each in entries if each.word != EXISTING])
        counts: Counter[str] = Counter()
        keys = list[KeyValue]()
        for entry in entries:
            fault = faults.get(entry.record.number)
            if fault is None:
                counts[entry.word] += 1
                if entry.word == INSERTED and entry.key is not None:
                    keys.append(entry.key)
            else:
                refused.append((entry.record, fault))
        for word, number in counts.items():
            self.reached.count(word, number)
        return sorted(refused, key=lambda pair: pair[0].number), keys

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
                refused.append((record, _not_unique(what, name)))
            elif len(there) > 1:
                refused.append((record, several_have(len(there), name)))
            elif there or key in made:
                yield Entry(record, self._word, id_of(there[0]) if there else made[key])
            else:
                made[key] = b"" if inserts else id_of(identified(record.document or b""))
                yield Entry(record, INSERTED, made[key] or None, key)

    def _tried(self, entries: Sequence[Entry]) -> dict[int, Fault]:
        if not self.trial.tries_anything:
            return {}
        before = self.reached.counts.get("tried", 0)
        faults, tried = self.trial.faults(some_of(entries, before))
        self.reached.count("tried", tried)
        return faults

    def _keep(
        self,
        refused: Sequence[tuple[Record, Fault]] = (),
        *,
        keys: Sequence[KeyValue] = (),
        done: bool = False,
    ) -> None:
        """Keep how far it is, the piece of the error file, and the digests of the keys, unless
        another attempt did."""
        self.reached.count("errors", len(refused))
        self.reached.faults.add(refused)
        self.batch += 1
        number = self.reached.pieces
        piece = self.errors.encode(refused) if refused else b""
        if piece:
            self.reached.pieces += 1
            self.reached.error_bytes += len(piece)
        errors = self.file.details["check"]["errors"]
        mine = {"details.check.errors": errors, "details.check.batch": self.batch - 1}
        kept = {
            "details.check.batch": self.batch,
            "details.check.done": done,
            "details.check.reached": self.reached.stored(),
            "details.check.trial": self.trial.stored(),
            "details.check.compared": self.compared,
        }
        digests = [repeats.digest_of(key) for key in keys] if self.digests_at else []

        def keep(handle: Any) -> None:
            change_in(handle, self.file, mine, kept)
            if piece:
                put_piece(handle, self.file, errors, number, piece)
            if digests and self.digests_at:
                repeats.keep_digests(handle, self.file, self.digests_at, self.batch, digests)

        self.handle.with_transaction(keep)

    def _result(self) -> dict[str, Any]:
        return {"records": self.reached.records, **self.reached.counts}


def _not_unique(what: str, name: str) -> Fault:
    return Fault(f"Another {what} has the same {name}, which is unique", name)


def several_have(number: int, key: str) -> Fault:
    """The fault of a record whose key several documents have."""
    return Fault(f"{number} documents have this {key}", key)
