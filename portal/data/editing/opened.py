"""A document as it was opened, as small as a form can carry it: large values are their digests."""

import base64
import binascii
import hashlib
import zlib

from bson.errors import BSONError

from portal.data import extended_json
from portal.data.patching import ARRAY, Element, Set, count_elements, elements, patch
from portal.tenants.elements import framed

_LARGEST_PACKED = 512 * 1024
_LARGEST_UNPACKED = 8 * 1024 * 1024
_LIMITS = (4096, 256, 32)  # bytes of a value that is carried whole
_MOST_ELEMENTS = 100
_DIGEST_SUBTYPE = 0x80
_DIGEST_BYTES = 16


def pack(document: bytes) -> str:
    """The document for a hidden field; empty where it is too large for one."""
    for limit in _LIMITS:
        packed = zlib.compress(bytes((_LIMITS.index(limit),)) + reduced(document, limit))
        if len(packed) <= _LARGEST_PACKED:
            return base64.urlsafe_b64encode(packed).decode()
    return ""


def unpack(text: str) -> tuple[bytes, int] | None:
    """The reduced document from such a field, and the limit it was reduced by; ``None`` where there
    is none, or somebody changed it."""
    try:
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(base64.urlsafe_b64decode(text), _LARGEST_UNPACKED)
        document = found[1:]
        extended_json.render(document)  # checks what is inside
        return document, _LIMITS[found[0]]
    except (ValueError, IndexError, binascii.Error, zlib.error, BSONError):
        return None


def reduced(document: bytes, limit: int) -> bytes:
    """The document with digests in place of values of more than ``limit`` bytes. Two documents
    differ in a field where their reduced forms do."""
    changes = []
    for element in elements(document):
        if len(element.value) <= limit:
            continue
        inner = element.inner
        if inner is not None and not _is_long_list(element, inner):
            value = bytes((element.kind, 0)) + reduced(inner, limit)
            changes.append(Set((element.position,), framed(value)))
        else:
            changes.append(Set((element.position,), _digest(element.value)))
    return patch(document, changes)


def is_digest(value: bytes) -> bool:
    """Tell whether a value of a reduced document stands for a larger one."""
    return value[4] == 0x05 and len(value) == 12 + _DIGEST_BYTES and value[10] == _DIGEST_SUBTYPE


def _digest(value: bytes) -> bytes:
    digest = hashlib.sha256(value).digest()[:_DIGEST_BYTES]
    size = len(digest).to_bytes(4, "little")
    return framed(b"\x05\0" + size + bytes((_DIGEST_SUBTYPE,)) + digest)


def _is_long_list(element: Element, inner: bytes) -> bool:
    return element.kind == ARRAY and count_elements(inner) > _MOST_ELEMENTS
