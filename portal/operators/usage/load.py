"""The sum of limits on a cluster, against what it has done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from portal import clock
from portal.documents.limits import PlanLimits
from portal.documents.organizations import Organization, OrganizationState
from portal.documents.usage import ClusterUsage

_LOOKED_BACK = timedelta(days=30)
_HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Load:
    """The limits of operations per second of a cluster's organizations together, how many have
    one, and the most that the cluster has done in an hour lately, per second."""

    cluster: str
    limited: int
    organizations: int
    most: float | None

    @property
    def overcommitted(self) -> bool:
        """True where the limits allow more than the cluster was ever seen to do."""
        return self.most is not None and self.limited > self.most


def load_of(cluster: str, instead: Mapping[str, int | None] | None = None) -> Load:
    """The limits of a cluster's organizations, added up; ``instead`` has others of plans.
    Costs a read of those that have limits of their own, and counts by index."""
    there = {"placement.cluster": cluster, "state": OrganizationState.ACTIVE}
    organizations = Organization._get_collection()
    own = next(
        iter(
            organizations.aggregate(
                [
                    {"$match": {"limits.operations": {"$gt": 0}, **there}},
                    {"$group": {
                        "_id": None,
                        "sum": {"$sum": "$limits.operations"},
                        "count": {"$sum": 1},
                    }},
                ]
            )
        ),
        {"sum": 0, "count": 0},
    )  # fmt: skip
    limited, having = own["sum"], own["count"]
    with_limits = PlanLimits.objects(limits__operations__gt=0)
    of_plans = {plan.id: plan.limits.operations for plan in with_limits} | dict(instead or {})
    for plan, operations in of_plans.items():
        if not operations:
            continue
        by_plan = organizations.count_documents({"plan": plan, "limits.operations": None, **there})
        limited += by_plan * operations
        having += by_plan
    busiest = (
        ClusterUsage.objects(cluster=cluster, hour__gte=clock.now() - _LOOKED_BACK)
        .order_by("-total.operations")
        .only("total")
        .first()
    )
    most = busiest.total.get("operations", 0) / _HOUR_SECONDS if busiest else None
    return Load(cluster, limited, having, most)
