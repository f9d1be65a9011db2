"""Reading JSON: a document a line, or the elements of an array."""

import base64
import re
from collections.abc import Iterator
from typing import NamedTuple

from portal.data import extended_json
from portal.data.errors import InvalidExtendedJson
from portal.data.formats.csv_rows import BYTE_ORDER_MARK, shown, without_marks
from portal.data.formats.errors import ArrayCut, ArrayFollowed, TextCut, TextTooLong
from portal.data.formats.exact import fault_of
from portal.data.formats.old_json import parse_old
from portal.data.formats.options import ReadOptions
from portal.data.formats.records import LARGEST_DOCUMENT_BYTES, TOO_LARGE, Fault, Position, Record
from portal.tenants.elements import field_of

END, ERROR, WRAPPED = "$end", "$error", "$bson"
"""The first keys of documents that aren't ones: the end of a stream of the API, the reason for
which the next line was refused, a document's BSON in base64."""
OURS = re.compile(rb".{4}[\x02\x03]\$(?:end|error|bson)\0", re.S)
"""The begin of the BSON of such a document."""
LONGEST_TEXT_BYTES = 24 * 1024 * 1024
"""The longest text of a document: 16 MiB in base64 fit."""

_KEPT_BYTES = 1024  # of a text that is too long
_TOO_LONG = "The line is longer than 24 MiB"
_SEPARATORS = b"\x1e"  # before each text of a sequence (RFC 7464)
_SPACE = re.compile(rb"(?:[\s,\x1e]|\xef\xbb\xbf)*+")  # marks where files are joined
_SCALAR = re.compile(rb'[^\s,\]\[{}"]++(?=[\s,\]\[{}"])')
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(_TEXT + rb"|[\[\]{}\"]", re.S)


def _nested(levels: int) -> bytes:
    inner = rb"|" + _nested(levels - 1) if levels else b""
    return rb'\{(?:[^{}"]++|' + _TEXT + inner + rb")*+\}"


# What is nested deeper is read token by token.
_OBJECT = re.compile(_nested(3), re.S)


class _Text(NamedTuple):
    """The text of a document, or the start of one that is too long; the line that it begins in, and
    the place after it."""

    text: bytes
    line: int
    end_offset: int
    end_lines: int
    is_long: bool = False
    inside: int = 0


def read_json_lines(
    content: Iterator[bytes], options: ReadOptions, begin: Position
) -> Iterator[Record]:
    """The records after ``begin``, each a line."""
    return _records(_lines(content, begin), options, begin.number)


def read_json_array(
    content: Iterator[bytes], options: ReadOptions, begin: Position
) -> Iterator[Record]:
    """The records after ``begin``: elements of an array, or documents one after another."""
    return _records(_elements(content, begin), options, begin.number)


def _records(texts: Iterator[_Text], options: ReadOptions, number: int) -> Iterator[Record]:
    parse = parse_old if options.old_json else extended_json.parse
    for text, line, end_offset, end_lines, is_long, inside in texts:
        document: bytes | None = None
        fault: Fault | None = None
        text = text.lstrip(_SEPARATORS)  # noqa: PLW2901
        is_skipped = not text.strip()
        if is_long:
            fault = Fault(_TOO_LONG, None, _start_of(text))
        elif not is_skipped:
            try:
                document = parse(text)
            except InvalidExtendedJson as error:
                fault = _fault(error, text, options)
            if document is not None and document[5:6] == b"$" and OURS.match(document):
                document, fault = _unwrapped(document, number)
                is_skipped = document is None and fault is None
            if document is not None and len(document) > LARGEST_DOCUMENT_BYTES:
                document, fault = None, Fault(TOO_LARGE, None, _start_of(text))
        number += not is_skipped
        end = Position(end_offset, end_lines, number, 0, inside)
        yield Record(number, line, end, document, fault, text)


def _unwrapped(document: bytes, before: int) -> tuple[bytes | None, Fault | None]:
    """The document that a wrapper holds; nothing for what isn't one."""
    if field_of(document, ERROR) is not None:
        return None, None
    ended, wrapped = field_of(document, END), field_of(document, WRAPPED)
    if ended is not None:
        told = field_of(ended[6:-1], "documents") if ended[4] == 3 else None
        count = int.from_bytes(told[6:-1], "little") if told and told[4] in (0x10, 0x12) else None
        if count in (None, before):
            return None, None
        return None, Fault(f"The file should have {count:,} documents, and {before:,} are here")
    if wrapped is None or wrapped[4] != 2:
        return document, None
    try:
        content = base64.b64decode(wrapped[10:-2], validate=True)
    except ValueError:
        return None, Fault("Not a document in base64")
    reason = fault_of(content)
    return (None, Fault(reason)) if reason else (content, None)


def _fault(error: InvalidExtendedJson, text: bytes, options: ReadOptions) -> Fault:
    [(place, reason)] = error.fields.items()
    if not options.old_json and _is_old(text):
        reason = f"{reason} It is in the dialect of mongoexport before 4.2."
    is_field = place.startswith("/") and place != "/"
    if not is_field and place != "/":
        reason = f"{reason.removesuffix('.')} ({place})."
    return Fault(reason, place if is_field else None, _start_of(text))


