"""The operators of the installation, and their roles."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal.database.paging import join
from portal.documents.accounts import Account
from portal.documents.sessions import Session
from portal.permissions import OPERATOR_ROLES


@dataclass(frozen=True, slots=True)
class ListedOperator:
    """An operator as shown to others. ``seen_at`` is when a session was last used."""

    account_id: ObjectId
    email: str
    name: str
    role: str
    has_second_factor: bool
    seen_at: datetime | None


def list_operators() -> list[ListedOperator]:
    """Everybody with a role in the console, by address."""
    last_seen = [{"$group": {"_id": None, "at": {"$max": "$seen_at"}}}]
    found = Account._get_collection().aggregate(
        [
            {"$match": {"operator_role": {"$exists": True, "$in": list(OPERATOR_ROLES)}}},
            {"$sort": {"email_key": 1}},
            join(Session, "_id", "account", "sessions", last_seen),
        ]
    )
    return [_listed(row) for row in found]


def _listed(row: dict[str, Any]) -> ListedOperator:
    return ListedOperator(
        row["_id"],
        row["email"],
        row.get("name") or "",
        row["operator_role"],
        row.get("has_second_factor", False),
        next((seen["at"] for seen in row["sessions"]), None),
    )
