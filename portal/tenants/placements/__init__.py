"""The ways in which organizations' documents are kept, one module each.

A placement is chosen once, where a command meets its place. It says how the command's fields are
sent there, and how what comes back is told; all else of the library knows one way.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure

from .collection import OwnCollection
from .shared import Shared

COLLECTION, DATABASE, SHARED = "collection", "database", "shared"


class Placement(Protocol):
    """A way of keeping one organization's documents."""

    def command(
        self, verb: str, fields: Mapping[str, Any], codec_options: CodecOptions
    ) -> Mapping[str, Any]:
        """The fields of a command, as they are sent. Raises NeedsOwnPlacement."""

    def reply(self, verb: str, reply: Any, codec_options: CodecOptions) -> Any:
        """The reply to a command, as if the organization had a collection of its own."""

    def error(self, error: OperationFailure) -> OperationFailure:
        """The server's error, likewise."""

    def unwrapping(self, verb: str, codec_options: CodecOptions) -> Callable[[Any], Any] | None:
        """The function that tells a document of the command's cursor likewise, if it takes one."""


_KINDS: Mapping[str, Callable[[ObjectId], Placement]] = {
    COLLECTION: OwnCollection,
    DATABASE: OwnCollection,  # which differs in names alone
    SHARED: Shared,
}


def is_known(strategy: str) -> bool:
    """Tell whether this version knows the strategy."""
    return strategy in _KINDS


def placement_of(strategy: str, organization_id: ObjectId) -> Placement:
    """The placement of an organization, by a known strategy."""
    return _KINDS[strategy](organization_id)


__all__ = ["COLLECTION", "DATABASE", "SHARED", "Placement", "is_known", "placement_of"]
