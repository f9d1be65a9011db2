"""Preview of a name: its slug and collection."""

from dataclasses import dataclass

from bson import ObjectId

from portal.display_names import InvalidName
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.names import parse_name
from portal.organizations.lifecycle.slugs import is_free
from portal.web import rate_limits


@dataclass(frozen=True, slots=True)
class Preview:
    """The slug and collection of a name, and whether they are free; or the ``reason`` why it is
    invalid."""

    slug: str = ""
    collection: str = ""
    free: bool = False
    reason: str = ""


def preview_of(
    name: str,
    network: str,
    account: ObjectId | None = None,
    renamed: Organization | None = None,
) -> Preview:
    """Preview ``name`` for a new organization of ``account``, or for the one to be ``renamed``.
    Raises TooManyAttempts after too many previews from the ``network``."""
    try:
        parsed = parse_name(name)
    except InvalidName as error:
        return Preview(reason=error.reason if name.strip() else "")
    if renamed is not None and parsed.slug == renamed.slug:
        return Preview(parsed.slug, parsed.collection, free=True)
    rate_limits.count_attempt(rate_limits.PREVIEW, network)
    return Preview(parsed.slug, parsed.collection, is_free(parsed.slug, account))
