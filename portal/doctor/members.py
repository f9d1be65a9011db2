"""Organizations without an owner, and offers of ownership whose giver isn't one.

An account without a membership is no damage: its organizations may all have been purged.
"""

from collections.abc import Iterator
from functools import partial

from bson import ObjectId

from portal.database.paging import in_batches
from portal.database.transactions import transaction, transactional, within_transaction
from portal.doctor.findings import Finding, Kind, Row, found_by
from portal.doctor.leftovers import ACCOUNT, ORGANIZATION, living
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, OrganizationState
from portal.organizations.members.ownership import lapse_offers
from portal.web.context import RequestContext

OWNERLESS = Kind(
    "ownerless_organization",
    "Organizations without an owner",
    "Nobody can delete or restore them. `flask organizations set-owner` makes somebody one.",
)
DEAD_OFFER = Kind(
    "dead_offer",
    "Offers of ownership by somebody who is no owner",
    "Nobody can accept them. --repair ends them, and mails those they were made to.",
)

_LIVING = {"$in": [OrganizationState.ACTIVE, OrganizationState.TRASHED]}
_OFFER_FIELDS = ("organization", "account", "offer.giver")


def find_dead_offers() -> Iterator[Finding]:
    """Offers whose giver no longer owns the organization, or doesn't exist."""
    for page in in_batches(Membership, {"offer": {"$ne": None}}, *_OFFER_FIELDS):
        givers = _owners({row["offer"].get("giver") for row in page})
        for row in page:
            if (row["organization"], row["offer"].get("giver")) not in givers:
                yield from _dead_offer(row["_id"])


def find_ownerless() -> Iterator[Finding]:
    """Active and trashed organizations that no existing account owns."""
    for page in in_batches(Organization, {"state": _LIVING}):
        owned = _owned({row["_id"] for row in page})
        for row in page:
            if row["_id"] not in owned and (found := _read_if_ownerless(row["_id"])):
                yield Finding(OWNERLESS, found["slug"], found["name"], row["_id"])


def _dead_offer(membership: ObjectId) -> Iterator[Finding]:
    if row := transaction(partial(_judge_offer, membership)):
        words = f"account {row['offer'].get('giver')} offered it to account {row['account']}"
        repair = partial(_end_offer, membership)
        yield Finding(DEAD_OFFER, str(membership), words, row["organization"], repair)


@within_transaction
def _judge_offer(membership: ObjectId) -> Row | None:
    """The membership, if its offer can't be accepted; a dead membership is a finding of its own."""
    row = Membership._get_collection().find_one({"_id": membership, "offer": {"$ne": None}})
    if row is None:
        return None
    alive = living(ACCOUNT, {row["account"]}) and living(ORGANIZATION, {row["organization"]})
    giver = row["offer"].get("giver")
    return row if alive and (row["organization"], giver) not in _owners({giver}) else None


@transactional
def _end_offer(membership: ObjectId) -> str | None:
    row = _judge_offer(membership)
    if row is None:
        return None
    # The event writes the organization, so this conflicts with an ownership that begins now.
    organization = Organization.objects.get(id=row["organization"])
    lapse_offers(organization, row["offer"].get("giver"), RequestContext())
    return "ended"


def _owners(accounts: set[ObjectId]) -> set[tuple[ObjectId, ObjectId]]:
    """Pairs of an organization and the existing account among these that owns it."""
    rows = found_by(Membership, "account", accounts, "organization", "account", "role")
    alive = living(ACCOUNT, accounts)
    return {
        (row["organization"], row["account"])
        for row in rows
        if row["role"] == Role.OWNER and row["account"] in alive
    }


@transactional
def _read_if_ownerless(organization: ObjectId) -> Row | None:
    row = Organization._get_collection().find_one(
        {"_id": organization, "state": _LIVING}, {"name": 1, "slug": 1}
    )
    return None if row is None or _owned({organization}) else row


def _owned(organizations: set[ObjectId]) -> set[ObjectId]:
    """The organizations that have an existing owner."""
    rows = found_by(Membership, "organization", organizations, "organization", "account", "role")
    owners = [row for row in rows if row["role"] == Role.OWNER]
    accounts = living(ACCOUNT, {row["account"] for row in owners})
    return {row["organization"] for row in owners if row["account"] in accounts}
