"""Finding people by their address, among millions, and what is shown of each in the list.

Everything typed is literal: searches are ranges of an index, never patterns.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId

from portal.database.paging import Page, keyset_stages, page_from
from portal.documents.accounts import Account
from portal.documents.memberships import Membership
from portal.email_addresses import InvalidEmail, find_email, parse_email

PEOPLE_PER_PAGE = 50
LONGEST_TYPED = 254
# Above every character of an address.
_LAST = "\U0010ffff"
_OPEN = {"closed_at": None}
_TYPED_DOMAIN = re.compile(r"(?:[*%]@)?([^@]+\.[^@]+)")


class Way(StrEnum):
    """How what was typed was looked for."""

    ALL = "all"
    BLOCKED = "blocked"
    ID = "id"
    PREFIX = "prefix"
    DOMAIN = "domain"


@dataclass(frozen=True, slots=True)
class ListedPerson:
    """An account in the list. ``exact`` is True for the one whose whole address was typed."""

    id: ObjectId
    email: str
    name: str
    created_at: datetime
    verified: bool
    has_second_factor: bool
    blocked: bool
    operator_role: str
    organizations: int
    exact: bool


@dataclass(frozen=True, slots=True)
class FoundPeople:
    """A page of people, and the ``way`` they were found."""

    way: Way
    page: Page


def find_people(
    typed: str, *, blocked: bool = False, before: str | None = None, after: str | None = None
) -> FoundPeople:
    """The people whose address begins with what was typed, the one with exactly this address first;
    those of a domain for ``@acme.example``, also without the ``@`` where no address begins with it;
    the one with an id. Without anything typed everybody, the newest first. Of all these only those
    who are ``blocked``, if that is asked for.

    ``before`` and ``after`` are sort keys of a page.
    """
    typed = typed.strip()[:LONGEST_TYPED]
    keys = {"before": before, "after": after}
    wanted = {"blocked_at": {"$exists": True}} if blocked else {}
    if ObjectId.is_valid(typed):
        return FoundPeople(Way.ID, _page("_id", {"_id": ObjectId(typed), **wanted}, "", {}))
    if not typed:
        key = {name: _as_id(value) for name, value in keys.items()}
        return FoundPeople(Way.BLOCKED if blocked else Way.ALL, _page("_id", wanted, "", key))
    if typed.startswith("@"):
        return _of_domain(typed[1:], wanted, keys)
    prefix = _folded(typed)
    found = _page("email_key", {"email_key": _range(prefix), **wanted}, prefix, keys)
    # A domain as people type it elsewhere, where nobody's address begins so.
    domain = _TYPED_DOMAIN.fullmatch(typed)
    if not found.rows and domain:
        return _of_domain(domain[1], wanted, keys)
    return FoundPeople(Way.PREFIX, found)


def _of_domain(typed: str, wanted: dict[str, Any], keys: dict[str, str | None]) -> FoundPeople:
    found_by = {"email_by_domain": _range(_folded_domain(typed)), **wanted}
    found = _page("email_by_domain", found_by, "", keys)
    return FoundPeople(Way.DOMAIN, found)


def _page(key: str, match: dict[str, Any], exact: str, keys: dict[str, Any]) -> Page:
    """A page sorted by ``key``. That of ids begins with the newest."""
    stages = keyset_stages(key, size=PEOPLE_PER_PAGE, descending=key == "_id", **keys)
    found = Account._get_collection().aggregate([{"$match": {**match, **_OPEN}}, *stages])
    page = page_from(list(found), key=key, size=PEOPLE_PER_PAGE, **keys)
    numbers = _organizations_of([row["_id"] for row in page.rows])
    rows = [_listed(row, numbers.get(row["_id"], 0), exact) for row in page.rows]
    return Page(rows, page.before, page.after)


def _organizations_of(ids: list[ObjectId]) -> dict[ObjectId, int]:
    """The number of organizations of each account that has any, from the index alone."""
    found = Membership._get_collection().aggregate(
        [
            {"$match": {"account": {"$in": ids}}},
            {"$group": {"_id": "$account", "number": {"$sum": 1}}},
        ]
    )
    return {row["_id"]: row["number"] for row in found}


def _listed(row: dict[str, Any], organizations: int, exact: str) -> ListedPerson:
    return ListedPerson(
        row["_id"],
        row["email"],
        row.get("name") or "",
        row["created_at"],
        row.get("verified_at") is not None,
        row.get("has_second_factor", False),
        row.get("blocked_at") is not None,
        row.get("operator_role") or "",
        organizations,
        row["email_key"] == exact,
    )


def _range(prefix: str) -> dict[str, str]:
    return {"$gte": prefix, "$lt": prefix + _LAST}


def _folded(typed: str) -> str:
    """The beginning of an address's key, from what was typed: whole addresses as ``find_email``
    has them, so also ``Mara <mara@acme.example>``."""
    address = find_email(typed)
    return address.key if address else unicodedata.normalize("NFC", typed).casefold()


def _folded_domain(typed: str) -> str:
    """The domain as keys have it: in IDNA. With an @ behind it, if it is a whole one, so that no
    longer domain is found."""
    try:
        return parse_email(f"x@{typed}").by_domain[: -len("x")]
    except InvalidEmail:
        return unicodedata.normalize("NFC", typed).casefold()


def _as_id(text: str | None) -> ObjectId | None:
    return ObjectId(text) if text and ObjectId.is_valid(text) else None
