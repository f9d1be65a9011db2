"""The effect of other limits of a plan on its organizations, told before anything is set."""

from dataclasses import asdict, dataclass
from typing import Any

from portal.documents.figures import OrganizationFigures
from portal.documents.limits import PlanLimits
from portal.documents.organizations import Organization, OrganizationState
from portal.operators.usage.forms import seen_of
from portal.operators.usage.load import Load, load_of
from portal.organizations.usage.limits import LimitKind, Wanted, check_limits

MOST_COUNTED = 10_000
"""The number of a plan's organizations up to which they are counted."""

MOST_CLUSTERS = 5
"""The number of clusters, with most of them, of which the limits are added up."""

_KEPT = LimitKind.DOCUMENTS, LimitKind.BYTES


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A limit of a plan that becomes another one: for the ``organizations`` that have none of their
    own, of which those ``above`` kept more when they were last measured, and then only shrink."""

    kind: LimitKind
    before: int | None
    after: int | None
    organizations: int
    above: int


@dataclass(frozen=True, slots=True)
class LimitsPlan:
    """Other limits of a plan; nothing is set. ``organizations`` have it, of which MOST_COUNTED at
    most are counted. ``clusters`` are those with most of them, as limits would add up there.
    ``seen`` is how the limits are now: set with it they have to be so still."""

    plan: str
    seen: str
    organizations: int
    changes: tuple[LimitChange, ...]
    clusters: tuple[Load, ...]

    @property
    def more(self) -> bool:
        """True where there are more organizations than were counted."""
        return self.organizations > MOST_COUNTED

    def as_told(self) -> dict[str, Any]:
        """The plan for programs."""
        clusters = [{**asdict(load), "overcommitted": load.overcommitted} for load in self.clusters]
        return {**asdict(self), "more": self.more, "clusters": clusters}


def plan_limits(plan: str, wanted: Wanted) -> LimitsPlan:
    """The effect of setting these limits of a plan; kinds that aren't named stay. Raises
    InvalidLimit."""
    check_limits(wanted)
    stored = PlanLimits.objects(id=plan).first()
    limits = stored.limits if stored else None
    before = {kind: getattr(limits, kind) if limits else None for kind in LimitKind}
    after = {**before, **wanted}
    changed = [kind for kind in LimitKind if before[kind] != after[kind]]
    rows = _counted(plan, after)
    loads: tuple[Load, ...] = ()
    if LimitKind.OPERATIONS in changed:
        wanted_operations = {plan: after[LimitKind.OPERATIONS]}
        loads = tuple(load_of(row["_id"], wanted_operations) for row in rows[:MOST_CLUSTERS])
    return LimitsPlan(
        plan=plan,
        seen=seen_of(limits),
        organizations=sum(row["organizations"] for row in rows),
        changes=tuple(
            LimitChange(
                kind=kind,
                before=before[kind],
                after=after[kind],
                organizations=sum(row[kind] for row in rows),
                above=sum(row[f"above_{kind}"] for row in rows),
            )
            for kind in changed
        ),
        clusters=loads,
    )


def _counted(plan: str, after: Wanted) -> list[dict[str, Any]]:
    """The organizations with the plan by cluster, most first: how many, without a limit of their
    own of each kind, and of these above that of the plan."""
    without = {kind: {"$lte": [f"$limits.{kind}", None]} for kind in LimitKind}
    above = {
        kind: {"$and": [without[kind], {"$gt": [{"$first": f"$figures.{kind}"}, after[kind]]}]}
        if kind in _KEPT and after[kind] is not None
        else False
        for kind in LimitKind
    }
    of_figures = {
        "from": OrganizationFigures._get_collection_name(),
        "localField": "_id",
        "foreignField": "_id",
        "as": "figures",
    }
    return list(
        Organization._get_collection().aggregate(
            [
                {"$match": {"plan": plan, "state": OrganizationState.ACTIVE}},
                {"$limit": MOST_COUNTED + 1},
                {"$lookup": of_figures},
                {"$group": {
                    "_id": "$placement.cluster",
                    "organizations": {"$sum": 1},
                    **{str(kind): _sum(without[kind]) for kind in LimitKind},
                    **{f"above_{kind}": _sum(above[kind]) for kind in LimitKind},
                }},
                {"$sort": {"organizations": -1, "_id": 1}},
            ]
        )
    )  # fmt: skip


def _sum(condition: Any) -> dict[str, Any]:
    return {"$sum": {"$cond": [condition, 1, 0]}}
