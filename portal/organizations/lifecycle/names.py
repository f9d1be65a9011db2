"""Names of organizations: their rules, slugs and collections."""

import re
from dataclasses import dataclass

import regex
from slugify import slugify

from portal.display_names import InvalidName, clean_words
from portal.documents.organizations import SLUG, Organization
from portal.organizations.lifecycle.errors import (
    NO_SLUG,
    InvalidSlug,
    NameNotConfirmed,
)

LONGEST_SLUG = 63

# Words in routes where a slug could stand; a test derives them from the URL map. The last five are
# those of the JSON API's contract.
RESERVED = frozenset({"new", "preview", "create", "update", "delete", "trash", "by-id"})

_ID = re.compile(r"[0-9a-f]{24}")
# The library transcribes them to words that nobody typed (° to deg), or to nothing between two
# words (・).
_SEPARATORS = regex.compile(r"(?![\x00-\x7f’])[\p{P}\p{S}]")


@dataclass(frozen=True, slots=True)
class OrganizationName:
    """A display name and its slug, both parsed once from the typed text."""

    shown: str
    slug: str

    @property
    def collection(self) -> str:
        """The tenant collection's name, unique per slug, since slugs have no underscore."""
        return "org_" + self.slug.replace("-", "_")


def parse_name(text: str, slug: str | None = None) -> OrganizationName:
    """Parse an organization's name as typed, and its ``slug`` where one was typed, too.

    Raises InvalidName like ``clean_words``, and for a name that no slug can be made of; InvalidSlug
    for a slug that breaks a rule.
    """
    shown = clean_words(text)
    if slug:
        return OrganizationName(shown, parse_slug(slug))
    made = slug_of(shown)
    if not made:
        raise InvalidName(NO_SLUG)
    try:
        return OrganizationName(shown, parse_slug(made))
    except InvalidSlug as error:
        raise InvalidName(error.reason) from error


def parse_slug(text: str) -> str:
    """Parse a slug as typed. Raises InvalidSlug."""
    slug = text.strip().lower()
    if len(slug) > LONGEST_SLUG:
        raise InvalidSlug.too_long(LONGEST_SLUG)
    if not SLUG.fullmatch(slug):
        raise InvalidSlug.other_characters()
    if slug in RESERVED:
        raise InvalidSlug.reserved(slug)
    if _ID.fullmatch(slug):
        raise InvalidSlug.like_an_id()
    return slug


def parse_name_for(
    organization: Organization, text: str | None, slug: str | None = None
) -> OrganizationName:
    """Parse another name for an organization, like ``parse_name``; without one, its own.

    Without a typed ``slug`` it keeps its own for as long as the name is transcribed alike.
    """
    if text is None or text.strip() == organization.name:
        return OrganizationName(organization.name, parse_slug(slug) if slug else organization.slug)
    shown = clean_words(text)
    kept = slug_of(shown) == slug_of(organization.name) and not slug
    return OrganizationName(shown, organization.slug) if kept else parse_name(shown, slug)


def slug_of(name: str) -> str:
    """The slug of a cleaned name, at most 63 characters, cut at a hyphen; may be empty.

    Stored with the organization and never recomputed: the transliteration may change with
    a new version of the library.
    """
    return slugify(
        _SEPARATORS.sub(" ", name),
        max_length=LONGEST_SLUG,
        word_boundary=True,
        save_order=True,
        entities=False,
        decimal=False,
        hexadecimal=False,
        backend="text-unidecode",
    )


def check_confirmed(typed: str | None, name: str) -> None:
    """Raise NameNotConfirmed unless ``typed`` is ``name``; ``None``, from a program, confirms."""
    if typed is None:
        return
    try:
        confirmed = typed.strip() == name or clean_words(typed) == name
    except InvalidName:
        confirmed = False
    if not confirmed:
        raise NameNotConfirmed(name)
