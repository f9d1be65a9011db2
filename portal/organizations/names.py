"""What an organization may be called, and what its name becomes."""

import re
import unicodedata

from slugify import slugify

from portal.errors import InvalidName, NameNotConfirmed, NotFound

SHORTEST, LONGEST = 2, 80
LONGEST_SLUG = 63
# Before composing and collapsing spaces: NFC takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 8 * LONGEST

# Words that routes use where a slug could stand; a test derives them from the URL map. The last
# four are those of the JSON API's contract.
RESERVED = frozenset({"new", "preview", "create", "update", "delete", "trash"})

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_APOSTROPHES = str.maketrans(dict.fromkeys("'‘‛ʼ`´＇", "’"))
_PUNCTUATION = frozenset(".,’&()+#!/-–_@: ")
_SPACES = re.compile(r"[ \u00a0\u2000-\u200a\u202f\u205f\u3000]+")
# Letters and marks that draw nothing: fillers, joiners, variation selectors.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MOST_MARKS = 4  # on one letter: more than any script needs, and they draw over other lines


def clean_name(text: str) -> str:
    """An organization's name as it is kept.

    Raises InvalidName like ``clean_words``, and for what leads to no slug or a reserved one.
    """
    name = clean_words(text)
    slug = slug_of(name)
    if not slug:
        raise InvalidName("Choose a name with letters or digits that an address can be made of")
    if slug in RESERVED:
        raise InvalidName(f"Choose another name: the portal uses “{slug}” itself")
    return name


def clean_words(text: str) -> str:
    """A name of anything as it is kept: NFC, spaces trimmed and collapsed, apostrophes unified.

    Raises InvalidName for anything that is not 2 to 80 letters, marks, digits, spaces and
    ``.,’&()+#!/-–_@:``, and for ``//``: names stand in mails, whose readers make links of it.
    """
    if len(text) > _LONGEST_TYPED:
        raise InvalidName(f"Choose a shorter name: {LONGEST} characters at most")
    name = _SPACES.sub(" ", unicodedata.normalize("NFC", text).strip()).translate(_APOSTROPHES)
    if not name:
        raise InvalidName("Enter a name")
    if len(name) < SHORTEST:
        raise InvalidName(f"Choose a longer name: {SHORTEST} characters or more")
    if len(name) > LONGEST:
        raise InvalidName(f"Choose a shorter name: {LONGEST} characters at most")
    strange = next((character for character in name if not _allowed(character)), None)
    if strange is not None:
        raise InvalidName(
            f"Leave out {_described(strange)}: a name has letters, digits, spaces "
            "and . , ’ & ( ) + # ! / - – _ @ :"
        )
    if "//" in name:
        raise InvalidName("Put one / at a time")
    if any(len(marks) > _MOST_MARKS for marks in _runs_of_marks(name)):
        raise InvalidName(f"Put at most {_MOST_MARKS} marks on a letter")
    return name


def slug_of(name: str) -> str:
    """The slug that a cleaned name leads to, at most 63 characters, cut at a hyphen; may be empty.

    Stored with the organization and never computed anew: the transliteration may change with
    a new version of the library.
    """
    return slugify(
        name,
        max_length=LONGEST_SLUG,
        word_boundary=True,
        save_order=True,
        entities=False,
        decimal=False,
        hexadecimal=False,
        backend="text-unidecode",
    )


def slug_asked_for(text: str) -> str:
    """The slug that ``text`` in an address leads to: itself, or that of a name.

    Raises NotFound where no organization can have it.
    """
    if SLUG.fullmatch(text):
        return text
    try:
        return slug_of(clean_name(text))
    except InvalidName as error:
        raise NotFound(text) from error


def check_confirmed(typed: str | None, name: str) -> None:
    """Raise NameNotConfirmed unless ``typed`` is ``name``; a program confirms by asking."""
    if typed is None:
        return
    try:
        confirmed = clean_name(typed) == name
    except InvalidName:
        confirmed = False
    if not confirmed:
        raise NameNotConfirmed(name)


def collection_of(slug: str) -> str:
    """The tenant collection's name: one for each slug, since slugs have no underscore."""
    return "org_" + slug.replace("-", "_")


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
