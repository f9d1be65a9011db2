"""Slugs compared with the organizations that hold them."""

from collections.abc import Iterator

from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.paging import in_batches
from portal.database.transactions import transaction, transactional, within_transaction
from portal.doctor.findings import Finding, Kind, NotRepaired, Row, found_by
from portal.documents.organizations import Organization, OrganizationState, Slug, SlugState
from portal.web.context import RequestContext

IDLE = Kind(
    "idle_slug",
    "Slugs that are held for nobody",
    "--repair frees them.",
)
UNHELD = Kind(
    "unheld_slug",
    "Organizations that don't hold their own slug, so nobody reaches them",
    "--repair claims it where it is free. Else rename the organization that holds it, or this one.",
)

_SLUG_FIELDS = ("organization", "state", "held_until")
_ORGANIZATION_FIELDS = ("slug", "state", "operation.slug")


def find_idle() -> Iterator[Finding]:
    """Slugs that no organization has or is getting, but for old ones that are still held."""
    for page in in_batches(Slug, {}, *_SLUG_FIELDS):
        holders = {row["organization"] for row in page}
        rows = found_by(Organization, "_id", holders, *_ORGANIZATION_FIELDS)
        organizations = {row["_id"]: row for row in rows}
        for row in page:
            if _why_idle(row, organizations.get(row["organization"])):
                yield from _idle(row["_id"])


def find_unheld() -> Iterator[Finding]:
    """Active organizations whose slug isn't held as their current one."""
    for page in in_batches(Organization, {"state": OrganizationState.ACTIVE}, "slug"):
        slugs = found_by(Slug, "_id", {row["slug"] for row in page}, "organization", "state")
        held = {
            (row["_id"], row["organization"]) for row in slugs if row["state"] == SlugState.CURRENT
        }
        for row in page:
            if (row["slug"], row["_id"]) not in held:
                yield from _unheld(row["_id"])


def _why_idle(slug: Row, organization: Row | None) -> str | None:
    """The reason why the slug is held for nobody, if any. An old one whose hold expired is free."""
    if slug["state"] == SlugState.OLD and slug.get("held_until", clock.now()) <= clock.now():
        return None
    if organization is None:
        return "its organization does not exist"
    if organization.get("operation", {}).get("slug") == slug["_id"]:
        return None
    reasons = {
        f"its organization is {organization['state']}": organization["state"]
        != OrganizationState.ACTIVE,
        "claimed for a change that does not run": slug["state"] == SlugState.TARGET,
        f"its organization has the slug {organization['slug']}": (
            slug["state"] == SlugState.CURRENT and organization["slug"] != slug["_id"]
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _idle(slug: str) -> Iterator[Finding]:
    row, reason = transaction(lambda: _judge_slug(slug))
    if reason:
        yield Finding(IDLE, slug, reason, row["organization"], lambda: _free(slug))


@within_transaction
def _judge_slug(slug: str) -> tuple[Row, str | None]:
    """The slug, and why it is held for nobody. Any claim writes the slug, so a deletion in the same
    transaction conflicts with it."""
    row = Slug._get_collection().find_one({"_id": slug})
    if row is None:
        return {}, None
    organization = Organization._get_collection().find_one(
        {"_id": row["organization"]}, dict.fromkeys(_ORGANIZATION_FIELDS, 1)
    )
    return row, _why_idle(row, organization)


@transactional
def _free(slug: str) -> str | None:
    row, reason = _judge_slug(slug)
    if not reason or not Slug._get_collection().delete_one(row).deleted_count:
        return None
    return "freed"


def _unheld(organization: ObjectId) -> Iterator[Finding]:
    row, held = transaction(lambda: _judge_organization(organization))
    if row is None:
        return
    words = f"{row['name']}: " + (_held_how(held, organization) if held else "nobody holds it")
    yield Finding(UNHELD, row["slug"], words, organization, lambda: _claim(organization))


def _held_how(held: Row, organization: ObjectId) -> str:
    if held["organization"] == organization:
        return f"it holds it as its {held['state']} one"
    return f"organization {held['organization']} holds it"


@within_transaction
def _judge_organization(organization: ObjectId) -> tuple[Row | None, Row | None]:
    """The organization, if it doesn't hold its slug, and the claim on that, if any."""
    active = {"_id": organization, "state": OrganizationState.ACTIVE}
    row = Organization._get_collection().find_one(active, {"name": 1, "slug": 1})
    held = row and Slug._get_collection().find_one({"_id": row["slug"]})
    if held and held["organization"] == organization and held["state"] == SlugState.CURRENT:
        return None, None
    return row, held


@transactional
def _claim(organization: ObjectId) -> str | None:
    row, held = _judge_organization(organization)
    if row is None:
        return None
    if held and held["organization"] != organization:
        raise NotRepaired(_held_how(held, organization))
    current = Organization.objects.get(id=organization)
    Slug(id=row["slug"], organization=organization, state=SlugState.CURRENT).save()
    # The event writes the organization, so this conflicts with a concurrent change of it.
    record(current, "organization.slug_reclaimed", RequestContext().origin, slug=row["slug"])
    return "claimed"
