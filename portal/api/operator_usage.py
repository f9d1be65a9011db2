"""Use and limits, for programs of operators."""

from typing import Any

from portal.api import replay
from portal.api.guard import ApiBlueprint
from portal.api.operator_organization_schemas import DryRunQuery
from portal.api.operator_usage_schemas import (
    LimitsAnswer,
    LimitsBody,
    LoudQuery,
    PlanLimitsBody,
    PlansAnswer,
    RecountAnswer,
    SetPlansAnswer,
    TopUsageAnswer,
    UsageAnswer,
    UsageQuery,
)
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    by_operator,
    install_replays,
    operator_by_request,
)
from portal.api.replay import Answer, takes_key
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.organizations import Organization
from portal.operators.access import Operator
from portal.operators.organization_pages import find_organization
from portal.operators.usage.forms import seen_in
from portal.operators.usage.planning import plan_limits
from portal.organizations.lifecycle.errors import TenantCollectionMissing
from portal.organizations.usage import limits, reading
from portal.organizations.usage.errors import LimitsChanged
from portal.organizations.usage.limits import LimitKind, Wanted
from portal.organizations.usage.reading import Span, Usage
from portal.placement.errors import InvalidPlan
from portal.placement.identifiers import parse_plan

admin_usage = ApiBlueprint(
    "admin_usage", __name__, url_prefix="/admin", description="Use and limits of organizations"
)

_ONE = "/organizations/<organization_id>"


@admin_usage.get("/usage", refusals=OF_OPERATORS)
@by_operator("console.view")
@admin_usage.arguments(LoudQuery, location="query")
@admin_usage.response(200, TopUsageAnswer)
def list_loudest_organizations(operator: Operator, query: dict[str, Any]) -> reading.Loudness:
    """List the organizations that use most

    Those with the most operations in the last hour. Counted is what the portal does, and software
    that uses the library; organizations’ own MongoDB users are not.
    """
    return reading.loudest(query["limit"], cluster=query.get("cluster"))


@admin_usage.get(f"{_ONE}/usage", refusals=OF_OPERATORS)
@by_operator("console.view")
@admin_usage.arguments(UsageQuery, location="query")
@admin_usage.response(200, UsageAnswer)
def get_usage_as_operator(
    operator: Operator, query: dict[str, str], organization_id: str
) -> dict[str, Any]:
    """See what an organization uses

    By minute, ten minutes or hour. Counts are null where nothing was measured, and of a time in
    `gaps` some may be missing.
    """
    organization = find_organization(organization_id)
    return {"usage": _told(reading.usage_of(organization, Span(query["span"])))}


@admin_usage.get(f"{_ONE}/limits", refusals=OF_OPERATORS)
@admin_usage.response(200, LimitsAnswer)
def get_limits_as_operator(organization_id: str) -> dict[str, Any]:
    """See the limits of an organization, and how much is used

    Its own, or those of its plan. Of operations, `used` are those of the last whole minute, per
    second.
    """
    operator_by_request("console.view")
    return _limits(find_organization(organization_id))


@admin_usage.patch(f"{_ONE}/limits", refusals=(*OF_OPERATOR_CHANGES, TenantCollectionMissing))
@by_operator("console.act")
@takes_key
@admin_usage.arguments(LimitsBody)
@admin_usage.response(200, LimitsAnswer)
def set_limits(
    operator: Operator, body: dict[str, int | None], organization_id: str
) -> dict[str, Any]:
    """Set limits of an organization

    Those that are sent; null leaves its plan’s. Software that is running knows within seconds.
    """
    organization = find_organization(organization_id)
    return _limits(limits.set_limits(organization, _wanted(body), operator.context))


@admin_usage.post(f"{_ONE}/limits/count", refusals=(*OF_OPERATORS, TenantCollectionMissing))
@admin_usage.response(200, RecountAnswer)
def count_anew(organization_id: str) -> limits.Recount:
    """Recount what an organization keeps

    One by one, or by the server’s figures where that takes long; what was known before is told
    beside it.
    """
    operator = operator_by_request("console.act")
    return limits.recount(find_organization(organization_id), operator.context)


@admin_usage.get("/plans", refusals=OF_OPERATORS)
@admin_usage.response(200, PlansAnswer)
def list_plan_limits() -> dict[str, Any]:
    """List the limits of plans

    Those of their organizations that have none of their own.
    """
    operator_by_request("console.view")
    return _plans()


@admin_usage.patch(
    "/plans/<plan>/limits", refusals=(*OF_OPERATOR_CHANGES, InvalidPlan, LimitsChanged)
)
@by_operator("console.act")
@admin_usage.doc(parameters=[replay.PARAMETER, {"in": "query", "schema": DryRunQuery}])
@admin_usage.arguments(DryRunQuery, location="query")
@admin_usage.arguments(PlanLimitsBody)
@admin_usage.response(200, SetPlansAnswer)
def set_plan_limits(
    operator: Operator, query: dict[str, bool], body: dict[str, Any], plan: str
) -> dict[str, Any]:
    """Set limits of a plan

    They are those of its organizations that have none of their own.
    """
    name, seen = parse_plan(plan), seen_in(body.pop("seen", ""))
    if query["dry_run"]:
        return {"plans": None, "plan": plan_limits(name, _wanted(body)).as_told()}
    limits.set_plan_limits(name, _wanted(body), operator.context, seen=seen)
    return {**_plans(), "plan": None}


def _limits(organization: Organization) -> dict[str, Any]:
    return {"limits": list(limits.limits_of(organization).values())}


def _plans() -> dict[str, Any]:
    return {
        "plans": [
            {"plan": each.id, **{kind: getattr(each.limits, kind) for kind in LimitKind}}
            for each in limits.plans_with_limits()
        ]
    }


def _told(usage: Usage) -> dict[str, Any]:
    return {
        "since": usage.since,
        "until": usage.until,
        "known_until": usage.known_until,
        "total": usage.total,
        "points": [{"since": at, "counts": counts} for at, counts in usage.points],
        "gaps": usage.gaps,
    }


def _wanted(body: dict[str, int | None]) -> Wanted:
    return {LimitKind(kind): value for kind, value in body.items()}


def _replay_limits(record: IdempotencyRecord) -> Answer:
    return _limits(find_organization(str(record.organization))), 200, {}


def _replay_plans(record: IdempotencyRecord) -> Answer:
    return {**_plans(), "plan": None}, 200, {}


install_replays(
    admin_usage,
    {
        "set_limits": (LimitsAnswer, _replay_limits),
        "set_plan_limits": (SetPlansAnswer, _replay_plans),
    },
)
