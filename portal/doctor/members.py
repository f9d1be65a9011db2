"""Memberships, sessions and owners: whether their other half exists.

An account without a membership is no damage: its organizations may all have been purged.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal.accounts.documents import Account, Session
from portal.database import transaction
from portal.doctor.findings import Finding, Kind, Row, found_by
from portal.organizations.documents import ACTIVE, OWNER, TRASHED, Membership, Organization
from portal.paging import pages_of

DEAD_MEMBERSHIP = Kind(
    "dead_membership",
    "Memberships of accounts or organizations that don't exist",
    "--repair deletes them.",
)
DEAD_SESSION = Kind(
    "dead_session",
    "Sessions of accounts that don't exist",
    "--repair deletes them.",
)
OWNERLESS = Kind(
    "ownerless_organization",
    "Organizations without an owner",
    "Nobody can delete or restore them. Make one of the members an owner in the database.",
)

_LIVING = {"$in": [ACTIVE, TRASHED]}


def find_dead_memberships() -> Iterator[Finding]:
    """Memberships whose account or organization is gone."""
    for page in pages_of(Membership, {}, "organization", "account"):
        for row in _dead_memberships(page):
            membership = row["_id"]
            if reason := transaction(partial(_why_membership_is_dead, membership)):
                repair = partial(_delete, Membership, membership, _why_membership_is_dead)
                yield Finding(DEAD_MEMBERSHIP, str(membership), reason, row["organization"], repair)


def find_dead_sessions() -> Iterator[Finding]:
    """Sessions whose account is gone."""
    for page in pages_of(Session, {}, "account"):
        accounts = _accounts({row["account"] for row in page})
        for row in page:
            session = row["_id"]
            if row["account"] not in accounts and (
                reason := transaction(partial(_why_session_is_dead, session))
            ):
                repair = partial(_delete, Session, session, _why_session_is_dead)
                # What is stored of its id is a hash, so it may be told.
                yield Finding(DEAD_SESSION, session, reason, repair=repair)


def find_ownerless() -> Iterator[Finding]:
    """Active and trashed organizations that no existing account owns."""
    for page in pages_of(Organization, {"state": _LIVING}):
        owned = _owned({row["_id"] for row in page})
        for row in page:
            if row["_id"] not in owned:
                yield from _ownerless(row["_id"])


def _dead_memberships(page: list[Row]) -> Iterator[Row]:
    accounts = _accounts({row["account"] for row in page})
    wanted = {row["organization"] for row in page}
    rows = found_by(Organization, "_id", wanted, "state")
    organizations = {row["_id"] for row in rows if row["state"] in _LIVING["$in"]}
    for row in page:
        if row["account"] not in accounts or row["organization"] not in organizations:
            yield row


def _why_membership_is_dead(membership: ObjectId) -> str | None:
    row = Membership._get_collection().find_one({"_id": membership})
    if row is None:
        return None
    if not Account.objects(id=row["account"], closed_at=None).first():
        return f"account {row['account']} does not exist, or is closed"
    if not Organization.objects(id=row["organization"], state__in=_LIVING["$in"]).first():
        return f"organization {row['organization']} does not exist"
    return None


def _why_session_is_dead(session: str) -> str | None:
    row = Session._get_collection().find_one({"_id": session})
    if row is None or Account.objects(id=row["account"], closed_at=None).first():
        return None
    return f"account {row['account']} does not exist, or is closed"


def _delete(document: type[Document], id: Any, why: Callable[[Any], str | None]) -> str | None:  # noqa: A002
    # What is gone never comes back under its id, so it is still so when this is committed.
    def body() -> str | None:
        return "deleted" if why(id) and document.objects(id=id).delete() else None

    return transaction(body)


def _ownerless(organization: ObjectId) -> Iterator[Finding]:
    def body() -> Row | None:
        row = Organization._get_collection().find_one(
            {"_id": organization, "state": _LIVING}, {"name": 1, "slug": 1}
        )
        return None if row is None or _owned({organization}) else row

    if row := transaction(body):
        yield Finding(OWNERLESS, row["slug"], row["name"], organization)


def _owned(organizations: set[ObjectId]) -> set[ObjectId]:
    """Which of the organizations an existing account owns."""
    rows = found_by(Membership, "organization", organizations, "organization", "account", "role")
    owners = [row for row in rows if row["role"] == OWNER]
    accounts = _accounts({row["account"] for row in owners})
    return {row["organization"] for row in owners if row["account"] in accounts}


def _accounts(ids: set[ObjectId]) -> set[ObjectId]:
    """Which of these accounts there are, closed ones not among them."""
    rows = found_by(Account, "_id", ids, "closed_at")
    return {row["_id"] for row in rows if not row.get("closed_at")}
