"""Idempotency keys of documents' writes travel to another cluster, so that a write that is sent
again after a move is still done once."""

from datetime import timedelta

from portal.database.transactions import TRANSACTION_SECONDS
from portal.database.write_records import COLLECTION, prepare_records
from portal.organizations.moving.rows_beside import RowsBeside
from portal.tenants.moving.parts import Part, Phase, Sides

RECORDS = RowsBeside(
    "idempotency records",
    (COLLECTION,),
    owner="organization",
    # By which one is known to be the same: all that changes in it.
    told={"changed": 1, "batch": "$progress.batch", "answered": {"$type": "$answer"}},
    # A record is changed in a transaction, and seen once that is committed.
    late=timedelta(seconds=2 * TRANSACTION_SECONDS),
    # Versions that wrote ``records_until`` took it from records, whichever clock that was of.
    read_at="records_read_at",
    prepare=prepare_records,
)
"""The records of writes with an idempotency key."""

WRITE_RECORDS: Part[Sides] = Part(
    RECORDS.words,
    {Phase.BEFORE_READY: RECORDS.copy_of, Phase.AFTER_FENCE: RECORDS.copy_rest},
    RECORDS.check,
)
"""Idempotency keys of documents' writes, of the last 24 hours."""
