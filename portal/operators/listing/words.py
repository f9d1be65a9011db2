"""The words by which an organization is found."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import regex

LONGEST_WORD = 64
MOST_WORDS = 100
_LETTERS = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_EDGES = regex.compile(r"^[^\p{L}\p{N}]+|[^\p{L}\p{N}\p{M}]+$")
# Letters that are typed without their stroke where a keyboard has none, and don't come apart; and
# joiners, which are left out as often as typed.
_NON_JOINER = "\N{ZERO WIDTH NON-JOINER}"
_REPLACED = {
    **str.maketrans("łøđħŧıðþ", "lodhtidt"), ord("æ"): "ae", ord("œ"): "oe",
    ord(_NON_JOINER): None, ord("\N{ZERO WIDTH JOINER}"): None,
}  # fmt: skip
_APOSTROPHES = regex.compile(r"['’‘`´ʼ]")
# Scripts that put no space between words, so that a name's best known part may stand inside.
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


def fold(text: str) -> str:
    """The text without case, accents, joiners and forms of one letter, as words are compared and
    names sorted."""
    if text.isascii():  # most are, and it takes a tenth of the time
        return text.lower()
    apart = unicodedata.normalize("NFKD", text).casefold()
    letters = "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", letters.translate(_REPLACED))


def words_of(name: str, slug: str, others: Iterable[str], addresses: Iterable[str]) -> list[str]:
    """The words of an organization, sorted: of its name, its slug, its owners' ``addresses`` and
    their domains, and ``others``, which are ids elsewhere and metadata. Of too many those within
    ``others`` are left out first, and those of the name never."""
    others = list(others)
    wanted = chain(
        _of_text(name),
        _of_text(slug),
        (fold(text).strip() for text in others),
        chain.from_iterable(map(_of_address, addresses)),
        _tails(name),
        chain.from_iterable(map(_of_text, others)),
    )
    found = dict.fromkeys(word[:LONGEST_WORD] for word in wanted if word)
    return sorted(islice(found, MOST_WORDS))


def others_of(organization: Mapping[str, Any]) -> Iterator[str]:
    """The rest that a stored organization is found by: its id elsewhere, and the values of its
    metadata."""
    if external := organization.get("external_id"):
        yield str(external)
    for value in (organization.get("metadata") or {}).values():
        yield str(value)


def typed_words(text: str) -> list[str]:
    """The words that were typed, each of which the words of a hit begin with. Whatever is inside of
    one is literal."""
    typed = (_trimmed(word) for word in fold(text).split())
    return list(dict.fromkeys(word[:LONGEST_WORD] for word in typed if word))


def parts_of(word: str) -> list[str]:
    """The words within one that was typed with other characters between letters."""
    return _LETTERS.findall(word) or [word]


def _of_text(text: str) -> Iterator[str]:
    folded = fold(text)
    whole = [_trimmed(word) for word in folded.split()]
    yield from whole
    yield from _LETTERS.findall(folded)
    yield from _LETTERS.findall(_APOSTROPHES.sub("", folded))
    if _NON_JOINER in text:  # a space to some
        yield from _LETTERS.findall(fold(text.replace(_NON_JOINER, " ")))


def _trimmed(word: str) -> str:
    """Without what stands around its letters; all of a word that has none, as of old emoji."""
    return _EDGES.sub("", word) or word


def _tails(text: str) -> Iterator[str]:
    """The rest of each word from each letter on whose script has no spaces."""
    for word in _LETTERS.findall(fold(text)):
        for letter in _UNSPACED.finditer(word, 1):
            yield word[letter.start() :]


def _of_address(address: str) -> Iterator[str]:
    folded = fold(address)
    yield folded
    yield from _of_domain(folded.rpartition("@")[2])


def _of_domain(domain: str) -> Iterator[str]:
    """The domain, and those above it but the topmost."""
    while "." in domain:
        yield domain
        domain = domain.partition(".")[2]
