"""What a name would become, before it is chosen."""

from dataclasses import dataclass

from bson import ObjectId

from portal.display_names import InvalidName
from portal.documents.organizations import Organization
from portal.organizations.lifecycle.names import parse_name
from portal.organizations.lifecycle.slugs import is_free
from portal.web import rate_limits


@dataclass(frozen=True, slots=True)
class Preview:
    """The slug and collection of a name, and whether they are free; or why it can't be a name."""

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
    """What ``name`` would become if ``account`` gave it to a new organization, or to the one to
    be ``renamed``. Raises TooManyAttempts where the ``network`` asks too often what is free."""
    try:
        parsed = parse_name(name)
    except InvalidName as error:
        return Preview(reason=error.reason if name.strip() else "")
    if renamed is not None and parsed.slug == renamed.slug:
        return Preview(parsed.slug, parsed.collection, free=True)
    rate_limits.count_try(rate_limits.PREVIEW, network)
    return Preview(parsed.slug, parsed.collection, is_free(parsed.slug, account))
