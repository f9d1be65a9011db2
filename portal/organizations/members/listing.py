"""Read models of members and invitations; each list by one read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal import clock
from portal.database.paging import Page, join, keyset_stages, page_from
from portal.database.together import Part, Read, Stages, joined, read
from portal.documents.accounts import Account
from portal.documents.memberships import Invitation, InvitationState, Membership, Role, standing_of
from portal.documents.organizations import Organization, OrganizationState
from portal.errors import NotFound
from portal.organizations.access.restrictions import REACHED
from portal.permissions import ROLES


@dataclass(frozen=True, slots=True)
class Member:
    """A member as shown."""

    account_id: ObjectId
    email: str
    role: Role
    since: datetime


ROWS_PER_PAGE = 25
# An ``email_key``; RFC 5321 limits its length.
MEMBER_KEY = re.compile(r"[^\x00-\x1f\x7f]{1,254}")
# The sort key: whether it is open, and its id; open ones first, then the newest.
INVITATION_KEY = re.compile(r"[01][0-9a-f]{24}")
_IS_OPEN = {"$cond": [{"$eq": ["$state", InvitationState.OPEN]}, "1", "0"]}
_MAY_INVITE = [role for role, permissions in ROLES.items() if "invitations.manage" in permissions]


@dataclass(frozen=True, slots=True)
class ListedMember(Member):
    """A row of the list of members."""

    offered: bool
    name: str
    has_second_factor: bool
    blocked: bool


@dataclass(frozen=True, slots=True)
class ListedInvitation:
    """A row of a list of invitations. Without ``inviter_may`` it can't be accepted."""

    id: ObjectId
    email: str
    role: Role
    state: str
    inviter: str | None
    inviter_may: bool
    sent_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    organization_name: str | None = None

    @property
    def is_open(self) -> bool:
        """True while it can be re-sent and withdrawn."""
        return self.ended_at is None


def members_of(
    organization_id: ObjectId,
    *,
    before: str | None = None,
    after: str | None = None,
    size: int | None = None,
) -> Page:
    """A page of an organization's members by e-mail address, as ``ListedMember``s."""
    keys = _keys(size, before, after)
    return read(_reading_members(organization_id, keys))


def members_and_invitations_of(
    organization_id: ObjectId, *, before: str | None = None, after: str | None = None
) -> tuple[Page, Page]:
    """A page of members as by ``members_of``, and the first one of invitations as by
    ``invitations_of``; one read."""
    members = _reading_members(organization_id, _keys(None, before, after))
    invitations = _reading_invitations(organization_id, _keys(None, None, None))
    page, invited = read(joined(members, invitations))
    return page, invited


def counts_of(organization_id: ObjectId, page: Page) -> tuple[int, int]:
    """The numbers of members and of owners of an organization; counted on the ``page`` of members
    that was read where that has all."""
    if page.is_all:
        return len(page.rows), sum(row.role == Role.OWNER for row in page.rows)
    found = Membership.objects(organization=organization_id).aggregate(
        [{"$group": {"_id": "$role", "n": {"$sum": 1}}}]
    )
    counts = {row["_id"]: row["n"] for row in found}
    return sum(counts.values()), counts.get(Role.OWNER, 0)


def member_of(
    organization_id: ObjectId, account_id: ObjectId, read: Sequence[ListedMember] = ()
) -> ListedMember:
    """One member, of those who were ``read`` if they are among them. Raises NotFound where the
    account isn't one."""
    if already := next((member for member in read if member.account_id == account_id), None):
        return already
    found = Membership._get_collection().aggregate(
        [
            {"$match": {"organization": organization_id, "account": account_id}},
            {"$project": {"_id": 0, "membership": "$$ROOT"}},
            join(Account, "membership.account", "_id", "account", []),
            {"$unwind": "$account"},
        ]
    )
    row = next(found, None)
    if row is None:
        raise NotFound(str(account_id))
    return _listed_member({**row["account"], "membership": row["membership"]})


def invitations_of(
    organization_id: ObjectId,
    *,
    before: str | None = None,
    after: str | None = None,
    size: int | None = None,
) -> Page:
    """A page of an organization's invitations as ``ListedInvitation``s: open ones first, then the
    ended ones, newest first."""
    return read(_reading_invitations(organization_id, _keys(size, before, after)))


