"""Isolation of names in right-to-left scripts: on an English page or in a mail they would move the
words beside them (Unicode's UAX 9)."""

import re
import unicodedata

from markupsafe import Markup

_ISOLATE, _POP = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
_RIGHT_TO_LEFT = ("R", "AL", "AN")
_ASCII = re.compile(r"[\x00-\x7f]*")


def isolated(text: str) -> str:
    """The text for titles, mails and sentences, isolated by U+2068 and U+2069 if it has letters or
    digits of a right-to-left script; nothing else needs it between English words."""
    return f"{_ISOLATE}{text}{_POP}" if _is_right_to_left(text) else text


def bdi(text: object) -> object:
    """The text for the body of a page, in ``<bdi>`` likewise."""
    if isinstance(text, str) and _is_right_to_left(text):
        return Markup("<bdi>{}</bdi>").format(text)
    return text


def _is_right_to_left(text: str) -> bool:
    if _ASCII.fullmatch(text) or _ISOLATE in text:
        return False
    return any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text)
