"""Documents while somebody edits them: opened in one version, saved if they still have it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from portal.data import extended_json, reading, shell_syntax, writing
from portal.data.access import DocumentAccess
from portal.data.document_ids import address_of, parse_document_id
from portal.data.editing.entries import is_masked
from portal.data.editing.errors import NotAsText, TooLargeForText
from portal.data.editing.indenting import indented
from portal.data.editing.shown_values import escaped, in_words
from portal.data.errors import DocumentNotFound, DuplicateDocument
from portal.data.etags import etag_of, matches
from portal.data.masks.masks import Mask
from portal.data.patching import ARRAY, Path, Unset, elements, patch, with_document_id
from portal.tenants.elements import field_of, framed_id, id_of

LARGEST_TEXT = 4 * 1024 * 1024
"""The largest document, in bytes of Extended JSON, that is edited as text."""


@dataclass(frozen=True, slots=True)
class OpenDocument:
    """A document in the version of ``etag``, as its reader sees it in ``shown``."""

    access: DocumentAccess
    id: bytes
    shown: bytes
    etag: str
    whole: bytes = field(repr=False)

    @property
    def id_words(self) -> str:
        """Its ``_id`` for people."""
        return in_words(self.id, "")

    @property
    def size_bytes(self) -> int:
        """The size of what is shown: that of a masked value tells something of it."""
        return len(self.shown)

    @property
    def address(self) -> str:
        """Its address in URLs."""
        return address_of(self.id)

    @property
    def text(self) -> str:
        """It as canonical Extended JSON, from which it is read to the byte. Raises NotAsText,
        TooLargeForText."""
        return text_of(self.shown)

    @property
    def has_text(self) -> bool:
        """True where Extended JSON stands for it to the byte."""
        try:
            return bool(_exact_text(self.shown))
        except NotAsText:
            return False
        except TooLargeForText:
            return True

    def is_still(self, etag: str) -> bool:
        """Tell whether it has the version of an ``etag`` that was given before."""
        return etag == self.etag or matches(etag, self.access.organization.id, self.whole)


def open_document(access: DocumentAccess, address: str) -> OpenDocument:
    """The document at this address as it is now. Raises InvalidDocumentId, DocumentNotFound."""
    document_id = parse_document_id(address)
    whole, shown = reading.get_document(access, document_id)
    etag = etag_of(access.organization.id, whole)
    return OpenDocument(access, id_of(whole), shown, etag, whole)


def save_document(document: OpenDocument, changed: bytes, reason: str) -> bool:
    """Store the document as ``changed``, unless it has another version by now; whether that changed
    anything. Raises PreconditionFailed, and what ``replace_document`` raises."""
    if changed == document.shown:
        return False
    done, _ = writing.replace_document(
        document.access, document.id, changed, document.etag, None, reason=reason or None
    )
    return bool(done["modified"])


def insert_document(access: DocumentAccess, document: bytes, reason: str) -> bytes:
    """Insert a document that has an ``_id``, which is given back as the BSON of ``{"": _id}``. One
    that is there already, to the byte, is inserted. Raises what ``insert_documents`` raises."""
    try:
        done, _ = writing.insert_documents(access, [document], None, reason=reason or None)
    except DuplicateDocument:
        # A form that was sent twice brings the same _id.
        if not _is_there(access, document):
            raise
        return id_of(document)
    inserted: bytes = done["ids"][0]
    return inserted


def delete_document(access: DocumentAccess, address: str, etag: str, reason: str) -> None:
    """Delete the document at this address in the version of ``etag``. One that is gone is deleted.
    Raises PreconditionFailed, InvalidDocumentId."""
    document_id = parse_document_id(address)
    try:
        writing.delete_document(access, document_id, etag, None, reason=reason or None)
    except DocumentNotFound:
        return


def new_document(document_id: bytes, source: bytes | None, mask: Mask) -> bytes:
    """A document with the ``_id`` in the BSON of ``{"": _id}``, and the other fields of ``source``
    that aren't masked."""
    if source is None:
        return framed_id(document_id)
    visible = (
        patch(source, [Unset(path) for path in _masked(source, mask)]) if mask.paths else source
    )
    return with_document_id(visible, document_id)


def read_text(text: str, document: OpenDocument) -> bytes:
    """The document that a text stands for, with the ``_id`` of the open one where it has none.
    Raises InvalidExtendedJson, InvalidQuery."""
    parsed = shell_syntax.read(extended_json.parse, text)
    given = field_of(parsed, "_id")
    return with_document_id(parsed, document.id) if given is None else parsed


def text_of(document: bytes) -> str:
    """A document as canonical Extended JSON, indented, from which it is read to the byte. Raises
    NotAsText, TooLargeForText."""
    return escaped(indented(_exact_text(document)))


def _exact_text(document: bytes) -> str:
    if len(document) > LARGEST_TEXT:
        raise TooLargeForText
    try:
        text = extended_json.render(document)
    except ValueError as error:
        raise NotAsText from error
    if len(text) > LARGEST_TEXT:
        raise TooLargeForText
    if not extended_json.is_exact(document, text):
        raise NotAsText
    return text


def _is_there(access: DocumentAccess, document: bytes) -> bool:
    try:
        whole, _ = reading.get_document(access, id_of(document))
    except DocumentNotFound:
        return False
    return whole == document


def _masked(document: bytes, mask: Mask) -> list[Path]:
    return [path for path, names in _all_paths(document) if is_masked(mask, names)]


def _all_paths(
    document: bytes, at: Path = (), names: Path = (), *, in_list: bool = False
) -> Iterator[tuple[Path, Path]]:
    """The path of each field, by positions, with that of its names; not what is in masked ones."""
    for element in elements(document):
        path, named = (*at, element.position), names if in_list else (*names, element.name)
        if not in_list:
            yield path, named
        if element.inner is not None:
            yield from _all_paths(element.inner, path, named, in_list=element.kind == ARRAY)
