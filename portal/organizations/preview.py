"""What a name would become, before it is chosen."""

from dataclasses import dataclass

from bson import ObjectId

from portal.errors import InvalidName
from portal.organizations.documents import Organization
from portal.organizations.names import clean_name, collection_of, slug_of
from portal.organizations.slugs import is_free


@dataclass(frozen=True, slots=True)
class Preview:
    """The slug and collection of a name, and whether they are free; or why it can't be a name."""

    slug: str = ""
    collection: str = ""
    free: bool = False
    reason: str = ""


def preview_of(
    name: str, account: ObjectId | None = None, renamed: Organization | None = None
) -> Preview:
    """What ``name`` would become if ``account`` gave it to a new organization, or to the one to
    be ``renamed``."""
    try:
        slug = slug_of(clean_name(name))
    except InvalidName as error:
        return Preview(reason=error.reason if name.strip() else "")
    own = renamed is not None and slug == renamed.slug
    free = own or is_free(slug, account)
    return Preview(slug, collection_of(slug), free)
