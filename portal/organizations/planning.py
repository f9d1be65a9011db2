"""An organization's plan and region, by which its placement is chosen.

Whoever runs the portal sets them, by command or by a provisioning program: a plan is what a
customer pays for, and a region is often promised in a contract, so members only read both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bson import ObjectId

from portal.audit.trail import record
from portal.database.clusters import stays_in_region
from portal.database.transactions import transactional, within_transaction
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import Organization, OrganizationState, next_version
from portal.errors import NotFound
from portal.organizations.lifecycle.errors import ChangedMeanwhile
from portal.organizations.usage import limits
from portal.placement.errors import CopyOutsideRegion, OutsideRegion
from portal.placement.identifiers import parse_plan, parse_region
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

PLAN_SET = "plan_set"


@dataclass(frozen=True, slots=True)
class Unchanged:
    """In place of a value: leave it as it is."""


UNCHANGED = Unchanged()


def find_organization(name: str) -> Organization:
    """The active organization with this slug, or one that isn't purged with this id. Raises
    NotFound."""
    found = Organization.objects(slug=name, state=OrganizationState.ACTIVE).first()
    if found is None and ObjectId.is_valid(name):
        found = Organization.objects(id=name, state__ne=OrganizationState.PURGED).first()
    if found is None:
        raise NotFound(name)
    return found


@transactional
def set_plan(
    organization_id: ObjectId,
    context: RequestContext,
    seen: Mapping[str, str | None] | None = None,
    /,
    *,
    plan: str | Unchanged | None = UNCHANGED,
    region: str | Unchanged | None = UNCHANGED,
) -> Organization:
    """Set the plan, the region, or both; ``None`` takes one away. A no-op where they are so.
    ``seen`` is what a form showed of both.

    A region binds the organization: it is refused where its documents are in another one, until
    they have moved, and where a copy of them is, until its move or way back has ended. Raises
    NotFound where it was purged, InvalidPlan, InvalidRegion, OutsideRegion, CopyOutsideRegion,
    DuplicateRequest, ChangedMeanwhile where what is to be changed isn't as ``seen``; then nothing
    is changed.
    """
    claim_key(context, organization_id, PLAN_SET, organization_id)
    organization = Organization.objects(
        id=organization_id, state__ne=OrganizationState.PURGED
    ).first()
    if organization is None:
        raise NotFound(str(organization_id))
    before = {"plan": organization.plan, "region": organization.region}
    if not isinstance(plan, Unchanged):
        organization.plan = None if plan is None else parse_plan(plan)
    if not isinstance(region, Unchanged):
        organization.region = None if region is None else parse_region(region)
        if organization.region and organization.region != before["region"]:
            _check_inside(organization, organization.region)
    after = {"plan": organization.plan, "region": organization.region}
    check_seen(before, after, seen)
    if before != after:
        organization.update(
            set__plan=organization.plan, set__region=organization.region, **next_version()
        )
        organization.version += 1
        limits.publish(organization)
        record(
            organization,
            "organization.plan_set",
            context.origin,
            plan=organization.plan,
            plan_before=before["plan"],
            region=organization.region,
            region_before=before["region"],
        )
    return organization


def check_seen(
    before: Mapping[str, str | None],
    after: Mapping[str, str | None],
    seen: Mapping[str, str | None] | None,
) -> None:
    """Return if each value that is about to be changed is as it was ``seen``, if it was. Raises
    ChangedMeanwhile."""
    if not seen:
        return
    for name in sorted(before.keys() | after.keys()):
        now = before.get(name)
        if now not in (after.get(name), seen.get(name)):
            raise ChangedMeanwhile(name, now)


@within_transaction
def _check_inside(organization: Organization, region: str) -> None:
    """Return if the documents are in the region, and all copies of them that moves keep. Raises
    OutsideRegion, CopyOutsideRegion."""
    here = organization.placement.cluster
    if not stays_in_region(here, region):
        raise OutsideRegion(organization.name, region, here)
    begun = Move.objects(organization=organization.id, open=True, state__ne=MoveState.REQUESTED)
    for copy in begun.scalar("target"):
        if copy.cluster != here and not stays_in_region(copy.cluster, region):
            raise CopyOutsideRegion(organization.name, region, copy.cluster)
