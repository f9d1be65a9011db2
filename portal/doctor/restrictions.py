"""Suspensions and legal holds that master data contradict, or don't have any more."""

from collections.abc import Iterator
from functools import partial

from bson import ObjectId

from portal.audit.trail import record
from portal.database.transactions import transaction, transactional, within_transaction
from portal.doctor.findings import Finding, Kind, NotRepaired, Row
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.restrictions import Hold, Suspension
from portal.organizations.lifecycle.restricting import strictest
from portal.organizations.restrictions.copies import copies
from portal.web.context import RequestContext

LOST_HOLD = Kind(
    "lost_hold",
    "Legal holds that master data don't have any more",
    "An older backup of master data was restored. --repair sets them again.",
)
UNLIKE_RESTRICTION = Kind(
    "unlike_restriction",
    "Organizations that are restricted to something else than their suspensions say",
    "Somebody changed master data. Suspend the organization and lift that again, and it is right.",
)


def find_lost_holds() -> Iterator[Finding]:
    """Holds of which there is only the copy."""
    for copy in copies().find():
        if transaction(partial(_lost, copy["_id"])):
            words = f"on organization {copy['organization']}, since {copy['at']:%Y-%m-%d}"
            repair = partial(_set_again, copy["_id"])
            yield Finding(LOST_HOLD, str(copy["_id"]), words, copy["organization"], repair)


def find_unlike() -> Iterator[Finding]:
    """Organizations that are restricted to something else than the strictest open suspension."""
    suspended = set(Suspension.objects(open=True).distinct("organization"))
    restricted = Organization._get_collection().find({"restricted": {"$exists": True}}, {"_id": 1})
    for organization_id in sorted(suspended | {row["_id"] for row in restricted}):
        if words := transaction(partial(_unlike, organization_id)):
            yield Finding(UNLIKE_RESTRICTION, str(organization_id), words, organization_id)


@within_transaction
def _lost(hold_id: ObjectId) -> Row | None:
    """The copy, where there is no such hold, or its organization doesn't know of it."""
    copy = copies().find_one({"_id": hold_id})
    if copy is None:
        return None
    known = Hold.objects(id=hold_id, open=True).first()
    held = Organization.objects(id=copy["organization"], held=True).first()
    return None if known and held else copy


@within_transaction
def _unlike(organization_id: ObjectId) -> str | None:
    organization = Organization.objects(id=organization_id, operation=None).first()
    if organization is None or organization.state == OrganizationState.PURGED:
        return None
    kinds = Suspension.objects(organization=organization_id, open=True).scalar("kind")
    wanted = strictest(kinds)
    if organization.restricted == wanted:
        return None
    return f"is {organization.restricted or 'free'}, should be {wanted or 'free'}"


@transactional
def _set_again(hold_id: ObjectId) -> str | None:
    copy = _lost(hold_id)
    if copy is None:
        return None
    living = (OrganizationState.ACTIVE, OrganizationState.TRASHED)
    held = Organization.objects(id=copy["organization"], state__in=living).modify(
        new=True, set__held=True
    )
    if held is None:
        raise NotRepaired("its organization isn't there")
    kept = {name: value for name, value in copy.items() if name != "_id"}
    Hold(id=hold_id, open=True, **kept).save()
    record(held, "organization.hold_set", RequestContext().origin, hold=str(hold_id))
    return "set again"
