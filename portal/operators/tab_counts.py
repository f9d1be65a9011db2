"""Numbers beside the tabs of an organization's pages."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bson import ObjectId

from portal.documents import MasterDocument
from portal.documents.audit import AuditEvent
from portal.documents.jobs import Job
from portal.documents.memberships import Membership
from portal.documents.moves import Move
from portal.documents.organization_notes import OrganizationNote

MOST_COUNTED = 1000
"""The number beyond which is counted no more."""

UNDONE = (
    "organization.rename_failed",
    "organization.restore_failed",
    "organization.suspension_failed",
    "organization.suspension_not_lifted",
    "organization.trash_failed",
)
"""The actions of the trail by which lifecycle operations that were undone ended."""

ENDED = (
    *UNDONE,
    "organization.collection_adopted",
    "organization.created",
    "organization.purged",
    "organization.renamed",
    "organization.restored",
    "organization.suspended",
    "organization.suspension_lifted",
    "organization.trashed",
)
"""The actions of the trail by which lifecycle operations ended, but for moves, which have records
of their own."""


@dataclass
class TabCounts:
    """The numbers of an organization in words, empty for none; one read when the first is asked
    for."""

    organization: ObjectId

    @property
    def members(self) -> str:
        """The number of members."""
        return self._words("members")

    @property
    def operations(self) -> str:
        """The number of operations that ended, of moves and of jobs."""
        return self._words("operations")

    @property
    def notes(self) -> str:
        """The number of operators' notes."""
        return self._words("notes")

    def _words(self, tab: str) -> str:
        number = self._counted.get(tab, 0)
        if number > MOST_COUNTED:
            return f"{MOST_COUNTED:,}+"
        return f"{number:,}" if number else ""

    @cached_property
    def _counted(self) -> dict[str, int]:
        own = {"organization": self.organization}
        ended = {"chain": self.organization, "action": {"$in": list(ENDED)}}
        counted = [
            *_rows("members", own),
            _union(Move, "operations", own),
            _union(Job, "operations", own),
            _union(AuditEvent, "operations", ended),
            _union(OrganizationNote, "notes", own),
            {"$group": {"_id": "$tab", "number": {"$sum": 1}}},
        ]
        return {row["_id"]: row["number"] for row in Membership.objects.aggregate(counted)}


def _rows(tab: str, match: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"$match": match}, {"$limit": MOST_COUNTED + 1}, {"$project": {"_id": 0, "tab": tab}}]


def _union(kind: type[MasterDocument], tab: str, match: dict[str, Any]) -> dict[str, Any]:
    name = kind._get_collection_name()
    return {"$unionWith": {"coll": name, "pipeline": _rows(tab, match)}}
