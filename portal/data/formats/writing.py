"""Writing documents to a file, so that reading it gives the same documents."""

import base64
import gzip
from collections.abc import Iterable

from portal.data import extended_json
from portal.data.formats.csv_writing import CsvRows
from portal.data.formats.exact import decode_exactly
from portal.data.formats.json_reading import OURS
from portal.data.formats.options import Format, WriteOptions
from portal.data.formats.written import Written

_GZIP_LEVEL = 6


class Writer:
    """Writes a file in pieces that may be made by different processes: ``begin``, any number of
    ``encode``, ``end``, joined in this order.

    Each piece depends only on the options, its documents and ``written``: kept beside each piece,
    a writer that died is continued exactly.
    """

    def __init__(self, options: WriteOptions, written: Written | None = None) -> None:
        self.written = written or Written()
        self._options = options
        self._rows = CsvRows(options, self.written) if options.format == Format.CSV else None

    def begin(self) -> bytes:
        """The start of the file."""
        if self._rows is not None:
            return self._packed(self._rows.heading().encode())
        return self._packed(b"[" if self._options.format == Format.JSON_ARRAY else b"")

    def encode(self, documents: Iterable[bytes]) -> bytes:
        """The documents, added to ``written``."""
        match self._options.format:
            case Format.CSV:
                assert self._rows is not None  # noqa: S101 (for the type checker)
                return self._packed(self._rows.rows(list(documents)).encode())
            case Format.BSON:
                found = list(documents)
                self.written.documents += len(found)
                return self._packed(b"".join(found))
            case Format.JSON_LINES:
                return self._packed(
                    "".join([self._json(each) + "\n" for each in documents]).encode()
                )
            case Format.JSON_ARRAY:
                return self._packed(self._elements(documents))

    def end(self) -> bytes:
        """The end of the file."""
        return self._packed(b"\n]\n" if self._options.format == Format.JSON_ARRAY else b"")

    def _elements(self, documents: Iterable[bytes]) -> bytes:
        pieces = []
        for document in documents:
            pieces.append(",\n" if self.written.documents else "\n")
            pieces.append(self._json(document))
        return "".join(pieces).encode()

    def _json(self, document: bytes) -> str:
        self.written.documents += 1
        try:
            text = extended_json.render(document)
        except ValueError:  # a text in it is no UTF-8
            text = ""
        if text and _is_exact(document, text):
            return text
        self.written.wrapped += 1
        return f'{{ "$bson" : "{base64.b64encode(document).decode()}" }}'

    def _packed(self, content: bytes) -> bytes:
        """A gzip is joined of gzips, so that a piece needs no other."""
        if not self._options.gzip or not content:
            return content
        return gzip.compress(content, _GZIP_LEVEL, mtime=0)


def _is_exact(document: bytes, text: str) -> bool:
    """Tell whether a reader makes the same document of ``text``."""
    nested = text.count("{") + text.count("[")
    is_plain = b"$" not in document and '"NaN"' not in text and nested <= extended_json.MAX_DEPTH
    if is_plain and len(text) <= extended_json.LARGEST_TEXT_BYTES and decode_exactly(document):
        # Some decimals have several encodings.
        return '"$numberDecimal"' not in text or extended_json.reads_as(text, document)
    return not OURS.match(document) and extended_json.is_exact(document, text)
