"""Support access, asked for by operators' programs. Only a person looks by it, on pages."""

from typing import Any

from portal.api.guard import ApiBlueprint
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    by_operator,
    install_replays,
    operator_by_request,
)
from portal.api.replay import Answer, takes_key
from portal.api.support_schemas import ReasonedBody, SupportGrantAnswer, SupportGrantsAnswer
from portal.documents.idempotency import IdempotencyRecord
from portal.operators.access import Operator
from portal.operators.organization_pages import find_organization
from portal.organizations.access.errors import OrganizationTrashed
from portal.organizations.support import grants
from portal.organizations.support.errors import (
    AlreadyAsked,
    AlreadyDecided,
    DocumentsOutOfReach,
    GrantNotFound,
    InvalidHours,
    InvalidReason,
)
from portal.web.errors import TooManyAttempts

admin_support = ApiBlueprint(
    "admin_support", __name__, url_prefix="/admin", description="Support access, for operators"
)

_PATH = "/organizations/<organization_id>/support"


@admin_support.get(_PATH, refusals=OF_OPERATORS)
@admin_support.response(200, SupportGrantsAnswer)
def list_support_grants_as_operator(organization_id: str) -> dict[str, Any]:
    """List the support grants of an organization, as an operator

    The newest 50, of all operators.
    """
    operator_by_request("console.view")
    organization = find_organization(organization_id)
    return {"grants": grants.grants_of(organization.id)}


@admin_support.post(
    _PATH,
    refusals=(
        *OF_OPERATOR_CHANGES,
        OrganizationTrashed,
        InvalidReason,
        InvalidHours,
        DocumentsOutOfReach,
        AlreadyAsked,
        TooManyAttempts,
    ),
)
@by_operator("console.view")
@takes_key
@admin_support.arguments(ReasonedBody)
@admin_support.response(201, SupportGrantAnswer)
def ask_for_support_access(
    operator: Operator, body: dict[str, Any], organization_id: str
) -> dict[str, Any]:
    """Ask the owners of an organization for support access

    They get a mail, and choose what is shown, and for how long.
    """
    organization = find_organization(organization_id)
    asked = grants.ask(
        organization.id,
        body["reason"],
        body["hours"],
        operator.context,
        with_documents=body["with_documents"],
    )
    return {"grant": grants.grant_of(organization.id, asked.id)}


@admin_support.delete(
    f"{_PATH}/<grant_id>", refusals=(*OF_OPERATOR_CHANGES, GrantNotFound, AlreadyDecided)
)
@takes_key
@admin_support.response(200, SupportGrantAnswer)
def give_support_access_back(organization_id: str, grant_id: str) -> dict[str, Any]:
    """Withdraw a request for support access, or end one in force

    Nobody looks by it any more.
    """
    operator = operator_by_request("console.view")
    organization = find_organization(organization_id)
    found = grants.grant_for(organization.id, grant_id, operator.id)
    grants.give_back(organization.id, found.id, operator.context)
    return {"grant": grants.grant_of(organization.id, found.id)}


def _replay_ask(record: IdempotencyRecord) -> Answer:
    return _current(record), 201, {}


def _replay_give_back(record: IdempotencyRecord) -> Answer:
    return _current(record), 200, {}


def _current(record: IdempotencyRecord) -> dict[str, Any]:
    """The grant that the first call made or changed, as it is now."""
    return {"grant": grants.grant_of(record.organization, record.operation)}


install_replays(
    admin_support,
    {
        "ask_for_support_access": (SupportGrantAnswer, _replay_ask),
        "give_support_access_back": (SupportGrantAnswer, _replay_give_back),
    },
)
