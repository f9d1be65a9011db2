"""What an organization may be called, and what its name becomes."""

import re

from slugify import slugify

from portal.display_names import InvalidName, clean_words
from portal.errors import NotFound
from portal.organizations.lifecycle.errors import NameNotConfirmed

LONGEST_SLUG = 63

# Words that routes use where a slug could stand; a test derives them from the URL map. The last
# four are those of the JSON API's contract.
RESERVED = frozenset({"new", "preview", "create", "update", "delete", "trash"})

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


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
