"""Writing documents of a move to its target, as long as the move is this attempt's.

Each batch is one transaction that also changes the move's token, a document beside the target. A
process that was suspended with a batch in hand is refused, since whoever takes a move over raises
the attempt in the token first.
"""

from collections.abc import Iterator, Sequence

from bson import ObjectId

from .places import Page, Place

TOKENS = "moves"
"""The collection of tokens, in the database for the portal's own data of each cluster."""


class Target:
    """The target of a move, for one attempt. Each method but ``take_over`` raises Overtaken where
    another one has taken over, with nothing written; and PlaceGone, DocumentTooLarge."""

    def __init__(self, place: Place, move: ObjectId, attempt: int) -> None:
        raise NotImplementedError

    def take_over(self) -> None:
        """Have all earlier attempts refused. The caller then checks that the move is still its own.
        Raises Overtaken if a later one did this."""
        raise NotImplementedError

    def insert(self, page: Page) -> bool:
        """Insert all of these documents; ``False`` and nothing where one of the ids, or a key of
        another unique index, is there already."""
        raise NotImplementedError

    def replace(self, ids: Sequence[bytes], documents: Sequence[bytes]) -> bool:
        """Delete the documents of these ids and insert these instead; ``False`` and nothing where
        another document has a key of a unique index."""
        raise NotImplementedError

    def delete(self, ids: Sequence[bytes]) -> None:
        """Delete the documents of these ids, if they are there."""
        raise NotImplementedError

    def clear(self, after: bytes | None = None) -> Iterator[int]:
        """Delete the organization's documents, all or those behind an id, in small batches, after
        each of which it yields how many it deleted."""
        raise NotImplementedError

    def forget_token(self) -> None:
        """Have this attempt refused as well, and leave nothing of it. Does nothing where another
        one has taken over."""
        raise NotImplementedError
