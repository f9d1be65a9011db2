"""Names of organizations: their rules, slugs and collections."""

import re
from dataclasses import dataclass

from slugify import slugify

from portal.display_names import InvalidName, clean_words
from portal.errors import NotFound
from portal.organizations.lifecycle.errors import NO_SLUG, RESERVED_SLUG, NameNotConfirmed

LONGEST_SLUG = 63

# Words in routes where a slug could stand; a test derives them from the URL map. The last four are
# those of the JSON API's contract.
RESERVED = frozenset({"new", "preview", "create", "update", "delete", "trash"})

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class OrganizationName:
    """A display name and its slug, both parsed once from the typed text."""

    shown: str
    slug: str

    @property
    def collection(self) -> str:
        """The tenant collection's name, unique per slug, since slugs have no underscore."""
        return "org_" + self.slug.replace("-", "_")


def parse_name(text: str) -> OrganizationName:
    """Parse an organization's name as typed.

    Raises InvalidName like ``clean_words``, and for a name whose slug is empty or reserved.
    """
    shown = clean_words(text)
    slug = slug_of(shown)
    if not slug:
        raise InvalidName(NO_SLUG)
    if slug in RESERVED:
        raise InvalidName(RESERVED_SLUG.format(slug=slug))
    return OrganizationName(shown, slug)


def slug_of(name: str) -> str:
    """The slug of a cleaned name, at most 63 characters, cut at a hyphen; may be empty.

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
    """The slug that ``text`` in a URL means: itself, or that of a name.

    Raises NotFound where no organization can have it.
    """
    if SLUG.fullmatch(text):
        return text
    try:
        return parse_name(text).slug
    except InvalidName as error:
        raise NotFound(text) from error


def check_confirmed(typed: str | None, name: str) -> None:
    """Raise NameNotConfirmed unless ``typed`` is ``name``; ``None``, from a program, confirms."""
    if typed is None:
        return
    try:
        confirmed = parse_name(typed).shown == name
    except InvalidName:
        confirmed = False
    if not confirmed:
        raise NameNotConfirmed(name)
