"""What pages show of organizations: lists and details, each by one read."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine import Document

from portal import clock
from portal.audit.trail import ListedEvent, latest_events
from portal.database.paging import Page, page_from, rows_by_key
from portal.display_names import InvalidName
from portal.documents.accounts import Account
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.slugs import Slug, SlugState
from portal.errors import NotFound
from portal.organizations.access.lookup import with_mfa_lockout
from portal.organizations.lifecycle.names import parse_name, slug_of
from portal.organizations.lifecycle.slugs import ownership
from portal.organizations.members.listing import Member

ROWS_PER_PAGE = 25
MOST_SHOWN = 6

# When it was trashed, to the millisecond, and its id: sorts by time, and no two are the same.
TRASH_KEY = re.compile(r"[0-9]{13}-[0-9a-f]{24}")
_AS_TRASH_KEY = {"$concat": [{"$toString": {"$toLong": "$trashed_at"}}, "-", {"$toString": "$_id"}]}


@dataclass(frozen=True, slots=True)
class ListedOrganization:
    """A row of the list of organizations. Of one that holds the account ``locked_out``, for want of
    a second factor, no more is shown than its name, its slug and the role."""

    name: str
    slug: str
    role: str
    running: str | None
    members: int
    changed_at: datetime
    locked_out: bool


@dataclass(frozen=True, slots=True)
class TrashedOrganization:
    """A row of the trash. Where the account is ``locked_out``, for want of a second factor, it can
    do nothing there."""

    id: ObjectId
    name: str
    slug: str
    trashed_at: datetime
    trashed_by: str | None
    purge_at: datetime
    running: str | None
    slug_taken: bool
    locked_out: bool


@dataclass(frozen=True, slots=True)
class Details:
    """What an organization's page shows beside its figures."""

    member_count: int
    owners: list[Member]
    events: list[ListedEvent]
    created_by: str | None
    old_slugs: list[str]


def organizations_of(
    account_id: ObjectId,
    *,
    prefix: str | None = None,
    before: str | None = None,
    after: str | None = None,
) -> Page:
    """A page of the account's organizations by slug, as ``ListedOrganization``s; one read.

    With a ``prefix`` those whose slug begins with it; with an empty one none, without a read.
    """
    if prefix == "":
        return Page([])
    keys: dict[str, Any] = {"size": ROWS_PER_PAGE, "before": before, "after": after}
    chosen = [*_beginning_with(prefix), *rows_by_key("slug", **keys)]
    rows = list(
        Membership.objects(account=account_id).aggregate(
            [*_from_memberships(OrganizationState.ACTIVE, chosen), *_as_listed(account_id)]
        )
    )
    page = page_from(rows, key="slug", **keys)
    return Page([ListedOrganization(**row) for row in page.rows], page.before, page.after)


def memberships_of(account_id: ObjectId) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Name, slug and role of all of the account's organizations, by slug: of those that let it in,
    and of those that hold it out for want of a second factor."""
    own = [{"$match": {"state": OrganizationState.ACTIVE}}, *with_mfa_lockout(account_id)]
    found = Membership.objects(account=account_id).aggregate(
        [
            _join(Organization, "organization", own),
            {"$unwind": "$found"},
            {"$sort": {"found.slug": 1}},
            {
                "$project": {
                    "_id": 0,
                    "name": "$found.name",
                    "slug": "$found.slug",
                    "role": 1,
                    "locked_out": "$found.locked_out",
                }
            },
        ]
    )
    rows = list(found)
    let_in = [row for row in rows if not row["locked_out"]]
    return let_in, [row for row in rows if row["locked_out"]]


def find_active(organization_id: ObjectId) -> Organization | None:
    """Name and slug of the organization of this id, unless it is in the trash or purged."""
    return (
        Organization.objects(id=organization_id, state=OrganizationState.ACTIVE)
        .only("name", "slug")
        .first()
    )


def prefix_of(text: str) -> str:
    """What the slugs of names that begin with the text begin with; empty where no name can.

    Any text will do: what no name may have leads to a slug as well.
    """
    try:
        return parse_name(text).slug  # which knows one apostrophe from another
    except InvalidName:
        return slug_of(text)


def trash_of(
    account_id: ObjectId,
    *,
    before: str | None = None,
    after: str | None = None,
    size: int | None = None,
) -> Page:
    """A page of the trashed organizations that the account owned, newest first, as
    ``TrashedOrganization``s; one read. ``before`` and ``after`` look like ``TRASH_KEY``."""
    keys: dict[str, Any] = {"size": size or ROWS_PER_PAGE, "before": before, "after": after}
    chosen = [{"$set": {"key": _AS_TRASH_KEY}}, *rows_by_key("key", **keys, descending=True)]
    rows = list(
        Membership.objects(account=account_id, role=Role.OWNER).aggregate(
            [*_from_memberships(OrganizationState.TRASHED, chosen), *_as_trashed(account_id)]
        )
    )
    page = page_from(rows, key="key", **keys)
    return Page([TrashedOrganization(**row["shown"]) for row in page.rows], page.before, page.after)


def details_of(organization: Organization) -> Details:
    """Members, owners, latest events and old slugs of the organization; one read.

    Raises NotFound if it is gone since it was read.
    """
    found = next(Organization._get_collection().aggregate(_details(organization.id)), None)
    if found is None:  # its creation was turned back a moment ago
        raise NotFound(organization.slug)
    return Details(
        member_count=next((count["n"] for count in found["member_count"]), 0),
        owners=[
            Member(row["account"], row["email"], row["role"], row["since"])
            for row in found["owners"]
        ],
        events=[ListedEvent.of(event) for event in found["events"]],
        created_by=next((account.get("email") for account in found["creator"]), None),
        old_slugs=[slug["_id"] for slug in found["old_slugs"]],
    )


def _beginning_with(prefix: str | None) -> list[dict[str, Any]]:
    # A range, since a regular expression would have to be escaped. "~" sorts behind all that a
    # slug is made of.
    return [{"$match": {"slug": {"$gte": prefix, "$lt": f"{prefix}~"}}}] if prefix else []


def _from_memberships(state: str, chosen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lead from an account's memberships to those of its organizations that ``chosen`` lets by.

    One ``$lookup`` for all of them at once: one for each takes seven times as long for 2,000.
    """
    return [
        {"$group": {"_id": None, "organizations": {"$push": "$organization"}}},
        _join(Organization, "organizations", [{"$match": {"state": state}}, *chosen]),
        {"$unwind": "$found"},
        {"$replaceWith": "$found"},
    ]


