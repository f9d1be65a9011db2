"""Choosing the placement of a new organization, by the policy and by what clusters hold."""

import random
from collections.abc import Collection, Iterable

import structlog

from portal.database.clusters import KnownCluster, known_clusters
from portal.documents.organizations import Organization, Placement, Strategy
from portal.placement import capacity
from portal.placement.clusters import placeable_clusters
from portal.placement.errors import ClustersUnavailable, NoOtherCluster, RegionUnavailable
from portal.placement.policies import Policy, current_policy

log = structlog.get_logger()


def choose(
    plan: str | None = None, region: str | None = None, without: Collection[str] = ()
) -> Placement:
    """The strategy and the cluster, none of those in ``without``, of an organization that is about
    to be made, by one version of the policy.

    Bound to a ``region`` it is placed there or nowhere. Where the clusters that the policy wants
    are away, others of the region take it; where none has room for a collection of its own, it
    shares one. Not inside a transaction. Raises UnknownRegion, RegionUnavailable,
    ClustersUnavailable, and PyMongoError where master data can't be read.
    """
    policy = current_policy()
    clusters = placeable_clusters(
        region, followed=policy.guard.applications_follow, without=without
    )
    rule = policy.rule_for(plan, _organizations)
    named = [cluster for cluster in clusters if rule.clusters and cluster.name in rule.clusters]
    candidates = _by_weight(named or clusters, policy)
    roomy = (one for one in candidates if capacity.take(one.name, rule.strategy, policy))
    placed = None if rule.strategy == Strategy.SHARED else next(roomy, None)
    cluster = placed or candidates[0]
    strategy = rule.strategy if placed else Strategy.SHARED
    log.info(
        "placement.chosen",
        strategy=strategy,
        wanted=rule.strategy,
        cluster=cluster.name,
        policy=policy.version,
        plan=plan,
    )
    return Placement(strategy=strategy, cluster=cluster.name)


def expected_strategy() -> Strategy:
    """The strategy by which a sign-up would be placed now, without plan and region: by the policy,
    and by what this process knows of the room on clusters; it asks none."""
    policy = current_policy()
    rule = policy.rule_for(None, _organizations)
    taking = [one for one in known_clusters() if one.open]
    named = [one for one in taking if rule.clusters and one.name in rule.clusters]
    full = 1 - policy.guard.full_at_percent / 100
    roomy = any(capacity.free_share(one.name, policy) > full for one in named or taking)
    return rule.strategy if roomy else Strategy.SHARED


def choose_other(cluster: str, region: str | None) -> str:
    """Another cluster for an organization that leaves this one, by their weights and room.

    Raises UnknownRegion, NoOtherCluster.
    """
    policy = current_policy()
    try:
        taking = placeable_clusters(region, followed=policy.guard.applications_follow)
    except (RegionUnavailable, ClustersUnavailable) as error:
        raise NoOtherCluster(cluster, region) from error
    others = [one for one in taking if one.name != cluster]
    if not others:
        raise NoOtherCluster(cluster, region)
    return _by_weight(others, policy)[0].name


def _organizations() -> int:
    """The number of organizations, purged ones included, by the server's own counter."""
    return Organization._get_collection().estimated_document_count()


def _by_weight(clusters: Iterable[KnownCluster], policy: Policy) -> list[KnownCluster]:
    """The clusters in random order, the heavier and the emptier sooner in proportion."""

    def key(cluster: KnownCluster) -> float:
        weight = cluster.weight * capacity.free_share(cluster.name, policy)
        return random.random() ** (1 / weight) if weight else 0  # noqa: S311 (no secret)

    return sorted(clusters, key=key, reverse=True)
