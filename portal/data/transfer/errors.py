"""Errors of imports and exports, and their words. None has a value of a document in it."""

from dataclasses import dataclass
from typing import Any

from portal.errors import Conflict, Gone, Invalid, NotFound, Refused


class TransferNotFound(NotFound):
    """No such import or export, or no longer."""

    code = "transfer_not_found"
    message = "There is no such import or export in this organization, or it was discarded."


@dataclass
class FileTooLarge(Invalid):
    """The file is larger than one may be."""

    limit_bytes: int

    code = "file_too_large"
    title = "This file is too large"
    message = (
        "A file has {limit} at most. Split it, or compress it with gzip. Nothing was imported."
    )
    field = "file"

    @property
    def limit(self) -> str:
        """The limit in words."""
        return f"{self.limit_bytes // 1024**3} GiB"


@dataclass
class TooMuchKept(Conflict):
    """The organization's files have all the space that they may have."""

    limit_bytes: int

    code = "too_many_files"
    title = "There are too many files"
    message = (
        "The files of an organization have {limit} together at most. Discard an upload or export "
        "that is no longer needed; each is deleted after 7 days."
    )
    field = "file"

    @property
    def limit(self) -> str:
        """The limit in words."""
        return f"{self.limit_bytes // 1024**3} GiB"


@dataclass
class ColumnsRefused(Invalid):
    """Fields that can't be the columns of a file."""

    reason: str

    code = "columns_refused"
    field = "fields"
    title = "These columns can’t be"
    message = "{reason}"


@dataclass
class NoColumnsThere(ColumnsRefused):
    """Fields are chosen for a file that has no columns, or its types with them."""

    reason: str = "Only CSV without types has some of the fields: choose that, or all."


@dataclass
class ChunkRefused(Invalid):
    """A part of an upload that is empty, too large, or comes after its end."""

    number: int

    code = "part_refused"
    title = "This part can’t be taken"
    message = (
        "Part {number} was refused: each part has 1 MiB but for the last one, and none comes after "
        "the upload is complete."
    )


@dataclass
class UploadIncomplete(Conflict):
    """Parts of an upload are missing."""

    missing: int

    code = "upload_incomplete"
    title = "The upload is not complete"
    message = "Part {missing} is missing or has another size. Send it, then complete the upload."


class FileGone(Gone):
    """The content of a file was deleted."""

    code = "file_gone"
    title = "This file is gone"
    message = "Its content was deleted: files are kept for 7 days. Upload or export it again."


@dataclass
class FileUnreadable(Invalid):
    """A file of which nothing can be imported."""

    reason: str

    code = "file_unreadable"
    title = "This file can’t be read"
    message = "{reason} Nothing was imported."
    field = "file"


@dataclass
class NoFileChosen(FileUnreadable):
    """A form without a file, or with an empty one."""

    reason: str = "Choose a file that is not empty."


@dataclass
class FileEmpty(FileUnreadable):
    """The uploaded file is empty."""

    reason: str = "The file is empty."


@dataclass
class FormatUnknown(FileUnreadable):
    """The file is of no format that is read."""

    reason: str = "It is of no known format."


@dataclass
class ImportRuns(Conflict):
    """A job works on the import."""

    job: Any

    code = "import_runs"
    title = "This import is being worked on"
    message = "“{job.title}” runs. Cancel it first, or wait until it is done."


class ImportBegun(Conflict):
    """A decision about an import that is being written, or was."""

    code = "import_begun"
    title = "This import has begun"
    message = "It is being written, or was, by what was decided then. Undo it, and upload again."


class ImportNotReady(Conflict):
    """An import that can't be written as it is."""

    code = "import_not_ready"
    title = "This import is not checked yet"
    message = "Have all of the file checked first. Nothing was written."


@dataclass
class MappingRefused(Invalid):
    """A decision that is missing, or can't be carried out."""

    reason: str

    code = "mapping_refused"
    title = "Something is still to be decided"
    message = "{reason} Nothing was written."


@dataclass
class EncodingNotChosen(MappingRefused):
    """The encoding isn't chosen, or is none of those offered."""

    reason: str = "Choose the encoding: the file is not UTF-8."


@dataclass
class DelimiterNotChosen(MappingRefused):
    """The delimiter isn't chosen, or is none of those offered."""

    reason: str = "Choose what separates the columns."


@dataclass
class HeadingNotChosen(MappingRefused):
    """The line of the heading isn't chosen, or is none of those offered."""

    reason: str = "Say which line is the heading: the first, another, or none."


@dataclass
class MemberNotChosen(MappingRefused):
    """The collection of the dump isn't chosen, or is none of those offered."""

    reason: str = "Choose one of the collections in the dump."


@dataclass
class KeyNotChosen(MappingRefused):
    """The field that tells which document is which isn't chosen, or is no field's name."""

    reason: str = "Choose the field by which documents are known to be the same."


@dataclass
class EarlierImportGone(MappingRefused):
    """The earlier import, whose decisions are to be used, isn't kept any more."""

    reason: str = "What was decided for that earlier file is gone."


class IndexNotOffered(Invalid):
    """Indexes that the dump doesn't have, or that can't be built here; or none."""

    code = "index_not_offered"
    title = "No such index is offered"
    message = "Choose indexes that the dump has and that can be built here. Nothing was built."
    field = "indexes"


@dataclass
class IndexWouldDelete(Conflict):
    """An index that deletes documents by a date, some of them at once."""

    name: str
    documents: str

    code = "index_would_delete"
    title = "This index would delete documents"
    message = (
        "{name} would delete {documents} documents within a minute, for good. Build it on the page "
        "Indexes, which asks for that. Nothing was built."
    )
    field = "indexes"


class ExportNotDone(Conflict):
    """An export whose file isn't finished, or has expired."""

    code = "export_not_done"
    title = "This export has no file"
    message = "Its file is not finished, or has expired. Export again if it failed."


class MaskedSince(Refused):
    """An export that has values which its owner may no longer see."""

    code = "masked_since"
    title = "This export has sensitive fields"
    message = (
        "Fields of it were made sensitive since, or your role has changed. Export again: what you "
        "may not see is left out."
    )


class NotYours(Refused):
    """A file that somebody else asked for."""

    code = "not_yours"
    title = "Somebody else asked for this file"
    message = "Only who uploaded a file or asked for an export may fetch it."