def invitation_of(organization_id: ObjectId, invitation_id: ObjectId) -> ListedInvitation:
    """One invitation of the organization. Raises NotFound."""
    found = Invitation.objects(id=invitation_id, organization=organization_id)
    row = next(iter(found.aggregate(_with_inviter())), None)
    if row is None:
        raise NotFound(str(invitation_id))
    return _listed(row)


def invitations_for(account: Account) -> list[ListedInvitation]:
    """The invitations that the account can accept now; none until its address is verified."""
    if account.verified_at is None:
        return []
    active = [{"$match": {"state": OrganizationState.ACTIVE, **REACHED}}]
    rows = Invitation.objects(
        email_key=account.email_key, state=InvitationState.OPEN, expires_at__gt=clock.now()
    ).aggregate(
        [
            {"$sort": {"_id": -1}},
            join(Organization, "organization", "_id", "found", active),
            {"$unwind": "$found"},
            *_with_inviter(),
        ]
    )
    return [listed for listed in map(_listed, rows) if listed.inviter_may]


def _keys(size: int | None, before: str | None, after: str | None) -> dict[str, Any]:
    return {"size": size or ROWS_PER_PAGE, "before": before, "after": after}


def _reading_members(organization_id: ObjectId, keys: dict[str, Any]) -> Part[Page]:
    here = {"$match": {"organization": organization_id}}
    stages: Stages = [
        here,
        # One look-up for all accounts at once, which sorts and limits them.
        {"$group": {"_id": None, "accounts": {"$push": "$account"}}},
        join(Account, "accounts", "_id", "account", keyset_stages("email_key", **keys)),
        {"$unwind": "$account"},
        {"$replaceWith": "$account"},
        join(Membership, "_id", "account", "membership", [here]),
        {"$unwind": "$membership"},
    ]
    [rows] = yield [Read(Membership, stages)]
    page = page_from(rows, key="email_key", **keys)
    return Page([_listed_member(row) for row in page.rows], page.before, page.after)


def _reading_invitations(organization_id: ObjectId, keys: dict[str, Any]) -> Part[Page]:
    stages: Stages = [
        {"$match": {"organization": organization_id}},
        {"$set": {"key": {"$concat": [_IS_OPEN, {"$toString": "$_id"}]}}},
        *keyset_stages("key", **keys, descending=True),
        *_with_inviter(),
    ]
    [rows] = yield [Read(Invitation, stages)]
    page = page_from(rows, key="key", **keys)
    return Page([_listed(row) for row in page.rows], page.before, page.after)


def _listed_member(row: dict[str, Any]) -> ListedMember:
    membership = row["membership"]
    return ListedMember(
        row["_id"],
        row["email"],
        membership["role"],
        membership["since"],
        "offer" in membership,
        row.get("name", ""),
        row.get("has_second_factor", False),
        "blocked_at" in row,
    )


def _listed(row: dict[str, Any]) -> ListedInvitation:
    roles = {membership["role"] for membership in row["inviting"]}
    [inviter] = row["account_inviting"] or [{}]
    may = "verified_at" in inviter and "blocked_at" not in inviter
    return ListedInvitation(
        id=row["_id"],
        email=row["email"],
        role=row["role"],
        state=standing_of(row["state"], row["expires_at"]),
        inviter=inviter.get("email"),
        inviter_may=row["state"] == InvitationState.ACCEPTED
        or (may and bool(roles.intersection(_MAY_INVITE))),
        sent_at=row["sent_at"],
        expires_at=row["expires_at"],
        ended_at=row.get("ended_at"),
        organization_name=row.get("found", {}).get("name"),
    )


def _with_inviter() -> list[dict[str, Any]]:
    here = [{"$match": {"$expr": {"$eq": ["$organization", "$$organization"]}}}]
    organization = {"organization": "$organization"}
    fields = [{"$project": {"email": 1, "verified_at": 1, "blocked_at": 1}}]
    return [
        join(Membership, "inviter", "account", "inviting", here, let=organization),
        join(Account, "inviter", "_id", "account_inviting", fields),
    ]
