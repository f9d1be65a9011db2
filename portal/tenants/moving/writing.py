"""Writing documents of a move to its target, as long as the move is this attempt's.

Each batch is one transaction that also changes the move's token, a document beside the target. A
process that was suspended with a batch in hand is refused, since whoever takes a move over raises
the attempt in the token first. Names couldn't refuse it: a pool keeps its name, and so does an old
copy that is in use again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pymongo
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from .._sync.sessions import transacted
from ..elements import framed_id, has_empty_timestamp, id_of
from ..fence import Moved
from ..limits import BATCH_BYTES
from .errors import DocumentTooLarge, Overtaken
from .places import Place, in_batches, read_page_ids

TOKENS = "moves"
"""The collection of tokens, in the database for the portal's own data of each cluster."""

KEPT_DAYS = 30
"""The days for which the token of a move that has ended refuses whoever slept."""

_NO_ATTEMPT = 2**31
# TransactionTooLargeForCache: a document of 16 MB and its copy in the oplog, in a cache of 256 MB.
_TOO_LARGE_FOR_CACHE = 388
_CACHE_PAUSE_SECONDS = 0.1
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
CLEARED_AT_ONCE = 200
# A batch of 16 MB takes half a second, on a busy server some. After that time the embedded server
# ends a transaction by itself.
BATCH_SECONDS = 15


class Target:
    """The target of a move, for one attempt. Each method but ``take_over`` raises Overtaken where
    another one has taken over, with nothing written; and PlaceGone, DocumentTooLarge."""

    def __init__(self, place: Place, move: ObjectId, attempt: int) -> None:
        self.place = place
        self._move, self._attempt = move, attempt
        self._tokens = place.internal[TOKENS]

    def take_over(self) -> None:
        """Have all earlier attempts refused. As ``raise_token``."""
        raise_token(self.place.internal, self._move, self._attempt)

    def replace(self, ids: Sequence[bytes], documents: Sequence[bytes]) -> bool:
        """Delete the documents of these ids and insert these instead; ``False`` and nothing where
        another one has an id or another unique key of theirs."""
        commands = [*self._deletion(ids), *self._insertion(documents)]
        try:
            self._write(commands)
        except DuplicateKeyError:
            return False
        return True

    def delete(self, ids: Sequence[bytes]) -> None:
        """Delete the documents of these ids, if they are there."""
        self._write(list(self._deletion(ids)))

    def clear(self, after: bytes | None = None) -> Iterator[int]:
        """Delete the organization's documents, all or those behind an id, in small batches, after
        each of which it yields how many it deleted."""
        while ids := read_page_ids(self.place, after, CLEARED_AT_ONCE):
            self.delete(ids)
            yield len(ids)

    def exercise(self, document_id: bytes) -> None:
        """Insert and delete a document with nothing but this id, in one transaction, so that
        nobody sees it but streams."""
        self._write([*self._insertion([framed_id(document_id)]), *self._deletion([document_id])])

    def forget_token(self) -> None:
        """Have every attempt refused from now on, for good. What is left of the token stays for
        KEPT_DAYS, since a process that was suspended before its ``take_over`` would write it anew.
        """
        close_token(self.place.internal, self._move)

    def _deletion(self, ids: Sequence[bytes]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if ids:
            yield "delete", {"deletes": [{"q": self.place.among(ids), "limit": 0}]}

    def _insertion(self, documents: Sequence[bytes]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        empty = {each for each in documents if has_empty_timestamp(each)}
        inserted = (self._stored(each) for each in documents if each not in empty)
        for some in in_batches(inserted, len(documents), BATCH_BYTES):
            yield "insert", {"documents": list(map(RawBSONDocument, some)), "ordered": False}
        for each in empty:
            yield "update", {"updates": [self._upsert(each)]}

    def _upsert(self, document: bytes) -> dict[str, Any]:
        """The update that inserts a document as it is: an insert and a replacement put the server's
        time in place of an empty timestamp. There must be none of its id."""
        whole = {"$literal": RawBSONDocument(self._stored(document))}
        only = self.place.among([id_of(document)])
        return {"q": only, "u": [{"$replaceWith": whole}], "upsert": True}

    def _stored(self, document: bytes) -> bytes:
        stored = self.place.stored(document)
        if len(stored) > MAX_DOCUMENT_BYTES:
            raise DocumentTooLarge(id_of(document), len(document))
        return stored

    def _write(self, commands: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Carry all of these out, or none."""
        with pymongo.timeout(BATCH_SECONDS):
            while True:
                try:
                    self._transact(lambda session: self._send(commands, session))
                except Moved as moved:
                    self.place.follow(moved)
                except OperationFailure as error:
                    if error.code != _TOO_LARGE_FOR_CACHE:
                        raise
                    time.sleep(_CACHE_PAUSE_SECONDS)  # it is, until others' is written
                else:
                    return

    def _send(
        self, commands: Sequence[tuple[str, Mapping[str, Any]]], session: ClientSession
    ) -> None:
        mine = {"_id": self._move, "attempt": self._attempt}
        if not self._tokens.update_one(
            mine, {"$inc": {"batches": 1}}, session=session
        ).matched_count:
            raise Overtaken(self._move, self._attempt)
        for verb, fields in commands:
            self.place.send(verb, fields, session)

    def _transact(self, body: Callable[[ClientSession], None]) -> None:
        client = self.place.database.client
        with client.start_session() as session:
            transacted(
                session,
                body,
                read_concern=ReadConcern("local"),
                write_concern=WriteConcern("majority"),
                read_preference=ReadPreference.PRIMARY,
            )


def raise_token(internal: Database, move: ObjectId, attempt: int) -> None:
    """Have all attempts before this one refused on the cluster of ``internal``. The caller then
    checks that the move is still its own. Raises Overtaken if a later one did this."""
    tokens = internal[TOKENS]
    tokens.update_one({"_id": move}, {"$max": {"attempt": attempt}}, upsert=True)
    if not tokens.count_documents({"_id": move, "attempt": attempt}):
        raise Overtaken(move, attempt)


def close_token(internal: Database, move: ObjectId) -> None:
    """Have every attempt at the move refused on the cluster of ``internal``, for good. What is left
    of the token stays for KEPT_DAYS, since a process that was suspended before its ``take_over``
    would write it anew."""
    tokens = internal[TOKENS]
    tokens.create_index("ended_at", expireAfterSeconds=KEPT_DAYS * 86_400)
    ended = {"$max": {"attempt": _NO_ATTEMPT}, "$currentDate": {"ended_at": True}}
    tokens.update_one({"_id": move}, ended, upsert=True)
