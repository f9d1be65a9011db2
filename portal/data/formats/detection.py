"""The format of a file, told from its first bytes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from portal.data.formats.csv_rows import without_marks
from portal.data.formats.dialects import DELIMITERS, dialect_of
from portal.data.formats.encodings import (
    Candidate,
    candidates_of,
    encoding_of,
    is_text,
    undecodable_lines,
)
from portal.data.formats.errors import BrokenFile
from portal.data.formats.exact import fault_of
from portal.data.formats.headings import typed_columns
from portal.data.formats.json_reading import end_of_value
from portal.data.formats.options import Format, ReadOptions
from portal.data.formats.records import LARGEST_DOCUMENT_BYTES
from portal.data.formats.unpacking import gunzip

HEAD_BYTES = 256 * 1024
"""The bytes of a file's start that ``detect`` uses."""

_GZIP = b"\x1f\x8b"
_LARGEST_SHARE_OF_NULS = 0.05
_MOST_LINES = 30
_LONGEST_LINE_BYTES = 240
_TAR_MAGIC = slice(257, 262)
# Beside the name of the program that wrote it, another record: a heading may begin with ID;P too.
_SYLK = rb"ID;P[^\r\n]*(?:;[NE]\s*\Z|[\r\n]+(?:E\s|(?:[BCFOPW]|N[ENU]);[A-Z]))"
# The beginnings of what is refused, with as much as no text has.
_REFUSED = (
    (rb"PK\x03\x04", "This is a zip or a spreadsheet’s own file. Save a spreadsheet as CSV; unpack "
     "a zip, and upload what is in it, or a .tar.gz."),
    (rb"\xd0\xcf\x11\xe0", "This is an old spreadsheet’s own file. Save it as CSV."),
    (rb"PAR1\x15", "This is a Parquet file. Convert it to JSON lines or CSV."),
    (rb"SQLite format 3\x00", "This is a SQLite database. Export its table as CSV."),
    (rb"%PDF-[0-9]", "This is a PDF."),
    (rb"\x6d\xe2\x99\x81", "This is an archive of mongodump. Dump without --archive, and upload "
     "the collection’s .bson file, or a tar of the directory."),
    (rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", "This is packed by bzip2. Unpack it, or pack it by "
     "gzip."),
    (rb"\xfd7zXZ", "This is packed by xz. Unpack it, or pack it by gzip."),
    (rb"\x28\xb5\x2f\xfd", "This is packed by zstd. Unpack it, or pack it by gzip."),
    (rb"7z\xbc\xaf", "This is packed by 7-Zip. Unpack it, or pack it by gzip."),
    (rb"version https://git-lfs\.github\.com/spec/", "This is a pointer of Git LFS, not the file "
     "that it stands for. Fetch that by git lfs pull."),
    (_SYLK, "This is a SYLK file, a spreadsheet’s own. Save it as CSV."),
)  # fmt: skip
_METADATA = (
    "This is what mongodump keeps of a collection beside its documents: its indexes and options. "
    "Upload its .bson file, or a tar of the directory."
)
_JSON_NAMES = (".json", ".jsonl", ".ndjson")
_NO_JSON = (
    "This is named as JSON, and doesn’t begin with a document in braces, whose names stand in "
    "double quotes, nor with an array of such documents."
)
_MARKUP = re.compile(r"\s*<(?:\?xml|!doctype|html|table|workbook)", re.I)
_TYPES = frozenset((*range(0x01, 0x14), 0x7F, 0xFF))
_OLD_JSON = re.compile(
    r'"\$date"\s*:\s*-?[0-9]|"\$numberLong"\s*:\s*-?[0-9]'
    r'|"\$binary"\s*:\s*"[^"]*"\s*,\s*"\$type"|"\$type"\s*:\s*"[^"]*"\s*,\s*"\$binary"'
    r"|:\s*(?:NaN|-?Infinity)\s*[,}\]]"
)
_OLD_REGEX = re.compile(r'"\$regex"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"\$options"')


