"""Clusters as places for new organizations."""

from dataclasses import dataclass

from portal import settings
from portal.documents.organizations import MAIN_CLUSTER
from portal.placement.errors import UnknownRegion


@dataclass(frozen=True, slots=True)
class PlaceableCluster:
    """A cluster that takes organizations, more of them the larger its ``weight``."""

    name: str
    region: str | None = None
    weight: int = 1


def known_clusters() -> list[PlaceableCluster]:
    """All clusters."""
    return [PlaceableCluster(MAIN_CLUSTER, settings.current().main_region or None)]


def placeable_clusters(region: str | None) -> list[PlaceableCluster]:
    """The clusters that may take an organization: one that is bound to a ``region`` only those in
    it. Raises UnknownRegion where none is."""
    found = [one for one in known_clusters() if region is None or one.region == region]
    if region and not found:
        raise UnknownRegion(region)
    return found


def is_in_region(cluster: str, region: str) -> bool:
    """Tell whether the cluster is in the region."""
    return any(one.name == cluster and one.region == region for one in known_clusters())