def _is_old(text: bytes) -> bool:
    try:
        parse_old(text)
    except InvalidExtendedJson:
        return False
    return True


def _start_of(text: bytes) -> str:
    return shown(text[:_KEPT_BYTES].decode(errors="surrogateescape").strip())


def _lines(content: Iterator[bytes], begin: Position) -> Iterator[_Text]:
    offset, line = begin.offset, begin.lines
    waiting: list[bytes] = []  # the start of a line
    waiting_bytes, passed = 0, 0  # of a line that is too long only its start is kept
    for piece in content:
        first, *others = piece.split(b"\n")
        waiting.append(first)
        waiting_bytes += len(first)
        if others:
            rest = others.pop()
            for each in (b"".join(waiting), *others):
                offset += len(each) + 1 + passed
                line += 1
                is_long = passed > 0 or len(each) > LONGEST_TEXT_BYTES
                yield _Text(without_marks(each), line, offset, line, is_long)
                passed = 0
            waiting, waiting_bytes = [rest], len(rest)
        if waiting_bytes > LONGEST_TEXT_BYTES or passed:
            waiting = [b"".join(waiting)[:_KEPT_BYTES]]
            passed += waiting_bytes - len(waiting[0])
            waiting_bytes = len(waiting[0])
    last = b"".join(waiting)
    if last:
        yield _Text(
            without_marks(last), line + 1, offset + len(last) + passed, line + 1, passed > 0
        )


def _elements(content: Iterator[bytes], begin: Position) -> Iterator[_Text]:
    """Raises BrokenFile where the text isn't balanced to its end."""
    scanner = _Scanner(begin)
    data, wanted = b"", 0
    for piece in content:
        data += piece
        if len(data) < wanted:
            continue
        yield from scanner.elements(data, is_last=False)
        data = scanner.rest
        if len(data) > LONGEST_TEXT_BYTES:
            raise TextTooLong(scanner.line)
        wanted = 2 * len(data)  # what isn't complete is seldom looked at again
    yield from scanner.elements(data, is_last=True)
    if scanner.rest:
        raise TextCut(scanner.line)
    if scanner.state == "array":
        raise ArrayCut


class _Scanner:
    """Finds the elements in pieces of an array, or of documents one after another."""

    def __init__(self, begin: Position) -> None:
        self._offset, self._lines = begin.offset, begin.lines
        self.state = "array" if begin.inside else "documents"
        if not begin.offset:
            self.state = "start"
        self.rest = b""
        """An element that isn't complete."""

    @property
    def line(self) -> int:
        """The line of what is left."""
        return self._lines + 1

    def elements(self, data: bytes, *, is_last: bool) -> Iterator[_Text]:
        """The complete elements of a text; what follows them is left."""
        position = 0
        if self._offset == 0 and data.startswith(BYTE_ORDER_MARK):
            position = self._offset = len(BYTE_ORDER_MARK)
        while (position := self._next(data, position)) < len(data):
            end = _end_of(data, position, is_last=is_last)
            if end is None:
                break
            text = data[position:end]
            first = self.line
            self._lines += text.count(b"\n")
            self._offset += end - position
            position = end
            inside = self.state == "array"
            yield _Text(text, first, self._offset, self._lines, inside=inside)
        self.rest = data[position:]

    def _next(self, data: bytes, position: int) -> int:
        """The index of the next element, behind commas, blanks and the array's brackets. Raises
        BrokenFile for one behind the array."""
        while True:
            start = position
            space = _SPACE.match(data, position)
            position = space.end() if space else position
            character = data[position : position + 1]
            is_bracket = (character, self.state) in _BRACKETS
            position += is_bracket
            self._lines += data.count(b"\n", start, position)
            self._offset += position - start
            if character and self.state == "after":
                raise ArrayFollowed(self.line)
            if not is_bracket:
                if character and self.state == "start":
                    self.state = "documents"
                return position
            self.state = _BRACKETS[character, self.state]


_BRACKETS = {(b"[", "start"): "array", (b"]", "array"): "after"}
"""The brackets of the array itself, and the state behind each."""


def end_of_value(text: bytes) -> int | None:
    """The index after the value that the text begins with; ``None`` where it isn't complete."""
    return _end_of(text, 0, is_last=True)


def _end_of(data: bytes, start: int, *, is_last: bool) -> int | None:
    """The index after the value that begins at ``start``; ``None`` where it isn't complete."""
    found = _OBJECT.match(data, start) or _SCALAR.match(data, start)
    if found:
        return found.end()
    if data[start] not in b'{["':
        # A scalar at the end, or a bracket that closes nothing.
        is_scalar = data[start] not in b"}]"
        return (len(data) if is_last else None) if is_scalar else start + 1
    depth = 0
    for token in _TOKEN.finditer(data, start):
        if token[0] == b'"':  # the text isn't complete
            return None
        character = token[0][:1]
        depth += (character in b"{[") - (character in b"}]")
        if depth <= 0:
            return token.end()
    return None
