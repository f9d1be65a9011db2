"""Extended JSON laid out for reading: a field a line, values with a type on theirs."""

import re
from collections.abc import Iterator

_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_OPENING, _CLOSING = "{[", "}]"
_INDENT = "  "


def indented(text: str) -> str:
    """The same JSON on several lines. Only blanks outside of strings change."""
    marks = _MARK.findall(text)
    return "".join(_laid_out(marks))


def on_a_line(text: str) -> str:
    """The same JSON on one line, with a blank after each colon and comma."""
    spaced = {":": ": ", ",": ", "}
    return "".join(spaced.get(mark, mark) for mark in _MARK.findall(text))


def _laid_out(marks: list[str]) -> Iterator[str]:
    depth, inline = 0, 0
    for position, mark in enumerate(marks):
        following = marks[position + 1] if position + 1 < len(marks) else ""
        if mark == ":":
            yield ": "
        elif inline:
            inline += (mark in _OPENING) - (mark in _CLOSING)
            yield ", " if mark == "," else mark
        elif mark in _OPENING and (following in _CLOSING or following.startswith('"$')):
            inline = 1
            yield mark
        elif mark in _OPENING:
            depth += 1
            yield mark + _line(depth)
        elif mark in _CLOSING:
            depth -= 1
            yield _line(depth) + mark
        else:
            yield mark + _line(depth) if mark == "," else mark


def _line(depth: int) -> str:
    return "\n" + _INDENT * depth
