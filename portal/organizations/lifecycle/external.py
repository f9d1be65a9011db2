"""Names that other systems know an organization by: their id of it, and metadata of theirs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from portal.display_names import is_visible
from portal.organizations.lifecycle.errors import (
    InvalidEntryName,
    InvalidEntryValue,
    InvalidExternalId,
    TooManyEntries,
)

LONGEST_ID, MOST_ENTRIES, LONGEST_VALUE = 128, 20, 500
_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class External:
    """An external id, which no two organizations share, and metadata, each parsed."""

    external_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, external_id: str | None, metadata: Mapping[str, str] | None) -> "External":
        """From what was sent. Raises InvalidExternalId, InvalidMetadata."""
        parsed = None if external_id is None else parse_external_id(external_id)
        return cls(parsed, parse_metadata(metadata or {}))


def parse_external_id(typed: str) -> str:
    """The external id, exactly as sent: case counts. Raises InvalidExternalId."""
    if not 0 < len(typed) <= LONGEST_ID or not typed.isprintable() or typed != typed.strip():
        raise InvalidExternalId(LONGEST_ID)
    return typed


def parse_metadata(typed: Mapping[str, str]) -> dict[str, str]:
    """The metadata. Raises InvalidMetadata."""
    if len(typed) > MOST_ENTRIES:
        raise TooManyEntries(MOST_ENTRIES)
    for name, value in typed.items():
        if not _KEY.fullmatch(name):
            raise InvalidEntryName
        if not 0 < len(value) <= LONGEST_VALUE or not is_visible(value):
            raise InvalidEntryValue(LONGEST_VALUE)
    return dict(typed)
