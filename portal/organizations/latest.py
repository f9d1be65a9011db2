"""The latest documents of an organization, as its page shows them.

A tenant collection may hold any BSON: strings that aren't UTF-8, dates beyond ``datetime``, values
too large for a page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import bson
from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

from portal.display_names import is_seen

MAX_SHOWN = 5
LARGEST_SHOWN_BYTES = 16 * 1024
LONGEST_SHOWN = 300

_LARGEST_ID_BYTES = 1024
_LENIENT: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    uuid_representation=UuidRepresentation.STANDARD,
)
# Decodes malformed UUIDs, too.
_MOST_LENIENT = _LENIENT.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)
_AS_JSON = json_util.RELAXED_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.STANDARD
)


def _unless_larger_than(limit_bytes: int, measured: Any, value: str) -> dict[str, Any]:
    return {"$cond": [{"$lte": [{"$bsonSize": measured}, limit_bytes]}, value, "$$REMOVE"]}


# The server leaves out values that are too large to send.
PIPELINE: tuple[dict[str, Any], ...] = (
    {"$sort": {"_id": -1}},
    {"$limit": MAX_SHOWN},
    {"$replaceWith": {
        "_id": _unless_larger_than(_LARGEST_ID_BYTES, {"_id": "$_id"}, "$_id"),
        "document": _unless_larger_than(LARGEST_SHOWN_BYTES, "$$ROOT", "$$ROOT"),
        "size": {"$bsonSize": "$$ROOT"},
    }},
)  # fmt: skip
"""Finds the MAX_SHOWN last documents by ``_id``, newest first."""


@dataclass(frozen=True, slots=True)
class LatestDocument:
    """A document as shown: its ``_id`` and the rest as JSON, truncated; ``None`` if too large."""

    id: str | None
    json: str | None
    size_bytes: int


def as_shown(rows: Iterable[RawBSONDocument]) -> list[LatestDocument]:
    """The results of PIPELINE as shown."""
    return [_as_shown(row.raw) for row in rows]


def _as_shown(row: bytes | memoryview) -> LatestDocument:
    decoded = _decode(row)
    document = decoded.get("document")
    return LatestDocument(
        id=_id_text(decoded["_id"]) if "_id" in decoded else None,
        json=_json({name: document[name] for name in document if name != "_id"})
        if document is not None
        else None,
        size_bytes=decoded["size"],
    )


def _decode(raw: bytes | memoryview) -> dict[str, Any]:
    try:
        return bson.decode(raw, _LENIENT)
    except InvalidBSON:
        return bson.decode(raw, _MOST_LENIENT)


def _id_text(document_id: Any) -> str:
    if isinstance(document_id, str | bson.ObjectId | UUID):
        return _truncate(str(document_id))
    return _json(document_id)


def _json(value: Any) -> str:
    return _truncate(json_util.dumps(value, json_options=_AS_JSON, ensure_ascii=False))


def _truncate(text: str) -> str:
    """The text's beginning, with invisible and bidirectional control characters escaped."""
    shown = f"{text[:LONGEST_SHOWN]}…" if len(text) > LONGEST_SHOWN else text
    if shown.isprintable():
        return shown
    return "".join(
        c if is_seen(shown, index) else f"\\u{ord(c):04x}" for index, c in enumerate(shown)
    )
