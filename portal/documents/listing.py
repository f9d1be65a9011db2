"""The listing: what lists of organizations and their search read, fed from master data."""

from enum import StrEnum
from typing import Any

from mongoengine import fields

from portal.documents import MasterDocument, MasterPart, index_where_set

LISTING = "organizations"
"""The id of the only ``ListingFeed``."""


class ListedState(StrEnum):
    """The states by which organizations are listed."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    TRASHED = "trashed"
    PURGED = "purged"


class SizeClass(StrEnum):
    """The sizes by which organizations are listed: the bytes of their documents."""

    TINY = "tiny"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class UseClass(StrEnum):
    """The times of their last use by which organizations are listed."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    OLDER = "older"


CLASSES = ("state", "size", "use", "strategy")
"""The closed classes. Each index of the listing begins with them, and each query names all values
of each: the server then merges one run for each combination, at most 200 of them."""

OPEN_CLASSES = ("plan", "region", "cluster")
"""The classes with any number of values: each has indexes that begin with it, by equality."""

SORTS = ("by_name", "by_created", "by_documents", "by_bytes", "by_used")
"""The fields by which organizations are sorted."""


class SortKey(MasterPart):
    """A value to sort by, and the organization that has it: unique, so that one comparison finds
    the next page. Compared by the server field by field, in this order."""

    v = fields.DynamicField()
    o = fields.ObjectIdField()


def _indexes() -> list[list[str]]:
    return [
        [*first, *CLASSES, sort]
        for first in ([], *([name] for name in OPEN_CLASSES))
        for sort in SORTS
    ]


class ListedOrganization(MasterDocument):
    """An organization as lists show and find it; its id is the organization's.

    It follows the truth by a second or two, and is never decided by. One that is purged stays.
    Each write sets ``fed`` anew, so that of two that read the truth one begins again.
    """

    name = fields.StringField(required=True)
    slug = fields.StringField(required=True)
    state = fields.StringField(required=True)
    size = fields.StringField(required=True)
    use = fields.StringField(required=True)
    strategy = fields.StringField(required=True)
    plan = fields.StringField()
    region = fields.StringField()
    cluster = fields.StringField(required=True)
    created_at = fields.DateTimeField(required=True)
    documents = fields.IntField()
    bytes = fields.IntField()
    used_at = fields.DateTimeField(required=True)
    external_id = fields.StringField()
    # Addresses of its first owners.
    owners = fields.ListField(fields.StringField())
    words = fields.ListField(fields.StringField())
    by_name = fields.EmbeddedDocumentField(SortKey)
    by_created = fields.EmbeddedDocumentField(SortKey)
    by_documents = fields.EmbeddedDocumentField(SortKey)
    by_bytes = fields.EmbeddedDocumentField(SortKey)
    by_used = fields.EmbeddedDocumentField(SortKey)
    fed = fields.ObjectIdField(required=True)

    meta: dict[str, Any] = {
        "collection": "listed_organizations",
        "indexes": [*_indexes(), ["use", "used_at"]],
    }


class WordKey(MasterPart):
    """A word and the organization that is found by it."""

    w = fields.StringField()
    o = fields.ObjectIdField()


class ListedWord(MasterDocument):
    """A word by which an organization is found: all of it stands in the id, so that its one index
    finds the words that begin with what was typed."""

    id = fields.EmbeddedDocumentField(WordKey, primary_key=True)

    meta = {"collection": "listed_words"}


class ListingFeed(MasterDocument):
    """The feeding of the listing: who does it, and how far it was filled from nothing.

    ``due_at`` and ``attempt`` are a lease. The listing is complete once it has a ``built_at``;
    until then it has the organizations up to ``built_to``. ``format`` is that of its rows. The last
    pass over all that was marked that came to its end began at ``passed_at``.
    """

    id = fields.StringField(primary_key=True, default=LISTING)
    due_at = fields.DateTimeField()
    attempt = fields.IntField(required=True, default=0)
    last_error = fields.StringField()
    format = fields.IntField()
    built_to = fields.ObjectIdField()
    built_at = fields.DateTimeField()
    aged_at = fields.DateTimeField()
    passed_at = fields.DateTimeField()

    meta = {"collection": "listing_feed", "indexes": [index_where_set("due_at")]}
