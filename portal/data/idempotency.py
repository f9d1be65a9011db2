"""Idempotency keys of document writes, kept beside the documents.

The transaction of a write also writes its record, so both are done or neither. A record has ids
and numbers, never a document.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from portal import clock
from portal.data.handles import documents_of
from portal.database.write_records import CHANGED, KEPT, prepare_records, records_of
from portal.documents.organizations import Organization
from portal.web.context import IdempotencyKey
from portal.web.errors import DuplicateRequest, IdempotencyKeyReused

Answer = dict[str, Any]
Write = Callable[[Any], Answer]


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
    cluster = organization.placement.cluster
    prepare_records(records_of(cluster).database)
    known = _find(key, cluster)
    if known is not None:
        return known, True

    def write_and_record(handle: Any) -> Answer:
        _claim(organization, key, handle.session)
        answer = write(handle)
        done = {"$set": {"answer": answer}, **CHANGED}
        records_of(cluster).update_one({"_id": key.id}, done, session=handle.session)
        return answer

    try:
        return handle.with_transaction(write_and_record), False
    except DuplicateRequest:
        known = _find(key, cluster)
        if known is None:
            raise
        return known, True


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a write of many documents: the number of its batches, the last ``_id``, and
    what was counted; the ``answer`` once it is done."""

    batch: int
    after: bytes | None
    counts: dict[str, int]
    answer: Answer | None = None

    @classmethod
    def of(
        cls, organization: Organization, key: IdempotencyKey | None, counts: dict[str, int]
    ) -> Self:
        """By the record of the ``key``, else at the beginning. Raises IdempotencyKeyReused."""
        cluster = organization.placement.cluster
        if key is not None:
            prepare_records(records_of(cluster).database)
        record = _record(key, cluster) if key else None
        if record is None:
            return cls(0, None, counts)
        progress = record["progress"]
        return cls(progress["batch"], progress["after"], progress["counts"], record.get("answer"))

    def advance(
        self, organization: Organization, key: IdempotencyKey, to: Self, session: ClientSession
    ) -> None:
        """Record in the batch's transaction that it is done. Raises DuplicateRequest where another
        request did it."""
        reached = {"batch": to.batch, "after": to.after, "counts": to.counts}
        if self.batch == 0:
            _claim(organization, key, session, progress=reached)
            return
        before = {"_id": key.id, "progress.batch": self.batch}
        there = records_of(organization.placement.cluster)
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
        there = records_of(organization.placement.cluster)
        there.update_one(expired, change, upsert=True, session=session)
    except DuplicateKeyError as error:
        raise DuplicateRequest from error


def _find(key: IdempotencyKey, cluster: str) -> Answer | None:
    record = _record(key, cluster)
    return record and record["answer"]


def _record(key: IdempotencyKey, cluster: str) -> dict[str, Any] | None:
    """The record of this key. Raises IdempotencyKeyReused."""
    record = records_of(cluster).find_one({"_id": key.id, "at": {"$gte": clock.now() - KEPT}})
    if record is not None and record["mac"] not in key.macs:
        raise IdempotencyKeyReused
    return record
