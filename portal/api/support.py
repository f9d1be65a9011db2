"""Support access to an organization, decided by its owners' programs."""

from typing import Any

from portal.api import replay
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, logged_in
from portal.api.replay import OF_CHANGES, Answer, first_target, takes_key
from portal.api.support_schemas import (
    ReasonedBody,
    SupportDecisionBody,
    SupportGrantAnswer,
    SupportGrantsAnswer,
)
from portal.documents.organizations import Organization
from portal.organizations.support import grants
from portal.organizations.support.errors import (
    AlreadyDecided,
    DocumentsOutOfReach,
    GrantNotFound,
    InvalidHours,
    InvalidReason,
    TooManyGrants,
)
from portal.web.errors import TooManyAttempts
from portal.web.requests import request_context

org_support = ApiBlueprint("org_support", __name__, url_prefix="/org", description="Support access")


@org_support.get("/<name:name>/support", refusals=OF_ACCESS)
@logged_in
@org_support.response(200, SupportGrantsAnswer)
def list_support_grants(name: str) -> dict[str, Any]:
    """List the support grants of an organization

    The newest 50: those that operators ask for, that are in force, and that are over.
    """
    access = access_by_name(name, "organization.view")
    return {"grants": grants.grants_of(access.organization.id)}


@org_support.post(
    "/<name:name>/support",
    refusals=(
        *OF_CHANGES,
        InvalidReason,
        InvalidHours,
        DocumentsOutOfReach,
        TooManyGrants,
        TooManyAttempts,
    ),
)
@takes_key
@logged_in
@org_support.arguments(ReasonedBody)
@org_support.response(201, SupportGrantAnswer)
def give_support_access(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Let any operator look at an organization

    For owners. Operators change nothing, and each page that they open is in the activity.
    """
    access = access_by_name(name, "support.grant")
    given = grants.give(
        access,
        body["hours"],
        request_context(),
        with_documents=body["with_documents"],
        reason=body["reason"],
    )
    return {"grant": grants.grant_of(access.organization.id, given.id)}


@org_support.post(
    "/<name:name>/support/<grant_id>/grant",
    refusals=(
        *OF_CHANGES,
        GrantNotFound,
        AlreadyDecided,
        InvalidHours,
        DocumentsOutOfReach,
        TooManyGrants,
        TooManyAttempts,
    ),
)
@takes_key
@logged_in
@org_support.arguments(SupportDecisionBody)
@org_support.response(200, SupportGrantAnswer)
def grant_support_access(body: dict[str, Any], name: str, grant_id: str) -> dict[str, Any]:
    """Let the operator look who asks to

    For owners, who choose what is shown, and for how long.
    """
    access = access_by_name(name, "support.grant")
    asked = grants.grant_of(access.organization.id, grant_id)
    grants.grant_asked(
        access,
        asked.id,
        body["hours"],
        request_context(),
        with_documents=body["with_documents"],
    )
    return {"grant": grants.grant_of(access.organization.id, asked.id)}


@org_support.post(
    "/<name:name>/support/<grant_id>/decline",
    refusals=(*OF_CHANGES, GrantNotFound, AlreadyDecided),
)
@takes_key
@logged_in
@org_support.response(200, SupportGrantAnswer)
def decline_support_access(name: str, grant_id: str) -> dict[str, Any]:
    """Decline what an operator asks for

    For owners. The operator gets a mail.
    """
    access = access_by_name(name, "support.grant")
    asked = grants.grant_of(access.organization.id, grant_id)
    grants.decline(access, asked.id, request_context())
    return {"grant": grants.grant_of(access.organization.id, asked.id)}


@org_support.delete(
    "/<name:name>/support/<grant_id>", refusals=(*OF_CHANGES, GrantNotFound, AlreadyDecided)
)
@takes_key
@logged_in
@org_support.response(200, SupportGrantAnswer)
def end_support_access(name: str, grant_id: str) -> dict[str, Any]:
    """End support access

    For owners. Nothing is shown by it from now on, and what an operator is just reading stops.
    """
    access = access_by_name(name, "support.grant")
    given = grants.grant_of(access.organization.id, grant_id)
    grants.end(access, given.id, request_context())
    return {"grant": grants.grant_of(access.organization.id, given.id)}


def _replay_give(organization: Organization) -> Answer:
    return _current(organization), 201, {}


def _replay_change(organization: Organization) -> Answer:
    return _current(organization), 200, {}


def _current(organization: Organization) -> dict[str, Any]:
    """The grant that the first call made or changed, as it is now."""
    access = access_by_name(organization.slug, "support.grant")
    return {"grant": grants.grant_of(access.organization.id, first_target())}


replay.install(
    org_support,
    {
        grants.GIVEN: (SupportGrantAnswer, _replay_give),
        grants.GRANTED: (SupportGrantAnswer, _replay_change),
        grants.DECLINED: (SupportGrantAnswer, _replay_change),
        grants.ENDED: (SupportGrantAnswer, _replay_change),
    },
)
