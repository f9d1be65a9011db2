"""Codes as people type, paste and dictate them."""

import re
import unicodedata

from portal.identity.second_factors.errors import MalformedCode

_APP = re.compile(r"[0-9]{6}")
_RECOVERY = re.compile(r"[a-z2-7]{16}")
_LONGEST_TYPED = 200
# Control and format characters, marks, punctuation (dashes among it), separators.
_IGNORED_CATEGORIES = "CMPZ"
_IGNORED = (
    "\N{MINUS SIGN}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}\N{BRAILLE PATTERN BLANK}"
)


def is_of_app(code: str) -> bool:
    """True of a parsed code of an authenticator app, false of a recovery code."""
    return bool(_APP.fullmatch(code))


def parse_code(typed: str) -> str:
    """The code that was typed: its digits in any script and its letters, without what groups them
    or can't be seen. Raises MalformedCode for anything but a code of an app or a recovery code."""
    code = _plain(typed)
    if not is_of_app(code) and not _RECOVERY.fullmatch(code):
        raise MalformedCode.of_either()
    return code


def parse_code_of_app(typed: str) -> str:
    """The same for a code of an app alone. Raises MalformedCode."""
    code = _plain(typed)
    if not is_of_app(code):
        raise MalformedCode.of_app()
    return code


def _plain(typed: str) -> str:
    # Checked before: normalizing takes seconds for 30,000 marks on one letter.
    characters = unicodedata.normalize("NFKC", typed) if len(typed) <= _LONGEST_TYPED else ""
    return "".join(_digit_or_letter(c) for c in characters if not _is_ignored(c)).lower()


def _is_ignored(character: str) -> bool:
    return unicodedata.category(character)[0] in _IGNORED_CATEGORIES or character in _IGNORED


def _digit_or_letter(character: str) -> str:
    return str(unicodedata.decimal(character, character))
