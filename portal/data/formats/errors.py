"""Errors of files, with their words."""

from dataclasses import dataclass

from portal.errors import Invalid


@dataclass
class BrokenFile(Invalid):
    """A file that can't be read, or not to its end."""

    reason: str

    code = "broken_file"
    title = "This file can’t be read"
    message = "{reason} Nothing was changed."


class NoDocumentAt(BrokenFile):
    """No BSON document begins where one has to."""

    def __init__(self, at_byte: int) -> None:
        super().__init__(f"No BSON document begins at byte {at_byte:,}.")


class DocumentCut(BrokenFile):
    """The file ends in a BSON document."""

    def __init__(self, number: int) -> None:
        super().__init__(f"The file ends in the middle of document {number:,}.")


class TextTooLong(BrokenFile):
    """A document is too long as JSON."""

    def __init__(self, line: int) -> None:
        super().__init__(f"The document in line {line:,} is longer than 24 MiB.")


class TextCut(BrokenFile):
    """The file ends in a document of JSON."""

    def __init__(self, line: int) -> None:
        super().__init__(f"The file ends in the middle of the document in line {line:,}.")


@dataclass
class ArrayCut(BrokenFile):
    """The file ends in an array of documents."""

    reason: str = "The file ends before its array does."


class ArrayFollowed(BrokenFile):
    """Something is behind the array of documents."""

    def __init__(self, line: int) -> None:
        super().__init__(f"Something follows the end of the array, in line {line:,}.")


@dataclass
class CharacterCut(BrokenFile):
    """The file ends in a character."""

    reason: str = "The file ends in the middle of a character."


class GzipDamaged(BrokenFile):
    """The gzip is damaged."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The gzip is damaged after {size_bytes:,} bytes.")


class GzipCut(BrokenFile):
    """The file ends in a gzip."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The file ends in the middle of its gzip, after {size_bytes:,} bytes.")


class GzipTooLarge(BrokenFile):
    """The gzip has more in it than a file may have."""

    def __init__(self, largest_bytes: int) -> None:
        super().__init__(f"The gzip unpacks to more than {largest_bytes:,} bytes.")


@dataclass
class GzipTooDense(BrokenFile):
    """The gzip is one that only a bomb would be."""

    reason: str = "The gzip is packed too densely for documents. Unpack it first."


@dataclass
class TarCut(BrokenFile):
    """The file ends in its tar."""

    reason: str = "The file ends in the middle of its tar."


@dataclass
class TarDamaged(BrokenFile):
    """The tar has a header that is none."""

    reason: str = "The tar is damaged."


@dataclass
class TarNameTooLong(BrokenFile):
    """The tar has a name that is too long."""

    reason: str = "A name in the tar is too long."


class NotInTar(BrokenFile):
    """The tar has no file of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The tar has no file {name}.")


class TooManyMembers(BrokenFile):
    """The tar has more files than may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The tar has more than {most:,} files.")


@dataclass
class MetadataUnreadable(BrokenFile):
    """The metadata of a collection in a dump can't be read."""

    reason: str = "The metadata of a collection can’t be read."
