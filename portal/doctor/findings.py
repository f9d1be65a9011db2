"""What the doctor finds, and how it looks without holding anybody up.

The portal goes on meanwhile, so what looks wrong may be the middle of something. Each check
reads page after page, cheaply, and looks at whatever seems wrong once more by itself: in one
transaction where it is about master data alone, which shows it as it was at one moment; else
with the organization read before and after, unchanged. A repair decides that again, in the
transaction that mends it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from mongoengine import Document

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of damage: its name for programs, and for people a title and what to do."""

    name: str
    title: str
    advice: str
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: what it is about, and what is wrong with it.

    ``repair`` mends it if it is still so and says what it did; nothing where there was nothing
    to mend any more. Raises NotMended, PortalError or CollectionError, with nothing changed.
    """

    kind: Kind
    subject: str
    words: str
    organization: ObjectId | None = None
    repair: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)


class NotMended(Exception):
    """Why a repair could not mend what it was for."""


def found_by(document: type[Document], name: str, values: set[Any], *fields: str) -> list[Row]:
    """The documents whose field ``name`` has one of the ``values``, with these fields alone."""
    projection = dict.fromkeys(("_id", *fields), 1)
    return list(document._get_collection().find({name: {"$in": list(values)}}, projection))
