"""Tar files as streams: their members in order, with bounded memory.

``tarfile`` reads a header's extension whole, however long it says to be; so its parser of a header
is used, and no more of it.
"""

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from portal.data.formats.errors import NotInTar, TarCut, TarDamaged, TarNameTooLong

BLOCK_BYTES = 512
_LONGEST_EXTENSION_BYTES = 64 * 1024
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass(slots=True)
class _Source:
    """Bytes that are taken from a stream."""

    parts: Iterator[bytes]
    rest: bytes = b""

    def take(self, count: int) -> Iterator[bytes]:
        """The next ``count`` bytes. Raises BrokenFile where they aren't there."""
        while count:
            part = self.rest or next(self.parts, b"")
            if not part:
                raise TarCut
            self.rest = part[count:]
            yield part[:count]
            count -= min(count, len(part))

    def block(self) -> bytes:
        return b"".join(self.take(BLOCK_BYTES))


def members_of(parts: Iterable[bytes]) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    """Each member and its content, which is passed over where it isn't read. Raises BrokenFile."""
    source = _Source(iter(parts))
    longer_name = ""
    while True:
        header = source.block()
        if not header.strip(b"\0"):
            return
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise TarDamaged from error
        padding = -member.size % BLOCK_BYTES
        if member.type in _EXTENSIONS:
            if member.size > _LONGEST_EXTENSION_BYTES:
                raise TarNameTooLong
            content = b"".join(source.take(member.size))
            longer_name = _name_in(member.type, content) or longer_name
        else:
            member.name, longer_name = longer_name or member.name, ""
            contents = source.take(member.size)
            yield member, contents
            for _ in contents:
                pass
        for _ in source.take(padding):
            pass


def contents_of(parts: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The content of the first member of this name. Raises BrokenFile without one."""
    for member, contents in members_of(parts):
        if member.name == name and member.isreg():
            yield from contents
            return
    raise NotInTar(name)


def _name_in(kind: bytes, content: bytes) -> str:
    if kind == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode(errors="surrogateescape")
    if kind != tarfile.XHDTYPE:
        return ""
    for record in content.split(b"\n"):  # each is "25 path=…"
        key, _, value = record.partition(b"=")
        if key.endswith(b" path"):
            return value.decode(errors="surrogateescape")
    return ""
