"""Read models of organizations: lists and details, each by one read; previews of names."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal import clock
from portal.audit.trail import ListedEvent, latest_events_lookup
from portal.database.paging import Page, join, keyset_stages, page_from
from portal.display_names import InvalidName, clean_words
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import (
    Organization,
    OrganizationState,
    Slug,
    SlugState,
    Strategy,
)
from portal.errors import NotFound
from portal.organizations.access.lookup import along, locked_out, with_mfa_lockout
from portal.organizations.access.restrictions import NOT_HIDDEN, REACHED
from portal.organizations.lifecycle.errors import InvalidSlug
from portal.organizations.lifecycle.names import (
    parse_name,
    parse_name_for,
    slug_of,
)
from portal.organizations.lifecycle.slugs import free_slug_like, is_free, ownership
from portal.organizations.lifecycle.trashing import TRASHED
from portal.organizations.members.listing import Member
from portal.placement.choosing import expected_strategy
from portal.web import rate_limits

ROWS_PER_PAGE = 25
MAX_SHOWN = 6

# The sort key of the trash: the time in milliseconds and the id, so it is unique.
TRASH_KEY = re.compile(r"[0-9]{13}-[0-9a-f]{24}")
_EMAIL = [{"$project": {"email": 1}}]
_AS_TRASH_KEY = {"$concat": [{"$toString": {"$toLong": "$trashed_at"}}, "-", {"$toString": "$_id"}]}


@dataclass(frozen=True, slots=True)
class ListedOrganization:
    """A row of the list of organizations. Where the account is ``locked_out`` for lack of a second
    factor, only name, slug and role are shown."""

    name: str
    slug: str
    role: Role
    running: str | None
    restricted: str | None
    members: int
    changed_at: datetime
    locked_out: bool


@dataclass(frozen=True, slots=True)
class TrashedOrganization:
    """A row of the trash. An account ``locked_out`` for lack of a second factor has no access."""

    id: ObjectId
    name: str
    slug: str
    trashed_at: datetime
    trashed_by: str | None
    purge_at: datetime
    held: bool
    running: str | None
    slug_taken: bool
    locked_out: bool


@dataclass(frozen=True, slots=True)
class Details:
    """The contents of an organization's page besides its figures."""

    member_count: int
    owners: list[Member]
    events: list[ListedEvent]
    created_by: str | None
    old_slugs: list[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """The slug of a name, the collection that is called by it where there will be an
    ``own_collection``, and if they are free; else a slug to ``offer``, or the ``reason`` it is
    invalid."""

    own_collection: bool
    slug: str = ""
    collection: str = ""
    free: bool = False
    offer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of the list that a page shows: what begins with the typed ``text``, by name or by
    the slug that such a name gets; ``before`` or ``after`` a slug."""

    text: str | None = None
    before: str | None = None
    after: str | None = None

    @property
    def keys(self) -> dict[str, Any]:
        return {"size": ROWS_PER_PAGE, "before": self.before, "after": self.after}

    @property
    def matching(self) -> dict[str, Any]:
        """The filter of the organizations that the account belongs to."""
        if not self.text:
            return {}
        stored = {"$regex": f"^{re.escape(_as_stored(self.text))}", "$options": "i"}
        # "~" sorts after every character of a slug.
        prefix = prefix_of(self.text)
        slugs = [{"slug": {"$gte": prefix, "$lt": f"{prefix}~"}}] if prefix else []
        return {"$or": [{"name": stored}, *slugs]}


def organizations_of(
    account_id: ObjectId, selection: Selection, read: list[dict[str, Any]] | None = None
) -> Page:
    """A page of the account's organizations by slug, as ``ListedOrganization``s; one read, or none
    where the result of ``list_along`` was ``read`` with the session."""
    if read is None:
        own = [{"$match": {"account": account_id}}]
        pipeline = _list(selection, own, with_mfa_lockout(account_id))
        read = list(Membership.objects(account=account_id).aggregate(pipeline))
    page = page_from(read, key="slug", **selection.keys)
    return Page([ListedOrganization(**row) for row in page.rows], page.before, page.after)


def list_along(selection: Selection) -> list[dict[str, Any]]:
    """The stages that find, along with an account's session, what ``organizations_of`` reads."""
    own = [{"$match": {"$expr": {"$eq": ["$account", "$$account"]}}}]
    pipeline = _list(selection, own, [locked_out("$$enrolled")])
    return [along(Membership, pipeline, localField="account._id", foreignField="account")]


def memberships_of(account_id: ObjectId) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Name, slug and role of all of the account's organizations that aren't locked or hidden by a
    suspension, by slug: the accessible ones, and those that lock it out for lack of a second
    factor."""
    reached = {"state": OrganizationState.ACTIVE, **REACHED}
    active = [{"$match": reached}, *with_mfa_lockout(account_id)]
    shown = {name: f"$found.{name}" for name in ("name", "slug", "locked_out")}
    found = Membership.objects(account=account_id).aggregate(
        [
            join(Organization, "organization", "_id", "found", active),
            {"$unwind": "$found"},
            {"$sort": {"found.slug": 1}},
            {"$project": {"_id": 0, "role": 1, **shown}},
        ]
    )
    rows = list(found)
    accessible = [row for row in rows if not row["locked_out"]]
    return accessible, [row for row in rows if row["locked_out"]]


def find_active(organization_id: ObjectId) -> Organization | None:
    """Name and slug of the active organization with this id, if there is one that isn't locked or
    hidden by a suspension."""
    reached = {"_id": organization_id, "state": OrganizationState.ACTIVE, **REACHED}
    active = Organization.objects(__raw__=reached)
    return active.only("name", "slug").first()


def prefix_of(text: str) -> str:
    """The prefix of the slugs of all names that begin with ``text``; empty where no name can.

    ``text`` needn't be a valid name.
    """
    try:
        return parse_name(text).slug  # which unifies apostrophes
    except InvalidName:
        return slug_of(text)


def _as_stored(text: str) -> str:
    """The text as names that begin with it are stored, but for its case."""
    try:
        return clean_words(text)
    except InvalidName:  # as of a letter alone
        return unicodedata.normalize("NFC", " ".join(text.split()))


def trash_of(
    account_id: ObjectId,
    *,
    before: str | None = None,
    after: str | None = None,
    size: int | None = None,
) -> Page:
    """A page of the trashed organizations that the account owns, newest first, as
    ``TrashedOrganization``s; one read. ``before`` and ``after`` match ``TRASH_KEY``."""
    keys: dict[str, Any] = {"size": size or ROWS_PER_PAGE, "before": before, "after": after}
    stages = [{"$set": {"key": _AS_TRASH_KEY}}, *keyset_stages("key", **keys, descending=True)]
    found = Membership.objects(account=account_id, role=Role.OWNER).aggregate(
        [*_from_memberships(OrganizationState.TRASHED, stages), *_as_trashed(account_id)]
    )
    page = page_from(list(found), key="key", **keys)
    return Page([TrashedOrganization(**row["shown"]) for row in page.rows], page.before, page.after)


def details_of(organization: Organization) -> Details:
    """Members, owners, latest events and old slugs of the organization; one read.

    Raises NotFound where it was deleted since it was read.
    """
    pipeline = [{"$match": {"_id": organization.id}}, {"$project": {"organization": "$$ROOT"}}]
    found = next(Organization._get_collection().aggregate([*pipeline, *joined_details()]), None)
    if found is None:  # its creation was just rolled back
        raise NotFound(organization.slug)
    return details_from(found)


def details_from(found: Mapping[str, Any]) -> Details:
    """The details that ``joined_details`` found."""
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


def preview_of(
    name: str,
    slug: str,
    network: str,
    account: ObjectId | None = None,
    renamed: Organization | None = None,
    holder: ObjectId | None = None,
) -> Preview:
    """Preview ``name``, with the ``slug`` that was typed, if any, for a new organization of
    ``account``, or for the one to be ``renamed``, by an operator with the old slugs of the
    ``holder``. Raises TooManyAttempts after too many previews from the ``network``."""
    typed_slug = slug.strip() or None
    strategy = renamed.placement.strategy if renamed else expected_strategy()
    own = strategy == Strategy.COLLECTION
    try:
        if renamed:
            parsed = parse_name_for(renamed, name, typed_slug)
        else:
            parsed = parse_name(name, typed_slug)
    except (InvalidName, InvalidSlug) as error:
        return Preview(own, reason=error.reason if name.strip() else "")
    if renamed is not None and parsed.slug == renamed.slug:
        return Preview(own, parsed.slug, parsed.collection, free=True)
    rate_limits.count_attempt(rate_limits.PREVIEW, network)
    if is_free(parsed.slug, account, holder):
        return Preview(own, parsed.slug, parsed.collection, free=True)
    return Preview(own, parsed.slug, parsed.collection, offer=free_slug_like(parsed.slug))


def _from_memberships(
    state: OrganizationState, stages: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """From an account's memberships to its organizations in this ``state`` that aren't hidden,
    through ``stages``.

    One ``$lookup`` for all at once: one for each takes seven times as long for 2,000.
    """
    pipeline = [{"$match": {"state": state, **NOT_HIDDEN}}, *stages]
    return [
        {"$group": {"_id": None, "organizations": {"$push": "$organization"}}},
        join(Organization, "organizations", "_id", "found", pipeline),
        {"$unwind": "$found"},
        {"$replaceWith": "$found"},
    ]


def _list(
    selection: Selection, own: list[dict[str, Any]], lockout: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """From an account's memberships to the rows of the list. ``own`` matches the account among
    an organization's memberships, ``lockout`` sets ``locked_out``."""
    stages = [{"$match": selection.matching}, *keyset_stages("slug", **selection.keys)]
    return [
        *_from_memberships(OrganizationState.ACTIVE, stages),
        join(Membership, "_id", "organization", "own", own),
        join(Membership, "_id", "organization", "members", [{"$count": "n"}]),
        *lockout,
        {
            "$project": {
                "_id": 0,
                "name": 1,
                "slug": 1,
                "role": {"$first": "$own.role"},
                "running": {"$ifNull": ["$operation.kind", None]},
                "restricted": {"$ifNull": ["$restricted", None]},
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
        "held": {"$eq": ["$held", True]},
        "trashed_by": {
            "$ifNull": [{"$first": "$found.email"}, {"$first": "$event.actor_name"}, None]
        },
        "running": {"$ifNull": ["$operation.kind", None]},
        "slug_taken": {"$ne": ["$holders", []]},
        "locked_out": "$locked_out",
    }
    held = {"$or": [{"state": {"$ne": SlugState.OLD}}, {"held_until": {"$gt": clock.now()}}]}
    # An old slug of another organization that the account owns may be claimed.
    by_others = {"$or": [{"state": {"$ne": SlugState.OLD}}, {"owned": []}]}
    holders = [
        {"$match": held},
        ownership(account_id),
        {"$match": by_others},
        {"$project": {"_id": 1}},
    ]
    latest: list[dict[str, Any]] = [
        {"$match": {"action": TRASHED}},
        {"$sort": {"seq": -1}},
        {"$limit": 1},
        {"$project": {"actor_name": 1}},
    ]
    return [
        join(Slug, "slug", "_id", "holders", holders),
        *with_mfa_lockout(account_id),
        join(Account, "trashed_by", "_id", "found", _EMAIL),
        join(AuditEvent, "_id", "chain", "event", latest),
        {"$project": {"_id": 0, "key": 1, "shown": shown}},
    ]


def joined_details() -> list[dict[str, Any]]:
    """The stages that join the details of an ``organization``."""
    owners: list[dict[str, Any]] = [
        {"$match": {"role": Role.OWNER}},
        {"$sort": {"since": 1}},
        {"$limit": MAX_SHOWN},
        join(Account, "account", "_id", "found", _EMAIL),
        {"$set": {"email": {"$first": "$found.email"}}},
        {"$unset": "found"},
    ]
    old: list[dict[str, Any]] = [
        {"$match": {"state": SlugState.OLD}},
        {"$sort": {"held_until": -1}},
        {"$limit": MAX_SHOWN},
    ]
    own, events = "organization._id", latest_events_lookup(MAX_SHOWN)
    return [
        join(Membership, own, "organization", "member_count", [{"$count": "n"}]),
        join(Membership, own, "organization", "owners", owners),
        join(Slug, own, "organization", "old_slugs", old),
        {"$lookup": {**events, "localField": own, "as": "events"}},
        join(Account, "organization.created_by", "_id", "creator", _EMAIL),
    ]
