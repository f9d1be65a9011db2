"""Dumps: a tar of a directory that mongodump made, and the metadata beside a ``.bson`` file."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from portal.data.formats.options import ReadOptions


@dataclass(frozen=True, slots=True)
class Metadata:
    """What mongodump kept beside a collection's documents."""

    collection: str
    indexes: tuple[dict[str, Any], ...]
    """Specifications as ``listIndexes`` gives them, without that of ``_id``."""
    options: dict[str, Any]
    """The collection's own: validator, collation, capped and so on."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar. ``refusal`` says why it isn't taken; ``None`` for a collection that is.

    ``options`` read its documents.
    """

    name: str
    size_bytes: int
    database: str = ""
    collection: str = ""
    refusal: str | None = None
    options: ReadOptions | None = None
    metadata: Metadata | None = None


def list_members(parts: Iterable[bytes], options: ReadOptions) -> list[Member]:
    """What is in a tar, all of it: each file with what is taken or the reason why it isn't. Raises
    BrokenFile."""
    raise NotImplementedError


def parse_metadata(content: bytes) -> Metadata:
    """The metadata in a ``.metadata.json`` file, also a gzipped one. Raises BrokenFile."""
    raise NotImplementedError
