"""Readings of UUIDs of the old subtype, by the drivers that wrote them: one for all fields, and
others for single ones, as a URL has them: ``java``, ``csharp:customer.id``, ``raw:key``."""

from collections.abc import Iterable, Mapping, Sequence

from bson.binary import UuidRepresentation

LEGACY_UUIDS = {
    "java": UuidRepresentation.JAVA_LEGACY,
    "csharp": UuidRepresentation.CSHARP_LEGACY,
    "python": UuidRepresentation.PYTHON_LEGACY,
}
"""The readings, by the drivers."""

RAW = "raw"
MOST_FIELDS = 20
_LONGEST_FIELD = 300


def readings_from(texts: Iterable[str]) -> dict[str, str]:
    """The readings by the field, that of ``""`` for all others; what is none is passed over."""
    found: dict[str, str] = {}
    for text in texts:
        reading, _, field = text.partition(":")
        is_one = reading in LEGACY_UUIDS or (reading == RAW and field)
        if is_one and len(field) <= _LONGEST_FIELD and len(found) <= MOST_FIELDS:
            found.setdefault(field, reading)
    return found


def texts_of(readings: Mapping[str, str]) -> list[str]:
    """The texts from which ``readings_from`` makes the same."""
    return [f"{reading}:{field}" if field else reading for field, reading in readings.items()]


def field_at(path: Sequence[str]) -> str:
    """The field at a path, by which its reading is known: positions in lists don't count."""
    return ".".join(name for name in path if not name.isdecimal())
