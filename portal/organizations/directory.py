"""What pages show of organizations: lists and details, each by one read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal.accounts.documents import Account
from portal.audit.trail import EventLine, latest_events
from portal.errors import NotFound
from portal.organizations.documents import (
    ACTIVE,
    OLD,
    OWNER,
    TRASHED,
    Membership,
    Organization,
    Slug,
)
from portal.paging import Page, page_from

ROWS_PER_PAGE = 25
MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class ListedOrganization:
    """A row of the list of organizations."""

    name: str
    slug: str
    role: str
    running: str | None
    members: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class TrashedOrganization:
    """A row of the trash."""

    name: str
    slug: str
    trashed_at: datetime
    trashed_by: str | None
    purge_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A member as shown."""

    account_id: ObjectId
    email: str
    role: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Details:
    """What an organization's page shows beside its figures."""

    member_count: int
    owners: list[Member]
    events: list[EventLine]
    created_by: str | None
    old_slugs: list[str]


def organizations_of(
    account_id: ObjectId, *, before: str | None = None, after: str | None = None
) -> Page:
    """A page of the account's organizations by slug, as ``ListedOrganization``s."""
    rows = list(
        Membership.objects(account=account_id).aggregate(_listing(before=before, after=after))
    )
    page = page_from(rows, key="slug", size=ROWS_PER_PAGE, before=before, after=after)
    return Page([ListedOrganization(**row) for row in page.rows], page.before, page.after)


def memberships_of(account_id: ObjectId) -> list[dict[str, str]]:
    """Name, slug and role of all of the account's organizations, by slug."""
    found = Membership.objects(account=account_id).aggregate(
        [
            _join(Organization, "organization", [{"$match": {"state": ACTIVE}}]),
            {"$unwind": "$found"},
            {"$sort": {"found.slug": 1}},
            {"$project": {"_id": 0, "name": "$found.name", "slug": "$found.slug", "role": 1}},
        ]
    )
    return list(found)


def trash_of(account_id: ObjectId) -> list[TrashedOrganization]:
    """The trashed organizations that the account owned, newest first."""
    found: Iterator[dict[str, Any]] = Membership.objects(account=account_id, role=OWNER).aggregate(
        [
            _join(Organization, "organization", [{"$match": {"state": TRASHED}}]),
            {"$unwind": "$found"},
            {"$replaceWith": "$found"},
            {"$sort": {"trashed_at": -1}},
            _join(Account, "trashed_by", [{"$project": {"email": 1}}]),
            {
                "$project": {
                    "_id": 0,
                    "name": 1,
                    "slug": 1,
                    "trashed_at": 1,
                    "purge_at": 1,
                    "trashed_by": {"$ifNull": [{"$first": "$found.email"}, None]},
                }
            },
        ]
    )
    return [TrashedOrganization(**row) for row in found]


def details_of(organization: Organization) -> Details:
    """Members, owners, latest events and old slugs of the organization; one read.

    Raises NotFound if it is gone since it was read.
    """
    found = next(Organization.objects(id=organization.id).aggregate(_details()), None)
    if found is None:  # its creation was turned back a moment ago
        raise NotFound(organization.slug)
    return Details(
        member_count=next((count["n"] for count in found["member_count"]), 0),
        owners=[
            Member(row["account"], row["email"], row["role"], row["since"])
            for row in found["owners"]
        ],
        events=[EventLine.of(event) for event in found["events"]],
        created_by=next((account["email"] for account in found["creator"]), None),
        old_slugs=[slug["_id"] for slug in found["old_slugs"]],
    )


def _listing(*, before: str | None, after: str | None) -> list[dict[str, Any]]:
    bound = {"$lt": before} if before is not None else {"$gt": after} if after is not None else {}
    active = {"$match": {"state": ACTIVE, **({"slug": bound} if bound else {})}}
    return [
        _join(Organization, "organization", [active]),
        {"$unwind": "$found"},
        {"$sort": {"found.slug": -1 if before is not None else 1}},
        {"$limit": ROWS_PER_PAGE + 1},
        {
            "$lookup": {
                "from": Membership._get_collection_name(),
                "localField": "organization",
                "foreignField": "organization",
                "as": "members",
                "pipeline": [{"$count": "n"}],
            }
        },
        {
            "$project": {
                "_id": 0,
                "name": "$found.name",
                "slug": "$found.slug",
                "role": 1,
                "running": {"$ifNull": ["$found.operation.kind", None]},
                "members": {"$first": "$members.n"},
                "changed_at": "$found.audit_head.at",
            }
        },
    ]


def _details() -> list[dict[str, Any]]:
    members = {
        "from": Membership._get_collection_name(),
        "localField": "_id",
        "foreignField": "organization",
    }
    with_email = [
        _join(Account, "account", [{"$project": {"email": 1}}]),
        {"$set": {"email": {"$first": "$found.email"}}},
        {"$unset": "found"},
    ]
    owners = [{"$match": {"role": OWNER}}, {"$sort": {"since": 1}}, {"$limit": MOST_SHOWN}]
    slugs = {
        "from": Slug._get_collection_name(),
        "localField": "_id",
        "foreignField": "organization",
    }
    return [
        {"$lookup": {**members, "as": "member_count", "pipeline": [{"$count": "n"}]}},
        {"$lookup": {**members, "as": "owners", "pipeline": owners + with_email}},
        {"$lookup": {**slugs, "as": "old_slugs", "pipeline": [{"$match": {"state": OLD}}]}},
        {"$lookup": {**latest_events(MOST_SHOWN), "localField": "_id", "as": "events"}},
        {
            "$lookup": {
                "from": Account._get_collection_name(),
                "localField": "created_by",
                "foreignField": "_id",
                "as": "creator",
                "pipeline": [{"$project": {"email": 1}}],
            }
        },
        {"$project": {"member_count": 1, "owners": 1, "old_slugs": 1, "events": 1, "creator": 1}},
    ]


def _join(document: type[Document], field: str, pipeline: list[dict[str, Any]]) -> dict[str, Any]:
    """A ``$lookup`` of the document whose id stands in ``field``, as the array ``found``."""
    return {
        "$lookup": {
            "from": document._get_collection_name(),
            "localField": field,
            "foreignField": "_id",
            "as": "found",
            "pipeline": pipeline,
        }
    }
