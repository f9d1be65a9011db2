"""What an organization may be called, and what its name becomes."""

import re
from dataclasses import dataclass

from slugify import slugify

from portal.display_names import InvalidName, clean_words
from portal.errors import NotFound
from portal.organizations.lifecycle.errors import NameNotConfirmed

LONGEST_SLUG = 63

# Words that routes use where a slug could stand; a test derives them from the URL map. The last
# four are those of the JSON API's contract.
RESERVED = frozenset({"new", "preview", "create", "update", "delete", "trash"})

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class OrganizationName:
    """A display name, and the slug that it leads to: made once, of what was typed."""

    shown: str
    slug: str

    @property
    def collection(self) -> str:
        """The tenant collection's name: one for each slug, since slugs have no underscore."""
        return "org_" + self.slug.replace("-", "_")


def parse_name(text: str) -> OrganizationName:
    """Read an organization's name as typed.

    Raises InvalidName like ``clean_words``, and for what leads to no slug or to a reserved one.
    """
    shown = clean_words(text)
    slug = slug_of(shown)
    if not slug:
        raise InvalidName("Choose a name with letters or digits that an address can be made of")
    if slug in RESERVED:
        raise InvalidName(f"Choose another name: the portal uses “{slug}” itself")
    return OrganizationName(shown, slug)


def slug_of(name: str) -> str:
    """The slug that a cleaned name leads to, at most 63 characters, cut at a hyphen; may be empty.

    Stored with the organization and never recomputed: the transliteration may change with
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
        return parse_name(text).slug
    except InvalidName as error:
        raise NotFound(text) from error


def check_confirmed(typed: str | None, name: str) -> None:
    """Raise NameNotConfirmed unless ``typed`` is ``name``; a program confirms by asking."""
    if typed is None:
        return
    try:
        confirmed = parse_name(typed).shown == name
    except InvalidName:
        confirmed = False
    if not confirmed:
        raise NameNotConfirmed(name)
