"""Idempotency keys of document writes, kept beside the documents.

The transaction of a write also writes its record, so both are done or neither. A record has ids
and numbers, never a document.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from portal import clock
from portal.data.handles import documents_of
from portal.database.write_records import CHANGED, KEPT, prepare_records, records_in, records_of
from portal.documents.organizations import Organization
from portal.tenants import Tenant
from portal.web.context import IdempotencyKey
from portal.web.errors import DuplicateRequest, IdempotencyKeyReused

Answer = dict[str, Any]
Records = Collection[dict[str, Any]]
Write = Callable[[Any], Answer]


def records_beside(handle: Tenant) -> Records:
    """The records in the cluster that the documents are in, as far as their handle knows. Raises
    ClusterUnavailable."""
    there = records_of(handle.place.locate().entry.cluster)
    prepare_records(there.database)
    return there


def write_once(
    organization: Organization, key: IdempotencyKey | None, write: Write
) -> tuple[Answer, bool]:
    """The answer of ``write``, called in a transaction on the organization's documents, and whether
    it was given before: with a ``key`` the write is done once in 24 hours.

    Raises IdempotencyKeyReused where the key came with other content, DuplicateRequest where the
    first request is not done yet, and what ``write`` raises, with nothing written.
    """
    handle = documents_of(organization)
    if key is None:
        return handle.with_transaction(write), False
    there = records_beside(handle)
    known = _find(key, there)
    if known is not None:
        return known, True

    def write_and_record(handle: Any) -> Answer:
        nonlocal there
        # Since it was looked for the organization may have moved, and its records before it.
        there = records_in(handle.session.client)
        _claim(organization, key, handle.session)
        answer = write(handle)
        done = {"$set": {"answer": answer}, **CHANGED}
        there.update_one({"_id": key.id}, done, session=handle.session)
        return answer

    try:
        return handle.with_transaction(write_and_record), False
    except DuplicateRequest:
        known = _find(key, there)
        if known is None:
            raise
        return known, True


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a write of many documents: the number of its batches, the last ``_id``, and
    what was counted; the ``edit`` that it is recorded as; the ``answer`` once it is done."""

    batch: int
    after: bytes | None
    counts: dict[str, int]
    answer: Answer | None = None
    edit: ObjectId | None = None

    @classmethod
    def of(cls, handle: Tenant, key: IdempotencyKey | None, counts: dict[str, int]) -> Self:
        """By the record of the ``key``, else at the beginning. Raises IdempotencyKeyReused."""
        record = _record(key, records_beside(handle)) if key else None
        if record is None:
            return cls(0, None, counts)
        progress = record["progress"]
        return cls(
            progress["batch"],
            progress["after"],
            progress["counts"],
            record.get("answer"),
            progress.get("edit"),
        )

    def advance(
        self, organization: Organization, key: IdempotencyKey, to: Self, session: ClientSession
    ) -> None:
        """Record in the batch's transaction that it is done. Raises DuplicateRequest where another
        request did it."""
        reached: dict[str, Any] = {"batch": to.batch, "after": to.after, "counts": to.counts}
        if to.edit:
            reached["edit"] = to.edit
        if self.batch == 0:
            _claim(organization, key, session, progress=reached)
            return
        before = {"_id": key.id, "progress.batch": self.batch}
        there = records_in(session.client)
        change = {"$set": {"progress": reached}, **CHANGED}
        written = there.update_one(before, change, session=session)
        if not written.matched_count:
            raise DuplicateRequest


def _claim(
    organization: Organization, key: IdempotencyKey, session: ClientSession, **fields: Any
) -> None:
    record = {"mac": key.macs[0], "organization": organization.id, "at": clock.now(), **fields}
    expired = {"_id": key.id, "at": {"$lt": clock.now() - KEPT}}
    former = {name: "" for name in ("answer", "progress") if name not in fields}
    change = {"$set": record, "$unset": former, **CHANGED}
    try:
        there = records_in(session.client)
        there.update_one(expired, change, upsert=True, session=session)
    except DuplicateKeyError as error:
        raise DuplicateRequest from error


def _find(key: IdempotencyKey, there: Records) -> Answer | None:
    record = _record(key, there)
    return record and record["answer"]


def _record(key: IdempotencyKey, there: Records) -> dict[str, Any] | None:
    """The record of this key. Raises IdempotencyKeyReused."""
    record = there.find_one({"_id": key.id, "at": {"$gte": clock.now() - KEPT}})
    if record is not None and record["mac"] not in key.macs:
        raise IdempotencyKeyReused
    return record
