"""Findings about clusters beside the first: what can't be examined is told, never passed over."""

from collections.abc import Iterator
from datetime import timedelta

from portal import clock
from portal.clusters import managing
from portal.clusters.errors import ClusterSilent
from portal.database.clusters import known_clusters
from portal.doctor.findings import Finding, Kind
from portal.documents.clusters import Cluster
from portal.documents.organizations import MAIN_CLUSTER, Organization, OrganizationState
from portal.web.counting import counted

SILENT = Kind(
    "silent_cluster",
    "Clusters that don't answer",
    "Nothing else was examined there, so nothing is known of their organizations' documents. Call "
    "the doctor again once they answer. One that is gone for ever: flask clusters lost NAME.",
)
UNSUITABLE = Kind(
    "unsuitable_cluster",
    "Clusters that are not as the portal needs them",
    "flask clusters check NAME looks again.",
)
HALF_REMOVED = Kind(
    "half_removed_cluster",
    "Clusters whose removal broke off",
    "They take no organizations. flask clusters remove NAME removes them, or says what they hold "
    "and opens them again.",
)
UNKNOWN = Kind(
    "unknown_cluster",
    "Organizations in clusters that the registry doesn't know",
    "An older backup of the master database leaves them so: flask clusters add NAME registers the "
    "cluster again.",
)
LOST = Kind(
    "lost_organizations",
    "Organizations whose cluster was given up",
    "Their owners can delete them. Once no organization is there: flask clusters remove NAME.",
    harmless=True,
)

_REMOVED_WITHIN = timedelta(minutes=1)


def find_amiss() -> Iterator[Finding]:
    """Clusters that don't answer or aren't suitable, and organizations in none."""
    for known in known_clusters():
        if known.name != MAIN_CLUSTER and known.lost_at is None:
            yield from _problems_of(known.name)
    begun = clock.now() - _REMOVED_WITHIN
    for cluster in Cluster.objects(removing_since__lt=begun):
        yield Finding(HALF_REMOVED, cluster.name, f"since {cluster.removing_since:%Y-%m-%d %H:%M}")
    yield from _organizations_without_documents()


def _problems_of(name: str) -> Iterator[Finding]:
    try:
        checked = managing.check_known(name)
    except ClusterSilent as silent:
        yield Finding(SILENT, name, silent.reason)
        return
    for words in (*checked.problems, *checked.warnings):
        yield Finding(UNSUITABLE, name, words)


def _organizations_without_documents() -> Iterator[Finding]:
    known = {one.name: one for one in known_clusters()}
    living = Organization.objects(state__ne=OrganizationState.PURGED)
    for name in sorted(living.distinct("placement.cluster")):
        there = living.filter(placement__cluster=name)
        if name not in known:
            yield Finding(UNKNOWN, name, counted(there.count(), "organization"))
        elif known[name].lost_at:
            since = f"{known[name].lost_at:%Y-%m-%d}"
            yield Finding(LOST, name, f"{counted(there.count(), 'organization')}, since {since}")
