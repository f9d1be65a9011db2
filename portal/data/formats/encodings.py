"""Encodings of text files: told by their marks, strict UTF-8, or asked with lines to compare."""

import codecs
import re
import unicodedata
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# In the order in which they are asked for where a sample tells nothing.
ENCODINGS = {
    "windows-1252": "Windows-1252",
    "mac_roman": "Mac Roman",
    "iso-8859-15": "ISO 8859-15",
    "windows-1250": "Windows-1250, Central European",
    "windows-1251": "Windows-1251, Cyrillic",
    "windows-1253": "Windows-1253, Greek",
    "windows-1254": "Windows-1254, Turkish",
    "cp850": "DOS 850, Western",
    "koi8-r": "KOI8-R, Cyrillic",
    "shift_jis": "Shift JIS, Japanese",
    "gb18030": "GB 18030, Chinese",
    "big5": "Big5, Chinese",
    "euc_kr": "EUC-KR, Korean",
}
"""The encodings that can be chosen, with their names on pages, besides UTF-8 and UTF-16."""
_SAMPLE_LINES = 3
_MOST_CANDIDATES = 6
_LONGEST_SHOWN = 120
_LARGEST_SHARE_OF_CONTROLS = 0.05
_CONTROL_BYTES = bytes(sorted({*range(0x20)} - {*b"\t\n\r"}))
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoding that the file may have, and up to three of its lines read in it.

    A character that nobody types stands as ``⟨80⟩``.
    """

    encoding: str
    label: str
    lines: tuple[str, ...]


def encoding_of(head: bytes) -> str | None:
    """The encoding of a text that begins like this; ``None`` where it has to be asked."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    wide = _wide_encoding(head)
    if wide:
        return wide
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # its last character may be cut
    except UnicodeDecodeError:
        return None
    return "utf-8"


def is_text(head: bytes) -> bool:
    """Tell whether the bytes, of an encoding of single bytes, are text."""
    controls = len(head) - len(head.translate(None, _CONTROL_BYTES))
    return controls <= len(head) * _LARGEST_SHARE_OF_CONTROLS


def undecodable_lines(content: bytes) -> list[bytes]:
    """The first lines that are no UTF-8."""
    found = []
    for line in re.split(rb"[\r\n]+", content)[:-1] or [content]:
        try:
            line.decode()
        except UnicodeDecodeError:
            found.append(line)
            if len(found) == _SAMPLE_LINES:
                break
    return found or [content]


def candidates_of(lines: list[bytes]) -> tuple[Candidate, ...]:
    """The encodings that these lines, which are no UTF-8, may have; likely ones first."""
    found = []
    for place, (encoding, label) in enumerate(ENCODINGS.items()):
        try:
            texts = [line.decode(encoding) for line in lines]
        except UnicodeDecodeError:
            continue
        lines_shown = tuple(_visible(text) for text in texts)
        order = (_is_unlikely("".join(texts)), place)
        found.append((order, Candidate(encoding, label, lines_shown)))
    found.sort(key=lambda ordered: ordered[0])
    return tuple(candidate for _, candidate in found[:_MOST_CANDIDATES])


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of a mostly Latin text is zero."""
    sample = head[: 4096 - len(head) % 2]
    half = len(sample) // 2
    if half < 4:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 * half and odd < 0.05 * half else None


def _is_unlikely(text: str) -> bool:
    """Tell whether most of what isn't ASCII is no letter."""
    foreign = [character for character in text if not character.isascii()]
    letters = sum(unicodedata.category(character).startswith("L") for character in foreign)
    return 2 * letters < len(foreign)


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda found: f"⟨{ord(found[0]):02X}⟩", text[:_LONGEST_SHOWN])