def _as_listed(account_id: ObjectId) -> list[dict[str, Any]]:
    members = {
        "from": Membership._get_collection_name(),
        "localField": "_id",
        "foreignField": "organization",
    }
    own = [{"$match": {"account": account_id}}]
    return [
        {"$lookup": {**members, "as": "own", "pipeline": own}},
        {"$lookup": {**members, "as": "members", "pipeline": [{"$count": "n"}]}},
        *with_mfa_lockout(account_id),
        {
            "$project": {
                "_id": 0,
                "name": 1,
                "slug": 1,
                "role": {"$first": "$own.role"},
                "running": {"$ifNull": ["$operation.kind", None]},
                "members": {"$first": "$members.n"},
                "changed_at": "$audit_head.at",
                "locked_out": 1,
            }
        },
    ]


def _as_trashed(account_id: ObjectId) -> list[dict[str, Any]]:
    shown = {
        "id": "$_id",
        "name": "$name",
        "slug": "$slug",
        "trashed_at": "$trashed_at",
        "purge_at": "$purge_at",
        "trashed_by": {"$ifNull": [{"$first": "$found.email"}, None]},
        "running": {"$ifNull": ["$operation.kind", None]},
        "slug_taken": {"$ne": ["$holders", []]},
        "locked_out": "$locked_out",
    }
    held = {"$or": [{"state": {"$ne": SlugState.OLD}}, {"held_until": {"$gt": clock.now()}}]}
    # An old slug of another organization of one's own may be claimed.
    by_others = {"$or": [{"state": {"$ne": SlugState.OLD}}, {"owned": []}]}
    holders = _join(
        Slug,
        "slug",
        [
            {"$match": held},
            ownership(account_id),
            {"$match": by_others},
            {"$project": {"_id": 1}},
        ],
    )
    holders["$lookup"]["as"] = "holders"
    return [
        holders,
        *with_mfa_lockout(account_id),
        _join(Account, "trashed_by", [{"$project": {"email": 1}}]),
        {"$project": {"_id": 0, "key": 1, "shown": shown}},
    ]


def _details(organization: ObjectId) -> list[dict[str, Any]]:
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
    owners = [{"$match": {"role": Role.OWNER}}, {"$sort": {"since": 1}}, {"$limit": MOST_SHOWN}]
    slugs = {
        "from": Slug._get_collection_name(),
        "localField": "_id",
        "foreignField": "organization",
    }
    old = [
        {"$match": {"state": SlugState.OLD}},
        {"$sort": {"held_until": -1}},
        {"$limit": MOST_SHOWN},
    ]
    return [
        {"$match": {"_id": organization}},
        {"$lookup": {**members, "as": "member_count", "pipeline": [{"$count": "n"}]}},
        {"$lookup": {**members, "as": "owners", "pipeline": owners + with_email}},
        {"$lookup": {**slugs, "as": "old_slugs", "pipeline": old}},
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
    """A ``$lookup`` of the documents whose ids stand in ``field``, as the array ``found``."""
    return {
        "$lookup": {
            "from": document._get_collection_name(),
            "localField": field,
            "foreignField": "_id",
            "as": "found",
            "pipeline": pipeline,
        }
    }
