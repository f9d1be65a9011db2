"""The list of placements, for operators.

A page takes milliseconds among a million organizations, whatever it is filtered by: an index begins
with plan or region, if one is asked for, goes on with strategy and cluster, and ends with ``_id``,
by which the list is sorted. A query names all strategies and clusters where one isn't asked for, so
the server merges what it finds in order.
"""

from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from portal.database.clusters import known_clusters
from portal.database.paging import Page, page_from
from portal.documents.organizations import (
    MAIN_CLUSTER,
    Organization,
    OrganizationState,
    Strategy,
)

_SHOWN = ("slug", "state", "plan", "region", "placement")


@dataclass(frozen=True, slots=True)
class Filter:
    """The placements to list; ``None`` lists all."""

    strategy: Strategy | None = None
    cluster: str | None = None
    pool: int | None = None
    plan: str | None = None
    region: str | None = None

    @property
    def query(self) -> dict[str, Any]:
        """The filter as MongoDB's."""
        strategies = [self.strategy] if self.strategy else list(Strategy)
        clusters = [self.cluster] if self.cluster else [one.name for one in known_clusters()]
        given = {"placement.pool": self.pool, "plan": self.plan, "region": self.region}
        return {
            # The first versions wrote neither.
            "placement.strategy": {"$in": _or_none(strategies, Strategy.COLLECTION)},
            "placement.cluster": {"$in": _or_none(clusters, MAIN_CLUSTER)},
            "state": {"$ne": OrganizationState.PURGED},
            **{field: value for field, value in given.items() if value is not None},
        }


def list_placements(wanted: Filter, *, size: int, after: ObjectId | None = None) -> Page:
    """A page of organizations, as stored, in the order of their creation."""
    query = wanted.query | ({"_id": {"$gt": after}} if after else {})
    found = Organization._get_collection().find(query, dict.fromkeys(_SHOWN, 1))
    rows = list(found.sort("_id", 1).limit(size + 1))
    return page_from(rows, key="_id", size=size, after=after)


def _or_none(values: list[Any], if_absent: str) -> list[Any]:
    return [*values, None] if if_absent in values else values
