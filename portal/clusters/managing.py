"""Adds clusters, changes and removes them, and gives up those that are lost.

Each cluster has an identity in a document of its own, which the registry knows: so a URI that leads
to another one, or to one that is registered already, is refused.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pymongo
from environs import ValidationError
from mongoengine import Q
from mongoengine.errors import NotUniqueError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from portal import clock
from portal.audit.trail import installation, record
from portal.clusters import checking
from portal.clusters.checking import Checked
from portal.clusters.errors import (
    AnotherCluster,
    ClusterExists,
    ClusterInUse,
    ClusterIsLost,
    ClusterKnown,
    ClusterNotFound,
    ClusterSilent,
    ClusterUnsuitable,
    InvalidClusterName,
    InvalidClusterUri,
    InvalidWeight,
    RegionInUse,
    TakesOrganizations,
    UriOfMain,
    UriUnusable,
)
from portal.database import clusters
from portal.database.clusters import (
    UNUSABLE_URI,
    KnownCluster,
    forget_registry,
    known_clusters,
    open_client,
)
from portal.database.connection import client
from portal.database.errors import ClusterUnavailable
from portal.database.transactions import transactional, within_transaction
from portal.documents.applications import Application
from portal.documents.capacity import CapacityReading
from portal.documents.clusters import Cluster
from portal.documents.moves import Move, MoveState
from portal.documents.organizations import MAIN_CLUSTER, Organization, OrganizationState
from portal.documents.pools import Pool
from portal.placement.identifiers import parse_region
from portal.settings import checks, sealing
from portal.web.context import RequestContext

SHOWN_ORGANIZATIONS = 20
HIGHEST_WEIGHT = 1000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Changes:
    """New values of a cluster's fields; ``None`` leaves one as it is, an empty text unsets it."""

    uri: str | None = field(default=None, repr=False)
    region: str | None = None
    weight: int | None = None
    credentials_uri: str | None = None


@dataclass(frozen=True, slots=True)
class ListedCluster:
    """A cluster with the number of its organizations; it ``answers`` where nothing is said."""

    cluster: KnownCluster
    organizations: int
    silence: str | None


def add_cluster(name: str, changes: Changes, context: RequestContext) -> Checked:
    """Register a cluster after it was checked.

    Raises InvalidClusterName, InvalidClusterUri, InvalidRegion, InvalidWeight, ClusterExists,
    RegionInUse, ClusterSilent, ClusterUnsuitable, ClusterKnown.
    """
    if not _NAME.fullmatch(name) or name == MAIN_CLUSTER:
        raise InvalidClusterName(name)
    values, uri = _values_of(changes), changes.uri or ""
    if Cluster.objects(name=name).first():
        raise ClusterExists(name)
    with _opened(name, uri) as server:
        checked = _check_suitable(name, server)
        values["identity"] = checking.write_identity(server)
        if checking.read_identity(client()) == values["identity"]:
            checking.delete_identity(server)
            raise ClusterKnown(name, MAIN_CLUSTER)
    _insert(name, values, context)
    forget_registry()
    return checked


def change_cluster(name: str, changes: Changes, context: RequestContext) -> Checked | None:
    """Change what is given; another URI after the cluster that it leads to was checked. The result
    of that.

    Raises ClusterNotFound, ClusterIsLost, InvalidClusterUri, InvalidRegion, InvalidWeight,
    RegionInUse, ClusterSilent, ClusterUnsuitable, AnotherCluster.
    """
    values, known = _values_of(changes), find_record(name)
    if known.lost_at:
        raise ClusterIsLost(name)
    checked = None
    if changes.uri is not None:
        if name == MAIN_CLUSTER:
            raise UriOfMain
        with _opened(name, changes.uri) as server:
            checked = _check_suitable(name, server)
            if checking.read_identity(server) != known.identity:
                raise AnotherCluster(name)
    _write_changes(name, values, context)
    forget_registry()
    return checked


def check_known(name: str) -> Checked:
    """Check a cluster of the registry, or the first. Raises ClusterNotFound, ClusterIsLost,
    ClusterSilent."""
    if find_record(name).lost_at:
        raise ClusterIsLost(name)
    try:
        uri = clusters.uri_of(name)
    except ClusterUnavailable as unreadable:
        raise ClusterSilent(name, f"{unreadable.reason}.") from unreadable
    with _opened(name, uri) as server:
        checked = checking.check_cluster(name, server)
        known = find_record(name).identity
        if name != MAIN_CLUSTER and checking.read_identity(server) != known:
            checked.problems.append("It is another MongoDB than the one that was added.")
    return checked


def list_clusters() -> list[ListedCluster]:
    """All clusters by name, the first one first."""
    forget_registry()
    counts = _count_organizations()
    return [_listed(known, counts.get(known.name, 0)) for known in known_clusters()]


