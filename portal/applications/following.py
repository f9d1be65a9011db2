"""Applications that follow organizations to other clusters, each by a URI for the cluster.

An application's processes report for which clusters they have one, each when it first finds an
organization. Without any report it is taken to have the URIs that were made for it.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo.collection import Collection

from portal import clock, settings
from portal.database.connection import client
from portal.database.portal_role import reports_database
from portal.documents.applications import Application
from portal.documents.organizations import MAIN_CLUSTER
from portal.tenants.reports import PROCESSES

SETTLED_AFTER = timedelta(minutes=10)
"""The time after which processes that were started without a URI have been replaced."""

_KEPT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Follower:
    """An application, and the ``obstacle`` to its reaching a cluster, if there is one."""

    application: str
    obstacle: str | None

    @property
    def follows(self) -> bool:
        """True where nothing is in its way."""
        return self.obstacle is None


def followers_of(cluster: str) -> list[Follower]:
    """All applications by name, as they reach the cluster."""
    there = Application.objects(ending_since=None).order_by("name")
    return [Follower(each.name, obstacle_of(each, cluster)) for each in there]


def reachable_by_all_applications(cluster: str) -> bool:
    """Tell whether each application reaches the cluster; as of a few seconds ago at most."""
    if cluster == MAIN_CLUSTER:
        return True
    asked_at, reachable = _kept.get(cluster, (0.0, False))
    if time.monotonic() - asked_at > _KEPT_SECONDS:
        reachable = all(follower.follows for follower in followers_of(cluster))
        _kept[cluster] = time.monotonic(), reachable
    return reachable


def forget_followers() -> None:
    """Ask again at the next use: an application was changed."""
    _kept.clear()


_kept: dict[str, tuple[float, bool]] = {}


def obstacle_of(application: Application, cluster: str) -> str | None:
    """The reason why the application doesn't reach the cluster, if there is one."""
    if cluster == MAIN_CLUSTER:
        return None
    own = {"user": {"$in": application.users}, "at": {"$type": "date"}}
    latest = _latest(own)
    if latest is None:
        made = cluster in (application.clusters or ())
        command = f"flask applications extend {application.name} {cluster}"
        return None if made else f"no URI was made for it: {command}"
    without = _latest({**own, "clusters": {"$ne": cluster}})
    if without and without["at"] >= latest["at"]:
        return f"its latest process, of {latest['at']:%Y-%m-%d %H:%M} UTC, has no URI for it"
    since = {"$gt": without["at"], "$type": "date"} if without else {"$type": "date"}
    first = _reports().find_one({**own, "clusters": cluster, "at": since}, sort=[("at", 1)])
    if without and first and clock.now() - first["at"] < SETTLED_AFTER:
        return f"its processes have a URI for it since {first['at']:%H:%M} UTC only"
    return None


def _latest(query: dict[str, Any]) -> dict[str, Any] | None:
    return _reports().find_one(query, sort=[("at", -1)])


def _reports() -> Collection:
    return client()[reports_database(settings.current().tenant_db)][PROCESSES]
