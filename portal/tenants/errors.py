"""Errors of the tenant store."""

from dataclasses import dataclass
from typing import Any


class StoreError(Exception):
    """The store rejected an operation, or executed it in part."""


@dataclass
class DocumentExists(StoreError):
    """Another document has this unique ``key``; ``index`` is that of the rejected document."""

    index: int
    key: dict[str, Any]


@dataclass
class QueryRefused(StoreError):
    """A filter, update or pipeline that could reach beyond its collection."""

    reason: str


@dataclass
class PartialWrite(StoreError):
    """A write of many documents stopped after ``done``, which are kept; ``__cause__`` is why.

    If that is an unavailable MongoDB, the next one may have been written too.
    """

    done: int