@dataclass(frozen=True, slots=True)
class Detected:
    """The format of a file, and all that was found to read it.

    ``options`` is ``None`` for what can't be read, for the reason in ``refusal``. ``candidates``
    are the encodings to ask for, if the text is no UTF-8. ``dialects`` are the delimiters that fit
    equally well, to ask for; empty where one is plain. ``notes`` tell what was found, in words.
    """

    options: ReadOptions | None
    refusal: str | None = None
    candidates: tuple[Candidate, ...] = ()
    dialects: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    is_heading_doubtful: bool = False
    """The first row looks like values, or like a title, so it is to be asked whether it is the
    heading."""
    likely_heading: tuple[str, ...] = ()
    """The first row with as many cells as almost all below it, if the first one of all has fewer.
    """
    first_lines: tuple[bytes, ...] = ()
    """The first lines of a CSV file, cut, of which one may be chosen as heading: in UTF-8, or in
    the file's own encoding where there are candidates."""
    is_dump: bool = False
    """A tar of a directory that mongodump made: ``list_members`` says what is in it."""
    typed: bool = False
    """The headings of a CSV file have types, so ``options.columns`` is complete."""
    notes: tuple[str, ...] = ()

    @property
    def delimiters(self) -> Mapping[str, str]:
        """The delimiters that can be chosen, with their names: any that is told, and the one that
        the file's own first line says."""
        own = self.options.dialect.delimiter if self.options else ","
        return DELIMITERS if own in DELIMITERS else {**DELIMITERS, own: f"“{own}”"}

    def heading_lines(self, encoding: str) -> dict[int, str]:
        """The lines of which one may be chosen as heading, by their numbers, as read by the chosen
        ``encoding``."""
        encoding = encoding if self.candidates else "utf-8"
        lines = [line.decode(encoding, errors="replace") for line in self.first_lines]
        told = self.options is not None and self.options.dialect.separator_line
        return {
            number: "".join(c if c.isprintable() else " " for c in line)
            for number, line in enumerate(lines, 1)
            if line.strip() and number > told
        }


def detect(head: bytes, name: str) -> Detected:
    """Recognize a file of this name that begins with ``head``. Never guesses: what fits two ways
    is a candidate to choose from."""
    if not head.startswith(_GZIP):
        return _detect(head[:HEAD_BYTES], name.lower(), is_whole=len(head) < HEAD_BYTES)
    inner, is_whole = _unpacked(head)
    if not inner and not is_whole:
        return Detected(None, "This is a damaged gzip. Upload it again.")
    if inner.startswith(_GZIP):
        return Detected(None, "This is packed twice by gzip. Unpack it once.")
    detected = _detect(inner, name.lower().removesuffix(".gz"), is_whole=is_whole)
    packed = detected.options and replace(detected.options, gzip=True)
    return replace(detected, options=packed)


def _unpacked(head: bytes) -> tuple[bytes, bool]:
    """The start of what a gzip holds, whose first one of several joined may hold little or nothing,
    and whether that is all."""
    inner = b""
    try:
        for piece in gunzip([head], LARGEST_DOCUMENT_BYTES):
            inner += piece
            if len(inner) >= HEAD_BYTES:
                return inner[:HEAD_BYTES], False
    except BrokenFile:  # the head is cut; what is damaged is told with its place once it is read
        return inner, False
    return inner, len(head) < HEAD_BYTES


def _detect(head: bytes, name: str, *, is_whole: bool) -> Detected:
    refusal = _refusal(head, name)
    if refusal:
        return Detected(None, refusal)
    if head[_TAR_MAGIC] == b"ustar":
        return Detected(ReadOptions(Format.BSON), is_dump=True)
    if _is_bson(head, is_named=name.endswith(".bson")):
        return Detected(ReadOptions(Format.BSON))
    if name.endswith(".bson"):
        return Detected(None, "This is named .bson, and doesn’t begin with a BSON document.")
    return _detect_text(head, name, is_whole=is_whole)


