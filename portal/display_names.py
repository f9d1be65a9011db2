"""Display names of organizations, people and API keys: validated and normalized."""

import re
import unicodedata
from dataclasses import dataclass

from portal.errors import Invalid

SHORTEST, LONGEST = 2, 80
# Checked before normalizing: NFC takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 8 * LONGEST
_TOO_LONG = f"Choose a shorter name: {LONGEST} characters at most"
_APOSTROPHES = str.maketrans(dict.fromkeys("'‘‛ʼ`´＇", "’"))
_PUNCTUATION = frozenset(".,’&()+#!/-–_@: ")
_SPACES = re.compile(r"[ \u00a0\u2000-\u200a\u202f\u205f\u3000]+")
# Invisible letters and marks: fillers, joiners, variation selectors.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MAX_MARKS = 4  # per letter: more than any script needs, and they overlap other lines


def clean_words(text: str) -> str:
    """Normalize a display name: NFC, spaces trimmed and collapsed, apostrophes unified.

    Raises InvalidName for anything but 2 to 80 letters, marks, digits, spaces and
    ``.,’&()+#!/-–_@:``, and for ``//``: mail programs turn names with it into links.
    """
    if len(text) > _LONGEST_TYPED:
        raise InvalidName(_TOO_LONG)
    name = _SPACES.sub(" ", unicodedata.normalize("NFC", text).strip()).translate(_APOSTROPHES)
    if not name:
        raise InvalidName("Enter a name")
    if len(name) < SHORTEST:
        raise InvalidName(f"Choose a longer name: {SHORTEST} characters or more")
    if len(name) > LONGEST:
        raise InvalidName(_TOO_LONG)
    forbidden = next((character for character in name if not _allowed(character)), None)
    if forbidden is not None:
        raise InvalidName(
            f"Leave out {_described(forbidden)}: a name has letters, digits, spaces "
            "and . , ’ & ( ) + # ! / - – _ @ :"
        )
    if "//" in name:
        raise InvalidName("Put one / at a time")
    if any(len(marks) > _MAX_MARKS for marks in _runs_of_marks(name)):
        raise InvalidName(f"Put at most {_MAX_MARKS} marks on a letter")
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
