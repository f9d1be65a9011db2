"""Display names of organizations, people and API keys: validated and normalized."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Self

from portal.errors import Invalid

SHORTEST, LONGEST = 2, 80
# Checked before normalizing: NFC takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 8 * LONGEST
_APOSTROPHES = str.maketrans(dict.fromkeys("'‘‛ʼ`´＇", "’"))
_PUNCTUATION = frozenset(".,’&()+#!/-–_@: ")
_SPACES = re.compile(r"[ \u00a0\u2000-\u200a\u202f\u205f\u3000]+")
# Invisible letters and marks: fillers, joiners, variation selectors.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MOST_MARKS = 4  # per letter: more than any script needs, and they overlap other lines


def clean_words(text: str) -> str:
    """Normalize a display name: NFC, spaces trimmed and collapsed, apostrophes unified.

    Raises InvalidName for anything but 2 to 80 letters, marks, digits, spaces and
    ``.,’&()+#!/-–_@:``, and for ``//``: mail programs turn names with it into links.
    """
    if len(text) > _LONGEST_TYPED:
        raise InvalidName.too_long()
    name = _SPACES.sub(" ", unicodedata.normalize("NFC", text).strip()).translate(_APOSTROPHES)
    if not name:
        raise InvalidName.missing()
    if len(name) < SHORTEST:
        raise InvalidName.too_short()
    if len(name) > LONGEST:
        raise InvalidName.too_long()
    forbidden = next((character for character in name if not _allowed(character)), None)
    if forbidden is not None:
        raise InvalidName.forbidden_character(forbidden)
    if "//" in name:
        raise InvalidName.double_slash()
    if any(len(marks) > _MOST_MARKS for marks in _runs_of_marks(name)):
        raise InvalidName.too_many_marks()
    return name


def _allowed(character: str) -> bool:
    category = unicodedata.category(character)
    if _INVISIBLE.match(character):
        return False
    return category[0] in "LM" or category == "Nd" or character in _PUNCTUATION


def _runs_of_marks(name: str) -> list[str]:
    drawn = "".join(c if unicodedata.category(c)[0] == "M" else " " for c in name)
    return drawn.split()


def _described(character: str) -> str:
    if character.isprintable() and not character.isspace() and not _INVISIBLE.match(character):
        return f"“{character}”"
    return unicodedata.name(character, "control characters").lower().replace("_", " ")


@dataclass
class InvalidName(Invalid):
    """A name that breaks a rule; ``reason`` says how to correct it."""

    reason: str

    code = "invalid_name"
    field = "organization_name"
    message = "{reason}"

    @classmethod
    def missing(cls) -> Self:
        return cls("Enter a name")

    @classmethod
    def too_short(cls) -> Self:
        return cls(f"Choose a longer name: {SHORTEST} characters or more")

    @classmethod
    def too_long(cls) -> Self:
        return cls(f"Choose a shorter name: {LONGEST} characters at most")

    @classmethod
    def forbidden_character(cls, character: str) -> Self:
        return cls(
            f"Leave out {_described(character)}: a name has letters, digits, spaces "
            "and . , ’ & ( ) + # ! / - – _ @ :"
        )

    @classmethod
    def double_slash(cls) -> Self:
        return cls("Put one / at a time")

    @classmethod
    def too_many_marks(cls) -> Self:
        return cls(f"Put at most {_MOST_MARKS} marks on a letter")
