"""Suspensions and legal holds, for operators' programs."""

from typing import Any

from portal.api.guard import ApiBlueprint
from portal.api.operator_organizations import about_organization
from portal.api.operator_restriction_schemas import HoldBody, RestrictionsAnswer, SuspendBody
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    install_replays,
)
from portal.api.refusals import Refusal
from portal.api.replay import Answer, takes_key
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.organizations import Organization, Restriction
from portal.operators.access import Operator
from portal.operators.organization_pages import find_organization
from portal.operators.restrictions.setting import hold
from portal.organizations.access.errors import OrganizationPurged, OrganizationRenamed
from portal.organizations.access.lookup import parse_object_id
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    CredentialsNotCarried,
    OperationInProgress,
    RestrictionChanged,
    SuspensionNotFound,
)
from portal.organizations.lifecycle.restricting import lift_suspension, suspend_organization
from portal.organizations.restrictions.errors import (
    HeldOnly,
    HoldNotFound,
    HoldTooLate,
    InvalidContact,
    InvalidHoldReason,
    InvalidMemberMessage,
    InvalidSuspensionNote,
)
from portal.organizations.restrictions.holding import release_hold
from portal.organizations.restrictions.listing import restrictions_of
from portal.organizations.restrictions.reasons import parse_reason

admin_restrictions = ApiBlueprint(
    "admin_restrictions", __name__, url_prefix="/admin", description="Suspensions and legal holds"
)

_RESTRICTIONS = "/organizations/<organization_id>/restrictions"
_HOLD = "/organizations/<organization_id>/hold"
_OF_SUSPENDING: tuple[Refusal, ...] = (
    *OF_OPERATOR_CHANGES,
    OperationInProgress,
    OrganizationPurged,
    OrganizationRenamed,
    RestrictionChanged,
    CollectionNameConflict,
    CredentialsNotCarried,
)
_OF_REASONS: tuple[Refusal, ...] = (InvalidContact, InvalidMemberMessage, InvalidSuspensionNote)


@admin_restrictions.get(_RESTRICTIONS, refusals=OF_OPERATORS)
@about_organization("console.view")
@admin_restrictions.response(200, RestrictionsAnswer)
def list_restrictions(operator: Operator, organization: Organization) -> dict[str, Any]:
    """List an organization's suspensions and holds

    All that are open, and the latest that are over.
    """
    return _told(organization)


@admin_restrictions.post(_RESTRICTIONS, refusals=(*_OF_SUSPENDING, *_OF_REASONS))
@takes_key
@about_organization("console.act")
@admin_restrictions.arguments(SuspendBody)
@admin_restrictions.response(201, RestrictionsAnswer)
def suspend_organization_as_operator(
    operator: Operator, organization: Organization, body: dict[str, Any]
) -> dict[str, Any]:
    """Suspend an organization

    For one cause. It is restricted to the strictest of those that are open: `read-only` (its
    documents can be read, not changed), `locked` (nobody reaches it, members see why) or `hidden`
    (to its members it isn't there). Its owners are told by mail, unless it is hidden.
    """
    reason = parse_reason(body["cause"], body["contact"], body.get("message"), body.get("note"))
    suspend_organization(organization, Restriction(body["kind"]), reason, operator.context)
    return _told(organization)


@admin_restrictions.delete(
    f"{_RESTRICTIONS}/<suspension_id>", refusals=(*_OF_SUSPENDING, SuspensionNotFound)
)
@takes_key
@about_organization("console.act")
@admin_restrictions.response(200, RestrictionsAnswer)
def lift_suspension_as_operator(
    operator: Operator, organization: Organization, suspension_id: str
) -> dict[str, Any]:
    """Lift a suspension

    That one alone: others stay. Lifted already, nothing happens.
    """
    lift_suspension(organization, parse_object_id(suspension_id), operator.context)
    return _told(organization)


@admin_restrictions.post(
    _HOLD, refusals=(*_OF_SUSPENDING, *_OF_REASONS, InvalidHoldReason, HoldTooLate, HeldOnly)
)
@takes_key
@about_organization("console.act")
@admin_restrictions.arguments(HoldBody)
@admin_restrictions.response(201, RestrictionsAnswer)
def hold_organization_as_operator(
    operator: Operator, organization: Organization, body: dict[str, Any]
) -> dict[str, Any]:
    """Hold an organization

    Nothing of it is deleted for good by the portal until the hold is released. Its members' and
    applications' own deletions go on, and documents expire by indexes: with `read_only_contact` it
    becomes read-only as well, which stops the former: both or neither, but where MongoDB refuses
    that later (409 `held_only`). It doesn't end by itself.
    """
    hold(
        organization,
        body["reason"],
        body.get("until"),
        operator.context,
        read_only_contact=body.get("read_only_contact"),
    )
    return _told(organization)


@admin_restrictions.delete(f"{_HOLD}/<hold_id>", refusals=(*OF_OPERATOR_CHANGES, HoldNotFound))
@takes_key
@about_organization("console.act")
@admin_restrictions.response(200, RestrictionsAnswer)
def release_hold_as_operator(
    operator: Operator, organization: Organization, hold_id: str
) -> dict[str, Any]:
    """Release a hold

    With the last one an organization in the trash is kept for 7 days at least, and its owners are
    told by mail.
    """
    release_hold(organization, parse_object_id(hold_id), operator.context)
    return _told(organization)


def _told(organization: Organization) -> dict[str, Any]:
    current = find_organization(str(organization.id))
    found = restrictions_of(organization.id)
    return {
        "restrictions": {
            "restricted": current.restricted,
            "held": bool(current.held),
            "deletions_until": found.deletions_until,
            "suspensions": found.suspensions,
            "holds": found.holds,
        }
    }


def _created(record: IdempotencyRecord) -> Answer:
    return _told(Organization(id=record.organization)), 201, {}


def _changed(record: IdempotencyRecord) -> Answer:
    return _told(Organization(id=record.organization)), 200, {}


install_replays(
    admin_restrictions,
    {
        "suspend_organization_as_operator": (RestrictionsAnswer, _created),
        "lift_suspension_as_operator": (RestrictionsAnswer, _changed),
        "hold_organization_as_operator": (RestrictionsAnswer, _created),
        "release_hold_as_operator": (RestrictionsAnswer, _changed),
    },
)
