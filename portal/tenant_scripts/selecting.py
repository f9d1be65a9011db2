"""The organizations that a script is for."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from portal.database.clusters import known_clusters
from portal.documents.jobs import ItemState
from portal.documents.organizations import (
    KNOWN_STRATEGY,
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Slug,
    SlugState,
    Strategy,
)
from portal.jobs.items import Item, Items
from portal.tenant_scripts.errors import UnknownOrganizations

MOST_NAMED = 50_000
NOBODY = ObjectId("0" * 24)
_PAGE = 1000
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """All organizations, or those that are named, on one of the plans, in one of the regions, in
    one of the clusters, and placed by one of the strategies; where a list is empty, any."""

    named: tuple[ObjectId, ...] = ()
    plans: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()

    @property
    def query(self) -> dict[str, Any]:
        """The filter of their documents, whatever their state."""
        wanted: dict[str, tuple[Any, ...]] = {
            "_id": self.named,
            "plan": self.plans,
            "region": self.regions,
            "placement.cluster": _or_none(self.clusters, MAIN_CLUSTER),
            "placement.strategy": _or_none(self.strategies, Strategy.COLLECTION),
        }
        chosen = {name: {"$in": list(values)} for name, values in wanted.items() if values}
        return {**KNOWN_STRATEGY, **chosen}

    def among(self, ids: tuple[ObjectId, ...]) -> "Selection":
        """The selection narrowed to ``ids``, of which there is one at least."""
        named = tuple(one for one in ids if one in self.named) if self.named else ids
        # Without a name it would be all of them.
        return replace(self, named=named or (NOBODY,))

    @property
    def stored(self) -> dict[str, list[Any]]:
        """The form in which a job keeps it."""
        return {name: list(values) for name, values in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Selected:
    """An organization of a selection, with its state in the script's jobs, if it has one."""

    id: ObjectId
    slug: str
    strategy: str
    item: Item | None = None

    @property
    def state(self) -> ItemState | None:
        """Its state; none where it didn't take the script at a place that it has left since."""
        if self.item is None:
            return None
        moved = self.item.strategy != self.strategy
        gone = moved and self.item.state == ItemState.NOT_APPLICABLE
        return None if gone else self.item.state

    @property
    def is_pending(self) -> bool:
        """Tell whether a job that begins now is to reach it."""
        return self.state not in (ItemState.DONE, ItemState.NOT_APPLICABLE)


def find_ids(names: Sequence[str]) -> tuple[ObjectId, ...]:
    """The ids of organizations by slug, or by id. Raises UnknownOrganizations."""
    slugs = Slug.objects(id__in=names, state=SlugState.CURRENT).scalar("id", "organization")
    found: dict[str, ObjectId] = dict(slugs)
    others = {
        name: ObjectId(name) for name in names if name not in found and ObjectId.is_valid(name)
    }
    there = set(Organization.objects(id__in=list(others.values())).scalar("id"))
    found |= {name: own for name, own in others.items() if own in there}
    if unknown := [name for name in dict.fromkeys(names) if name not in found]:
        more = f" and {len(unknown) - _TOLD} more" if len(unknown) > _TOLD else ""
        raise UnknownOrganizations(", ".join(unknown[:_TOLD]) + more)
    return tuple(sorted({found[name] for name in names}))


def select(
    selection: Selection, items: Items, *, created_before: datetime | None = None
) -> Iterator[Selected]:
    """The active organizations of the selection in the order of their ids, read in pages; without
    those that were lost with their cluster."""
    lost = [cluster.name for cluster in known_clusters() if cluster.lost_at]
    reached: dict[str, Any] = {"state": OrganizationState.ACTIVE}
    if lost:
        reached["placement.cluster"] = {"$nin": lost}
    if created_before:
        reached["created_at"] = {"$lte": created_before}
    shown = {"slug": 1, "placement.strategy": 1}
    after: dict[str, Any] = {}
    while True:
        page = Organization._get_collection().find(
            {"$and": [selection.query, reached, after]}, shown
        )
        rows = list(page.sort("_id", 1).limit(_PAGE))
        if not rows:
            return
        states = items.between(rows[0]["_id"], rows[-1]["_id"])
        for row in rows:
            strategy = row.get("placement", {}).get("strategy", Strategy.COLLECTION)
            yield Selected(row["_id"], row["slug"], strategy, states.get(row["_id"]))
        after = {"_id": {"$gt": rows[-1]["_id"]}}


def count_trashed(selection: Selection) -> int:
    """The organizations of the selection that are in the trash, where no script reaches them."""
    query = {**selection.query, "state": OrganizationState.TRASHED}
    return Organization._get_collection().count_documents(query)


def _or_none(chosen: tuple[str, ...], default: str) -> tuple[str | None, ...]:
    """With nothing in place of the default, as the first versions wrote it."""
    return (*chosen, None) if default in chosen else chosen
