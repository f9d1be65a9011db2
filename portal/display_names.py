"""Display names of organizations, people and API keys: validated and normalized; and what a reader
sees of any text."""

import unicodedata
from dataclasses import dataclass
from typing import Self

import regex

from portal.errors import Invalid

SHORTEST, LONGEST = 2, 80
# Checked before normalizing: NFC takes seconds for 30,000 marks on one letter.
_LONGEST_TYPED = 8 * LONGEST
_SPACES = regex.compile(r"[ \u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_APOSTROPHES = str.maketrans(dict.fromkeys("'‛ʼ`´＇", "’"))
# Typed for an apostrophe; but in ‚German‘ quotes it is where it belongs.
_CLOSING = regex.compile(r"(?<!‚[^‘]*)(?:(?<=[\p{L}\p{M}\p{N}])‘|‘(?!.*’))")

# Where Unicode's joiners are seen (UAX 31, 2.3): between letters that join, and beside a virama;
# Bengali and Kannada write them before it, too.
_JOINS = r"(?<=[\p{jt=D}\p{jt=L}]\p{jt=T}*){0}(?=\p{jt=T}*[\p{jt=D}\p{jt=R}])"
_AT_VIRAMA = r"(?<=\p{L}\p{M}*\p{ccc=9}){0}|(?<=\p{L}\p{M}*)\u200d(?=\p{ccc=9})"
_SEEN_JOINERS = regex.compile(f"{_JOINS}|{_AT_VIRAMA}".replace("{0}", r"[\u200c\u200d]"))
# Persian keyboards make them after any letter: where it doesn't join anyway, nothing is lost.
_NON_JOINERS = regex.compile(r"(?<=[\p{jt=D}\p{jt=L}\p{jt=R}]\p{jt=T}*)\u200c+")
# The variants of one ideograph, in Japanese names, and of a Mongolian letter, with the gap before
# its last vowel.
_MONGOLIAN = r"(?=\p{Mongolian})\p{L}"
_SEEN_SELECTORS = regex.compile(
    r"(?<=\p{Unified_Ideograph})[\U000e0100-\U000e01ef]"
    rf"|(?<={_MONGOLIAN})(?:[\u180b-\u180d\u180f]|\u180e(?={_MONGOLIAN}))"
)
# The space bar of keyboards for scripts without spaces between words makes it: where lines may be
# broken, which is nowhere seen.
_BREAKS = regex.compile(r"(?<=[\p{Khmer}\p{Lao}\p{Myanmar}\p{Thai}])\u200b+")

_EMOJI = regex.compile(r"\p{Emoji_Presentation}|.\ufe0f\u20e3?|.\u20e3")
_INVISIBLE = regex.compile(
    r"[^\p{L}\p{M}\p{N}\p{P}\p{S}\x20]|\p{Default_Ignorable_Code_Point}|[\u2800\ufffc\ufffd]"
)
# Taken for markup, a formula or an operator elsewhere; and bytes of a form that are no UTF-8.
_MARKUP = regex.compile(r"[<>{}\\;]|^[$=]|%[0-9A-Fa-f]{2}")
_ANY_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_VIRAMA = 9  # its canonical combining class
_MARKS = regex.compile(r"\p{M}+")
_MOST_MARKS = 4  # per letter: more than any script needs, and they overlap other lines


def clean_words(text: str) -> str:
    """Normalize a display name: NFC, spaces trimmed and collapsed, apostrophes unified.

    Keeps letters, marks, digits, punctuation and symbols of every script, and joiners where the
    script needs them. Raises InvalidName for fewer than 2 or more than 80 characters, for what
    can't be seen, for emoji, ``<>{}\\;`` and a leading ``$`` or ``=``, and for ``//``: mail
    programs turn names with it into links.
    """
    if len(text) > _LONGEST_TYPED:
        raise InvalidName.too_long()
    joined = _BREAKS.sub("", _NON_JOINERS.sub(_needed_joiner, text))
    name = unicodedata.normalize("NFC", joined)
    name = _CLOSING.sub("’", _SPACES.sub(" ", name.strip()).translate(_APOSTROPHES))
    if not name:
        raise InvalidName.missing()
    if len(name) < SHORTEST:
        raise InvalidName.too_short()
    if len(name) > LONGEST:
        raise InvalidName.too_long()
    _check_characters(name)
    if "//" in name:
        raise InvalidName.double_slash()
    if any(len(marks) > _MOST_MARKS for marks in _MARKS.findall(name)):
        raise InvalidName.too_many_marks()
    return name


def comparable(name: str) -> str:
    """The form that names share which differ only in case, apostrophes or composition."""
    return unicodedata.normalize("NFC", name).translate(_APOSTROPHES).replace("‘", "’").casefold()


def is_visible(text: str) -> bool:
    """Tell whether a reader sees all of the text, or what it does to the letters beside it."""
    return text.isprintable() or all(is_seen(text, index) for index in range(len(text)))


def is_seen(text: str, index: int) -> bool:
    """Tell whether the character is printable, or a joiner, or its opposite, where writing has it:
    in an emoji of several, in Persian, in Hindi."""
    character = text[index]
    if character.isprintable():
        return True
    before, after = text[max(index - 1, 0) : index], text[index + 1 : index + 2]
    if character not in _ANY_JOINERS or not _is_joined(before):
        return False
    return _is_joined(after) or unicodedata.combining(before) == _VIRAMA


def visible_part(text: str, instead: str = "") -> str:
    """The text with each character that isn't seen left out, or another one ``instead``."""
    if text.isprintable():
        return text
    return "".join(c if is_seen(text, index) else instead for index, c in enumerate(text))


def _needed_joiner(found: regex.Match[str]) -> str:
    return "\u200c" if _SEEN_JOINERS.match(found.string, found.start()) else ""


def _check_characters(name: str) -> None:
    if emoji := _EMOJI.search(name):
        raise InvalidName.emoji(emoji[0])
    seen = _SEEN_SELECTORS.sub("", _SEEN_JOINERS.sub("", name))
    if invisible := _INVISIBLE.search(seen):
        raise InvalidName.invisible(invisible[0])
    if markup := _MARKUP.search(name):
        raise InvalidName.markup(markup[0])


def _is_joined(character: str) -> bool:
    return bool(character) and character.isprintable() and not character.isascii()


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
    def emoji(cls, emoji: str) -> Self:
        return cls(f"Leave out “{emoji}”: a name has no emoji")

    @classmethod
    def invisible(cls, character: str) -> Self:
        name = unicodedata.name(character, "control characters").lower().replace("_", " ")
        return cls(f"Leave out {name}: nobody would see it in the name")

    @classmethod
    def markup(cls, character: str) -> Self:
        return cls(
            f"Leave out “{character}”: a name has none of < > {{ }} \\ ;, nor $ or = in front"
        )

    @classmethod
    def double_slash(cls) -> Self:
        return cls("Put one / at a time")

    @classmethod
    def too_many_marks(cls) -> Self:
        return cls(f"Put at most {_MOST_MARKS} marks on a letter")
