"""Findings of the doctor, made without blocking the running portal.

An apparent inconsistency may be a change in progress. So each check scans page after page, cheaply,
and re-reads each suspect by itself: master data in one transaction, which is a snapshot; anything
else with the organization read before and after, unchanged. A repair checks again, in its own
transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from mongoengine import Document

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of damage: its name for programs; for people a title and advice. An ``explicit`` one
    is repaired only where its own option asks for it."""

    name: str
    title: str
    advice: str
    harmless: bool = False
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Some damage: its subject, and what is wrong in ``words``.

    ``repair`` returns what it did; ``None`` where the damage is already gone. It raises
    NotRepaired, PortalError or CollectionError, with nothing changed.
    """

    kind: Kind
    subject: str
    words: str
    organization: ObjectId | None = None
    repair: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)


class NotRepaired(Exception):
    """A repair was impossible; the message says why."""


def found_by(document: type[Document], name: str, values: set[Any], *fields: str) -> list[Row]:
    """The documents whose field ``name`` has one of the ``values``, projected to ``fields``."""
    projection = dict.fromkeys(("_id", *fields), 1)
    return list(document._get_collection().find({name: {"$in": list(values)}}, projection))
