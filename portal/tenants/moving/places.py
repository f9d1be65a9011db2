"""Reading an organization's documents at one place, in the order of their ``_id``s.

Ids and documents are BSON that is never decoded, since some of it can't be: an id is ``{"": _id}``,
a document as the organization gave it, wherever it is kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from bson import ObjectId, Timestamp
from pymongo.database import Database


@dataclass(slots=True, eq=False)
class Place:
    """A place of an organization's documents.

    ``uuid`` is the collection's, a pool's for one that shares it; ``name`` is where it is looked
    for first, and follows its renames. ``database`` and ``internal``, the database for the portal's
    own data beside it, are of one client, and acknowledge by a majority.
    """

    organization: ObjectId
    strategy: str
    database: Database
    internal: Database
    uuid: UUID
    name: str
    pool: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in the order of their ``_id``s, each with its id."""

    ids: list[bytes]
    documents: list[bytes]


def read_page(
    place: Place,
    after: bytes | None,
    size: int,
    *,
    before: bytes | None = None,
    since: Timestamp | None = None,
    at: Timestamp | None = None,
) -> Page:
    """The first ``size`` documents with an id behind ``after``, and in front of ``before``; fewer
    where they are more than 16 MB. Without any, there are none.

    As a majority has them: at any time, or not before ``since``, or at ``at``, which are times of
    the place's cluster. Raises PlaceGone.
    """
    raise NotImplementedError


def read_ids(
    place: Place,
    ids: Iterable[bytes],
    *,
    since: Timestamp | None = None,
    at: Timestamp | None = None,
) -> dict[bytes, bytes]:
    """Those documents of these ids that there are, by id, which may be another one that is equal to
    the one asked for, such as 1.0 to 1. Otherwise like ``read_page``; of any size."""
    raise NotImplementedError


def time_of(place: Place) -> Timestamp:
    """The present time of the place's cluster: what was acknowledged there before isn't later."""
    raise NotImplementedError