def remove_cluster(name: str, context: RequestContext) -> None:
    """Forget a cluster that holds nothing; what is on it stays as it is.

    Raises ClusterNotFound, ClusterInUse. A process that dies in between leaves it closed: then
    call it again.
    """
    if name == MAIN_CLUSTER:
        raise ClusterNotFound(name)
    find_record(name)
    # Whoever places an organization there writes the same record: they come before, and are
    # counted, or fail.
    Cluster.objects(name=name).update_one(set__removing_since=clock.now())
    forget_registry()
    held = holds(name)
    if held is not None:
        Cluster.objects(name=name).update_one(unset__removing_since=True)
        forget_registry()
        raise held
    _delete(name, context)
    forget_registry()


def lose_cluster(name: str, context: RequestContext) -> int:
    """Give a cluster up for ever; how many organizations are lost with it.

    From then on nothing waits for it: what runs there is due at once, and ends as given up. Its
    organizations stay in master data. Portals know it after REGISTRY_SECONDS. Raises
    ClusterNotFound, ClusterIsLost.
    """
    if name == MAIN_CLUSTER:
        raise ClusterNotFound(name)
    _write_lost(name, context)
    forget_registry()
    now = [{"$set": {"operation.lease_until": "$$NOW"}}]
    Organization._get_collection().update_many(_waiting(name), now)
    return Organization.objects(placement__cluster=name, state__ne=OrganizationState.PURGED).count()


def holds(name: str) -> ClusterInUse | None:
    """The reason against removing a cluster: organizations that are there, and moves and ways back
    from or to it; ``None`` where there is none."""
    there = Organization.objects(
        placement__cluster__in=_here(name), state__ne=OrganizationState.PURGED
    )
    # In this order: whoever leaves writes the way back in the same transaction.
    first = list(there.order_by("slug").limit(SHOWN_ORGANIZATIONS).scalar("slug"))
    moves = Move.objects(__raw__=moves_at(name)).order_by("slug")
    told = [_in_words(move) for move in moves.limit(SHOWN_ORGANIZATIONS)]
    if not first and not told:
        return None
    pools = sorted(number for number in there.distinct("placement.pool") if number is not None)
    return ClusterInUse(name, there.count(), first, pools, moves.count(), told)


def moves_at(name: str) -> dict[str, Any]:
    """The query for the open moves and ways back from or to a cluster."""
    return {"open": True, "$or": [{"source.cluster": name}, {"target.cluster": name}]}


def check_closed(name: str) -> None:
    """Return if the cluster takes no new organizations. Raises TakesOrganizations,
    ClusterNotFound."""
    known = find_record(name)
    if known.weight and not known.lost_at:
        raise TakesOrganizations(name)


def count_waiting(name: str) -> int:
    """The number of operations that run on organizations in a cluster."""
    return Organization._get_collection().count_documents(_waiting(name))


def find_record(name: str) -> Cluster:
    """The record of a cluster; that of the first may not be stored. Raises ClusterNotFound."""
    found = Cluster.objects(name=name).first()
    if found is None and name != MAIN_CLUSTER:
        raise ClusterNotFound(name)
    return found or Cluster(name=name)


def _here(name: str) -> list[str | None]:
    """The names that placements have of a cluster: the first versions wrote none."""
    return [name, None] if name == MAIN_CLUSTER else [name]


def _waiting(name: str) -> dict[str, Any]:
    return {"placement.cluster": name, "operation.lease_until": {"$exists": True}}


def _values_of(changes: Changes) -> dict[str, Any]:
    """The fields to write. Raises the reason why a value can't be."""
    values: dict[str, Any] = {}
    try:
        if changes.uri is not None:
            _check_uri(changes.uri)
            values["uri"] = sealing.seal(changes.uri)
        if changes.credentials_uri is not None:
            checks.customers_uri(changes.credentials_uri)
            values["credentials_uri"] = changes.credentials_uri or None
    except ValidationError as error:
        raise InvalidClusterUri(str(error.messages[0])) from error
    if changes.region is not None:
        values["region"] = parse_region(changes.region) if changes.region else None
    if changes.weight is not None:
        if not 0 <= changes.weight <= HIGHEST_WEIGHT:
            raise InvalidWeight(changes.weight)
        values["weight"] = changes.weight
    return values


