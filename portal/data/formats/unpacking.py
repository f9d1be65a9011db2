"""The plain bytes of a file that may be packed: gzip, a member of a tar, another encoding.

Each stage is a generator that holds one piece. What can't be unpacked raises BrokenFile.
"""

import codecs
import zlib
from collections.abc import Iterable, Iterator

from portal.data.formats.errors import (
    CharacterCut,
    GzipCut,
    GzipDamaged,
    GzipTooDense,
    GzipTooLarge,
)
from portal.data.formats.options import ReadOptions
from portal.data.formats.tar import contents_of

PIECE_BYTES = 256 * 1024
_DENSEST = 250  # times smaller; documents don't pack like this
_CHECKED_BYTES = 64 * 1024 * 1024
_GZIP = 31  # zlib's wbits for a header of gzip


def unpack(parts: Iterable[bytes], options: ReadOptions, offset: int) -> Iterator[bytes]:
    """The file from byte ``offset`` of its content on, in UTF-8 where it is text, in pieces of
    about PIECE_BYTES. ``parts`` begin there too where the file ``is_seekable``."""
    content: Iterator[bytes] = iter(parts)
    if options.gzip:
        content = gunzip(content, options.largest_bytes)
    if options.member:
        content = contents_of(content, options.member)
        if options.member.endswith(".gz"):
            content = gunzip(content, options.largest_bytes)
    if options.encoding != "utf-8":
        content = _transcode(content, options.encoding)
    if options.dialect.newline == "\r":
        content = (part.replace(b"\r", b"\n") for part in content)
    if not options.is_seekable:
        content = _skip(content, offset)
    return _gather(content)


def gunzip(parts: Iterable[bytes], largest_bytes: int) -> Iterator[bytes]:
    """The content of a gzip, also of several joined, up to ``largest_bytes``. Raises BrokenFile for
    one that is larger, damaged or cut, or that only a bomb would be."""
    unpacker = zlib.decompressobj(_GZIP)
    size_bytes, packed_bytes, begun = 0, 0, False
    for part in parts:
        rest = part
        packed_bytes += len(part)
        while rest:
            if not begun:
                rest = rest.lstrip(b"\0")  # some writers fill the last block
                if not rest:
                    break
                begun = True
            try:
                piece = unpacker.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise GzipDamaged(size_bytes) from error
            size_bytes += len(piece)
            if size_bytes > largest_bytes:
                raise GzipTooLarge(largest_bytes)
            if size_bytes > max(_CHECKED_BYTES, _DENSEST * packed_bytes):
                raise GzipTooDense
            if piece:
                yield piece
            rest = unpacker.unconsumed_tail
            if unpacker.eof:
                rest, unpacker, begun = unpacker.unused_data, zlib.decompressobj(_GZIP), False
    if begun:
        while piece := unpacker.decompress(unpacker.unconsumed_tail, PIECE_BYTES):
            yield piece
        raise GzipCut(size_bytes)


def _transcode(parts: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The text in UTF-8. What the encoding doesn't have stays as it is, which is no UTF-8, so that
    its record is found and told."""
    wide = encoding.startswith("utf-")
    errors = "surrogatepass" if wide else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for part in parts:
        yield decoder.decode(part).encode(errors=errors)
    try:
        yield decoder.decode(b"", final=True).encode(errors=errors)
    except UnicodeDecodeError as error:
        raise CharacterCut from error


def _skip(parts: Iterator[bytes], count: int) -> Iterator[bytes]:
    for part in parts:
        if len(part) > count:
            yield part[count:]
        count -= min(count, len(part))


def _gather(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are neither tiny nor huge."""
    waiting: list[bytes] = []
    size_bytes = 0
    for part in parts:
        for start in range(0, len(part), PIECE_BYTES):
            piece = part[start : start + PIECE_BYTES]
            waiting.append(piece)
            size_bytes += len(piece)
            if size_bytes >= PIECE_BYTES:
                yield b"".join(waiting)
                waiting, size_bytes = [], 0
    if waiting:
        yield b"".join(waiting)
