"""What the store says of a write or query that it did not carry out."""

from dataclasses import dataclass
from typing import Any


class StoreError(Exception):
    """Something the store refused, or could do in part only."""


@dataclass
class DocumentExists(StoreError):
    """A document has this value of a unique key; ``index`` is which of those sent was refused."""

    index: int
    key: dict[str, Any]


@dataclass
class QueryRefused(StoreError):
    """A filter, update or pipeline that would reach further than its collection."""

    reason: str


@dataclass
class PartialWrite(StoreError):
    """Of many documents ``done`` were written and stay so; ``__cause__`` says what stopped it.

    The one that was being written may have been written too, if the cause is that MongoDB was away.
    """

    done: int