def _check_uri(uri: str) -> None:
    """Raise ValidationError for a URI that the driver can't read, or takes only in part."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            checks.mongo_uri(uri)
        except UserWarning as unknown:
            raise ValidationError(
                f"has something that the driver doesn't take: {unknown}"
            ) from unknown


@contextmanager
def _opened(name: str, uri: str) -> Iterator[MongoClient]:
    """A client for this look alone, for CHECK_SECONDS. Raises ClusterSilent."""
    try:
        with open_client(uri, timeoutMS=checking.CHECK_SECONDS * 1000) as server:
            try:
                yield server
            except PyMongoError as error:
                raise checking.silent(name, server, error) from error
    except UNUSABLE_URI as error:
        raise UriUnusable(name, error) from error


def _check_suitable(name: str, server: MongoClient) -> Checked:
    checked = checking.check_cluster(name, server)
    if checked.problems:
        raise ClusterUnsuitable(name, checked.problems)
    return checked


@transactional
def _insert(name: str, values: dict[str, Any], context: RequestContext) -> None:
    known = Cluster.objects(identity=values["identity"]).first()
    if known:
        raise ClusterKnown(name, known.name)
    _check_region(name, values.get("region"))
    # Of an earlier cluster of this name: another server, with other limits.
    CapacityReading.objects(cluster=name).delete()
    if holds(name) is None:
        # Pools of an earlier cluster of this name, empty ones: their numbers stay taken.
        Pool.objects(cluster=name).update(set__cluster=f"removed {name}")
    try:
        cluster = Cluster(name=name, added_at=clock.now(), **values).insert()
    except NotUniqueError as error:
        raise ClusterExists(name) from error
    _record("cluster.added", cluster, context)


@transactional
def _write_changes(name: str, values: dict[str, Any], context: RequestContext) -> None:
    if name == MAIN_CLUSTER and not Cluster.objects(name=name).first():
        Cluster(name=name, added_at=clock.now()).insert()
    before = find_record(name).region
    sets = {f"set__{key}": value for key, value in values.items() if value is not None}
    unsets = {f"unset__{key}": True for key, value in values.items() if value is None}
    changed = Cluster.objects(name=name).modify(new=True, set__name=name, **sets, **unsets)
    if changed is None:
        raise ClusterNotFound(name)
    if changed.region != before:
        _check_region(name, changed.region)
    _record("cluster.changed", changed, context)


@within_transaction
def _check_region(name: str, region: str | None) -> None:
    """Return if no organization whose documents are on the cluster, or copies of them, is bound to
    another region than the one that it comes to. Whoever places or binds one there writes the
    cluster's record, as the caller does. Raises RegionInUse."""
    begun = {**moves_at(name), "state": {"$ne": MoveState.REQUESTED}}
    there = Q(placement__cluster__in=_here(name)) | Q(
        id__in=Move.objects(__raw__=begun).distinct("organization")
    )
    bound = Organization.objects(
        there, region__nin=[None, region], state__ne=OrganizationState.PURGED
    ).order_by("slug")
    if first := bound.first():
        slugs = list(bound.limit(SHOWN_ORGANIZATIONS).scalar("slug"))
        raise RegionInUse(name, first.region, bound.count(), slugs)


@transactional
def _write_lost(name: str, context: RequestContext) -> None:
    if find_record(name).lost_at:
        raise ClusterIsLost(name)
    Cluster.objects(name=name).update_one(set__lost_at=clock.now())
    record(installation(), "cluster.lost", context.origin, name=name)


@transactional
def _delete(name: str, context: RequestContext) -> None:
    deleted = Cluster.objects(name=name, removing_since__ne=None).delete()
    if not deleted:
        raise ClusterNotFound(name)
    for places in ("clusters", "homes", "former_homes"):
        Application.objects(__raw__={places: name}).update(__raw__={"$pull": {places: name}})
    record(installation(), "cluster.removed", context.origin, name=name)


@within_transaction
def _record(action: str, cluster: Cluster, context: RequestContext) -> None:
    """Without the URI, which has a password."""
    told = {"name": cluster.name, "region": cluster.region, "weight": str(cluster.weight)}
    record(installation(), action, context.origin, target=None, target_email=None, **told)


def _in_words(move: Move) -> str:
    if not move.way_back_of:
        return f"the move of {move.slug}"
    until = f" until {move.until:%Y-%m-%d}" if move.until and move.state == "shadow" else ""
    return f"the way back of {move.slug}{until}"


def _count_organizations() -> dict[str, int]:
    counted = Organization._get_collection().aggregate(
        [
            {"$match": {"state": {"$ne": OrganizationState.PURGED}}},
            {
                "$group": {
                    "_id": {"$ifNull": ["$placement.cluster", MAIN_CLUSTER]},
                    "count": {"$sum": 1},
                }
            },
        ]
    )
    return {row["_id"]: row["count"] for row in counted}


def _listed(known: KnownCluster, organizations: int) -> ListedCluster:
    silence = None
    if known.lost_at is None:
        try:
            with pymongo.timeout(checking.CHECK_SECONDS):
                clusters.client_of(known.name)
        except ClusterUnavailable as error:
            silence = error.reason
    return ListedCluster(known, organizations, silence)