def _refusal(head: bytes, name: str) -> str | None:
    if not head.strip(b"\xef\xbb\xbf\r\n\t "):
        return "This file is empty."
    if name.endswith(".metadata.json"):
        return _METADATA
    return next((refusal for begun, refusal in _REFUSED if re.match(begun, head)), None)


def _is_bson(head: bytes, *, is_named: bool) -> bool:
    """Tell whether a document begins here; in a file named so it may be an invalid one."""
    size = int.from_bytes(head[:4], "little", signed=True)
    if size < 5 or len(head) < 5 or (head[4] not in _TYPES and size != 5):
        return False
    if size <= len(head) and not is_named:
        return fault_of(head[:size]) is None
    if head[5] == 0 and not is_named:  # a first name of no letters, or a tab or so in UTF-16
        return False
    return size <= LARGEST_DOCUMENT_BYTES and 0 in head[5:]


def _detect_text(head: bytes, name: str, *, is_whole: bool) -> Detected:
    encoding = encoding_of(head)
    candidates: tuple[Candidate, ...] = ()
    if encoding is None:
        candidates = candidates_of(undecodable_lines(head)) if is_text(head) else ()
        if not candidates:
            return Detected(None, "This is none of the formats that are read, nor text.")
        encoding = candidates[0].encoding
    text = head.decode(encoding, errors="ignore").lstrip("\ufeff")
    if text.count("\0") > len(text) * _LARGEST_SHARE_OF_NULS:
        return Detected(None, "This is none of the formats that are read, nor text.")
    if _MARKUP.match(text):
        return Detected(None, "This is HTML or XML, as some spreadsheets save. Save it as CSV.")
    options = _json_options(text, encoding)
    if options is not None:
        return Detected(options, candidates=candidates, notes=_json_notes(text, options))
    if name.endswith(_JSON_NAMES):
        return Detected(None, _NO_JSON)
    found = dialect_of(text, is_whole=is_whole, is_tabular=name.endswith((".tsv", ".tab")))
    columns = typed_columns(found.headers)
    options = ReadOptions(Format.CSV, encoding=encoding, dialect=found.dialect)
    return Detected(
        replace(options, columns=columns or ()),
        candidates=candidates,
        dialects=found.delimiters,
        headers=found.headers,
        is_heading_doubtful=found.is_heading_doubtful and columns is None,
        likely_heading=found.likely_heading,
        first_lines=_first_lines(head if candidates else text.encode(), found.dialect.newline),
        typed=columns is not None,
    )


def _first_lines(content: bytes, newline: str) -> tuple[bytes, ...]:
    lines = without_marks(content).split(newline.encode(), _MOST_LINES)[:_MOST_LINES]
    return tuple(line.rstrip(b"\r")[:_LONGEST_LINE_BYTES] for line in lines)


def _json_options(text: str, encoding: str) -> ReadOptions | None:
    """The options of a JSON file; ``None`` for another."""
    start = text.lstrip()
    if not re.match(r'\[\s*(?:[{\]]|$)|\{\s*(?:["}\']|$)', start):
        return None
    old = _OLD_JSON.search(text) is not None
    lines = Format.JSON_ARRAY
    if start.startswith("{"):
        first, newline, _ = start.partition("\n")
        content = first.strip().encode()
        # An element a line, unless the first one has more lines, or its line more documents.
        if end_of_value(content) == len(content) or (
            newline and end_of_value(content) is None and content.endswith(b"}")
        ):
            lines = Format.JSON_LINES
    return ReadOptions(lines, encoding=encoding, old_json=old)


def _json_notes(text: str, options: ReadOptions) -> tuple[str, ...]:
    notes = []
    if options.old_json:
        notes.append("It is in the dialect of mongoexport before 4.2, which is translated.")
    elif _OLD_REGEX.search(text):
        notes.append(
            "It has $regex with $options: sub-documents, or patterns in the dialect of mongoexport "
            "before 4.2."
        )
    if options.format == Format.JSON_ARRAY and text.lstrip().startswith("{"):
        notes.append("Its documents stand one after another, over several lines.")
    return tuple(notes)
