"""Applications that follow organizations to other clusters, each by a URI for the cluster.

An application's processes report for which clusters they have one, each when it first finds an
organization. Without any report it is taken to have the URIs that were made for it. Reports expire,
and processes may run for longer: so the latest of each application is kept in its record.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.collection import Collection

from portal import clock, settings
from portal.database.connection import client
from portal.database.periodic import Notes, Task
from portal.database.portal_role import reports_database
from portal.documents.applications import Application, LastReport
from portal.documents.organizations import MAIN_CLUSTER
from portal.tenants.reports import PROCESSES

SETTLED_AFTER = timedelta(minutes=10)
"""The time after which processes that were started without a URI have been replaced."""

KEPT_EVERY_SECONDS = 24 * 3600
_KEPT_SECONDS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CLUSTERS, _LONGEST_NAME = 1000, 32


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
    own = _reported_by(application)
    latest = _latest(own)
    if latest is None:
        return _obstacle_without_reports(application, cluster)
    without = _latest({**own, "clusters": {"$ne": cluster}})
    if without and without["at"] >= latest["at"]:
        return _lacking(latest["at"])
    if without is None:
        return None
    since = {**own["at"], "$gt": without["at"]}
    first = _reports().find_one({**own, "clusters": cluster, "at": since}, sort=[("at", 1)])
    if first and clock.now() - first["at"] < SETTLED_AFTER:
        return f"its processes have a URI for it since {first['at']:%H:%M} UTC only"
    return None


def keep_latest_reports(check: Callable[[], None]) -> Notes:
    """Keep the latest report of each application in its record, where it has one."""
    for application in Application.objects(ending_since=None):
        check()
        latest = _latest(_reported_by(application))
        if latest is not None:
            kept = LastReport(
                user=latest["user"], at=latest["at"], clusters=_names_in(latest.get("clusters"))
            )
            Application.objects(name=application.name).update_one(set__last_report=kept)
    return {}


def believable_time() -> dict[str, Any]:
    """The query for the time of a report: applications write whatever they like there, also dates
    that Python hasn't."""
    return {"$type": "date", "$gt": _EPOCH, "$lt": clock.now() + timedelta(days=1)}


def _obstacle_without_reports(application: Application, cluster: str) -> str | None:
    kept = application.last_report
    if kept and kept.user in application.users:
        return None if cluster in kept.clusters else _lacking(kept.at)
    made = cluster in (application.clusters or ())
    command = f"flask applications extend {application.name} {cluster}"
    return None if made else f"no URI was made for it: {command}"


def _names_in(reported: Any) -> list[str]:
    """The names that a report has."""
    names = reported if isinstance(reported, list) else []
    own = (name for name in names if isinstance(name, str) and len(name) <= _LONGEST_NAME)
    return list(dict.fromkeys(own))[:_MOST_CLUSTERS]


def _lacking(at: datetime) -> str:
    return f"its latest process, of {at:%Y-%m-%d %H:%M} UTC, has no URI for it"


def _reported_by(application: Application) -> dict[str, Any]:
    return {"user": {"$in": application.users}, "at": believable_time()}


def _latest(query: dict[str, Any]) -> dict[str, Any] | None:
    return _reports().find_one(query, {"user": 1, "at": 1, "clusters": 1}, sort=[("at", -1)])


def _reports() -> Collection:
    return client()[reports_database(settings.current().tenant_db)][PROCESSES]


TASK = Task("applications", KEPT_EVERY_SECONDS, keep_latest_reports)
