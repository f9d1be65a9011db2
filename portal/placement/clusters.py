"""Clusters as places for organizations."""

from collections.abc import Collection

from portal.applications.following import reachable_by_all_applications
from portal.database.clusters import KnownCluster, find_cluster, is_available, known_clusters
from portal.placement.errors import ClustersUnavailable, RegionUnavailable, UnknownRegion
from portal.placement.policies import current_policy


def placeable_clusters(
    region: str | None, *, followed: bool = True, without: Collection[str] = ()
) -> list[KnownCluster]:
    """The clusters that take a new organization now, and that all applications reach unless they
    need not be ``followed`` there, but for those in ``without``; for one that is bound to a
    ``region`` only those in it.

    Raises UnknownRegion, RegionUnavailable, ClustersUnavailable where there is none.
    """
    there = [one for one in known_clusters() if region is None or one.region == region]
    if region and not there:
        raise UnknownRegion(region)
    taking = [
        one
        for one in there
        if one.open
        and one.name not in without
        and is_available(one.name)
        and (not followed or reachable_by_all_applications(one.name))
    ]
    if not taking:
        raise RegionUnavailable(region) if region else ClustersUnavailable
    return taking


def regions_offered(cluster: str) -> list[str]:
    """The regions that owners may ask to be moved to, by the policy, from this cluster: others than
    its own, in which a cluster takes organizations. Raises UnknownCluster."""
    offered = current_policy().moves.offered_regions
    here = find_cluster(cluster).region
    there = {one.region for one in known_clusters() if one.open}
    return [region for region in offered if region != here and region in there]
