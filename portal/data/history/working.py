"""Work on many documents as jobs do it: batch by batch, in smaller ones where one is refused."""

from collections.abc import Callable, Sequence
from typing import Any

from pymongo.errors import PyMongoError

from portal.data.edits import Change, Edit, EditState, LeftAlone, Refusal
from portal.data.errors import (
    DocumentInvalid,
    DuplicateDocument,
    InvalidQuery,
    QueryTooSlow,
    WriteRefused,
)
from portal.data.exact import delete_exactly, insert_exactly, replace_exactly
from portal.data.recording import BATCH_BYTES, BATCH_DOCUMENTS
from portal.data.refused_writes import note_refused
from portal.data.server_errors import writing
from portal.tenants.moving.places import in_batches

Step = Callable[[Any, int, LeftAlone | None], Edit]
"""A batch in a transaction: of so many documents at most. Of one that was refused before, it is
left alone instead."""

_FEWER = 8
_REFUSALS = (DuplicateDocument, DocumentInvalid, WriteRefused, InvalidQuery)


def carry_out(handle: Any, step: Step, tell: Callable[[Edit], None]) -> Edit:
    """Repeat the step to the edit's end; after each ``tell`` is called. Where a batch is refused,
    or takes too long, fewer are tried, and a document that is refused by itself is left alone."""
    most = BATCH_DOCUMENTS
    refused: LeftAlone | None = None
    while True:
        chosen, left_alone = most, refused

        def run(handle: Any, most: int = chosen, refused: LeftAlone | None = left_alone) -> Edit:
            return step(handle, most, refused)

        try:
            edit: Edit = handle.with_transaction(run)
        except _REFUSALS as error:
            if most == 1:
                refused = _refusal_of(error)
                if refused.refusal == Refusal.INVALID:
                    note_refused(handle.id)
            else:
                most = max(most // _FEWER, 1)
            continue
        except (PyMongoError, QueryTooSlow) as error:
            if most == 1 or not (isinstance(error, QueryTooSlow) or error.timeout):
                raise
            most = max(most // _FEWER, 1)  # a transaction has its time
            continue
        if refused is None:
            most = min(most * 2, BATCH_DOCUMENTS)
        refused = None
        tell(edit)
        if edit.state == EditState.DONE:
            return edit


def store_changes(handle: Any, changes: Sequence[Change]) -> None:
    """Have the documents be as the changes say. Raises DuplicateDocument, DocumentInvalid,
    WriteRefused."""
    deleted = [change.id for change in changes if change.after is None]
    replaced = [change.after for change in changes if change.before and change.after]
    inserted = [change.after for change in changes if not change.before and change.after]
    with writing():
        delete_exactly(handle, deleted)
        for batch in in_batches(replaced, BATCH_DOCUMENTS, BATCH_BYTES):
            replace_exactly(handle, batch)
        for batch in in_batches(inserted, BATCH_DOCUMENTS, BATCH_BYTES):
            insert_exactly(handle, batch)


def _refusal_of(
    error: DuplicateDocument | DocumentInvalid | WriteRefused | InvalidQuery,
) -> LeftAlone:
    if isinstance(error, DuplicateDocument):
        return LeftAlone(b"", Refusal.DUPLICATE, error.index_keys)
    if isinstance(error, WriteRefused | InvalidQuery):
        return LeftAlone(b"", Refusal.REFUSED, error.reason)
    return LeftAlone(b"", Refusal.INVALID)
