"""Notes that operators keep about an organization, unseen by its members.

The organization's trail says that one was kept or removed, and by whom, not what it says.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.paging import Page, join, keyset_stages, page_from
from portal.database.transactions import transactional
from portal.display_names import is_visible
from portal.documents.accounts import Account
from portal.documents.api_keys import OperatorKey
from portal.documents.organization_notes import OrganizationNote
from portal.documents.organizations import Organization, OrganizationState
from portal.errors import NotFound
from portal.operators.organizations.errors import InvalidNote, NoteNotFound
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

LONGEST, NOTES_PER_PAGE = 4000, 25
NOTE = "note"


@dataclass(frozen=True, slots=True)
class ListedNote:
    """A note as shown; ``author`` is an address, or the name of an operators' key, and ``None``
    where it was a command or the account is closed."""

    id: ObjectId
    text: str
    author: str | None
    at: datetime


@transactional
def add_note(organization_id: ObjectId, typed: str, context: RequestContext) -> OrganizationNote:
    """Keep a note about an organization that isn't purged. Raises InvalidNote, NotFound,
    DuplicateRequest."""
    text = parse_text(typed)
    note = OrganizationNote(
        id=ObjectId(),
        organization=organization_id,
        text=text,
        author=context.actor.id,
        at=clock.now(),
    )
    claim_key(context, organization_id, NOTE, note.id)
    organization = Organization.objects(
        id=organization_id, state__ne=OrganizationState.PURGED
    ).first()
    if organization is None:
        raise NotFound(str(organization_id))
    note.insert()
    record(organization, "organization.note_added", context.origin)
    return note


@transactional
def remove_note(organization_id: ObjectId, note_id: ObjectId, context: RequestContext) -> None:
    """Remove a note. Raises NoteNotFound, DuplicateRequest."""
    claim_key(context, organization_id, NOTE, note_id)
    organization = Organization.objects(id=organization_id).first()
    found = OrganizationNote.objects(id=note_id, organization=organization_id)
    if organization is None or not found.delete():
        raise NoteNotFound
    record(organization, "organization.note_removed", context.origin)


def parse_text(typed: str) -> str:
    """The text of a note, whose lines stay. Raises InvalidNote."""
    text = "\n".join(line.rstrip() for line in typed.strip().splitlines())
    visible = all(map(is_visible, re.split(r"[\n\t]", text)))
    if not 0 < len(text) <= LONGEST or not visible:
        raise InvalidNote(LONGEST)
    return text


def notes_of(
    organization_id: ObjectId,
    *,
    before: ObjectId | None = None,
    after: ObjectId | None = None,
    size: int = NOTES_PER_PAGE,
) -> Page:
    """A page of an organization's notes as ``ListedNote``s, newest first."""
    keys: dict[str, Any] = {"size": size, "before": before, "after": after}
    stages = keyset_stages("_id", **keys, descending=True)
    page = page_from(_read({"organization": organization_id}, stages), key="_id", **keys)
    return Page([_listed(row) for row in page.rows], page.before, page.after)


def find_note(organization_id: ObjectId, note_id: ObjectId) -> ListedNote:
    """One note. Raises NoteNotFound."""
    found = _read({"organization": organization_id, "_id": note_id}, [])
    if not found:
        raise NoteNotFound
    return _listed(found[0])


def _read(match: dict[str, Any], stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    email, name = [{"$project": {"email": 1}}], [{"$project": {"name": 1}}]
    rows = OrganizationNote._get_collection().aggregate(
        [
            {"$match": match},
            *stages,
            join(Account, "author", "_id", "person", email),
            join(OperatorKey, "author", "_id", "key", name),
        ]
    )
    return list(rows)


def _listed(row: dict[str, Any]) -> ListedNote:
    person = next((found.get("email") for found in row["person"]), None)
    key = next((found.get("name") for found in row["key"]), None)
    return ListedNote(row["_id"], row["text"], person or key, row["at"])
