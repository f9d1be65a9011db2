"""Clusters: the MongoDB deployments that organizations' documents are in.

Master data are on the first one, ``main``; the others are in the registry among them, which is read
every REGISTRY_SECONDS at most, and never for the first.

A cluster that doesn't answer must not take the threads that others' requests need. So each is asked
whether it answers before it is used, unless it just did: by one thread, which waits PROBE_SECONDS,
as those do that come meanwhile. From then on nobody waits; the driver's monitors see it come back.
"""

import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote

import pymongo
import structlog
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from portal import settings
from portal.database import diagnosis, portal_role
from portal.database.connection import client, client_options
from portal.database.errors import (
    ClusterClosed,
    ClusterLost,
    ClusterUnavailable,
    ClusterUriSealed,
    ClusterUriUnusable,
    UnknownCluster,
)
from portal.database.portal_role import Rights
from portal.database.transactions import forbid_in_transaction, within_transaction
from portal.documents.clusters import Cluster
from portal.documents.organizations import MAIN_CLUSTER, Placement
from portal.documents.pools import Pool
from portal.settings import sealing
from portal.settings.checks import portable_uri

log = structlog.get_logger()

REGISTRY_SECONDS = 5
PROBE_SECONDS = 2
"""The longest wait for a cluster that may not answer."""

# Longer than an export or import on a client that was replaced pauses between two commands.
_RETIRED_SECONDS = 120
# To close clients, which tell their clusters which sessions end: one that is gone needn't know,
# and it is anybody's request that waits.
_CLOSING_SECONDS = 0.2
_UNKNOWN_SECONDS = 1
_SILENT_SECONDS = 0.5
_RETRY_SECONDS = 2
# Of the driver's monitors, which see a hung server after the sum of both.
_MONITORS = {"heartbeatFrequencyMS": 3000, "connectTimeoutMS": 3000}
_SILENCE = "it does not answer"
_FILES = re.compile(r"tls(ca|crl|certificatekey)file", re.I)

UNUSABLE_URI = (PyMongoError, ValueError, OSError)
"""The errors of making a client: a file of certificates, for instance, isn't on this machine."""

_used: ContextVar[tuple[str, ...]] = ContextVar("used_clusters", default=())


@dataclass(frozen=True, slots=True)
class KnownCluster:
    """A cluster as the registry has it; ``open`` where it takes new organizations."""

    name: str
    added_at: datetime | None
    region: str | None
    weight: int
    lost_at: datetime | None
    open: bool
    credentials_uri: str | None


def client_of(cluster: str) -> MongoClient:
    """This process's client of a cluster, which answered lately. Raises UnknownCluster; ClusterLost
    or another ClusterUnavailable after PROBE_SECONDS at most, at once where that is known."""
    if cluster == MAIN_CLUSTER:
        return client()
    forbid_in_transaction()
    link = _registry.link_to(cluster)
    _used.set((cluster, *_used.get()))
    link.check()
    return link.client


def database_of(placement: Placement | Pool) -> Database:
    """The database that a tenant collection is in, or a pool's. Raises as ``client_of``."""
    return client_of(placement.cluster)[placement.database or settings.current().tenant_db]


def is_available(cluster: str) -> bool:
    """Tell whether a cluster answers."""
    try:
        client_of(cluster)
    except (UnknownCluster, ClusterUnavailable):
        return False
    return True


def known_clusters() -> list[KnownCluster]:
    """All clusters by name, the first one first; what is told was so REGISTRY_SECONDS ago at
    most."""
    rows = _registry.rows()
    main = rows.get(MAIN_CLUSTER) or Cluster(name=MAIN_CLUSTER)
    others = [rows[name] for name in sorted(rows) if name != MAIN_CLUSTER]
    return [_known(row) for row in (main, *others)]


def find_cluster(cluster: str) -> KnownCluster:
    """A cluster of the registry. Raises UnknownCluster."""
    if cluster == MAIN_CLUSTER:
        return known_clusters()[0]
    return _known(_registry.row(cluster))


def kept_clusters() -> list[str]:
    """The names of the clusters of the registry that weren't given up."""
    return [known.name for known in known_clusters() if known.lost_at is None]


def is_lost(cluster: str) -> bool:
    """Tell whether a cluster was given up."""
    if cluster == MAIN_CLUSTER:
        return False
    row = _registry.rows().get(cluster)
    return row is not None and row.lost_at is not None


def lost_cluster(cluster: str) -> ClusterLost:
    """The error for whoever needs a cluster that was given up."""
    return ClusterLost(cluster, _registry.row(cluster).lost_at)


def uri_of(cluster: str) -> str:
    """The URI by which the portal reaches a cluster, with its password. Raises UnknownCluster,
    ClusterUnavailable where no SECRET_KEY unseals it."""
    if cluster == MAIN_CLUSTER:
        return settings.current().mongo_uri
    return _unsealed(_registry.row(cluster))


@within_transaction
def ensure_placeable(cluster: str, region: str | None = None) -> None:
    """Have the caller's transaction fail if the cluster is closed before it is committed, or isn't
    in the ``region`` then, if the organization is bound to one. Raises ClusterClosed.

    It writes the cluster's record, so of those that place organizations there at once each waits
    for the one before: call it last. The first cluster is never closed; without a region nothing is
    written for it.
    """
    if cluster == MAIN_CLUSTER:
        if region is not None and not stays_in_region(cluster, region):
            raise ClusterClosed(cluster)
        return
    still_open = Cluster.objects(name=cluster, removing_since=None, lost_at=None, weight__gt=0)
    if region is not None:
        still_open = still_open.filter(region=region)
    if not still_open.update_one(inc__placed=1):
        raise ClusterClosed(cluster)


@within_transaction
def stays_in_region(cluster: str, region: str) -> bool:
    """Tell whether the cluster is in the region, and have the caller's transaction fail if that
    changes before it is committed. Otherwise like ``ensure_placeable``."""
    return bool(Cluster.objects(name=cluster, region=region).update_one(inc__placed=1))


@within_transaction
def ensure_kept(cluster: str) -> None:
    """Have the caller's transaction fail if the cluster is removed or given up before it is
    committed; one that takes no new organizations will do. Otherwise like ``ensure_placeable``."""
    if cluster == MAIN_CLUSTER:
        return
    kept = Cluster.objects(name=cluster, removing_since=None, lost_at=None)
    if not kept.update_one(inc__placed=1):
        raise ClusterClosed(cluster)


def forget_registry() -> None:
    """Read the registry at its next use: it was changed."""
    _registry.forget()


def begin_request() -> None:
    """Forget which clusters this thread used before."""
    _used.set(())


def unavailable_in_request() -> ClusterUnavailable | None:
    """The cluster beside the first that this request used and that doesn't answer, if there is
    one."""
    links = [_registry.link_made(name) for name in _used.get()]
    silent = (link for link in links if link is not None and not link.answers)
    return next((link.unavailable() for link in silent), None)


def needed_rights(cluster: str) -> tuple[Rights, ...]:
    """All that the portal's user needs on a cluster."""
    active = settings.current()
    if cluster == MAIN_CLUSTER:
        return portal_role.rights(active.master_db, active.tenant_db)
    return portal_role.tenant_rights(active.tenant_db)


def missing_rights_in_request() -> list[Rights]:
    """The rights that the portal's user lacks on the first cluster and on those that this request
    used; none of one that can't be asked."""
    found: list[Rights] = []
    for cluster in dict.fromkeys((MAIN_CLUSTER, *_used.get())):
        try:
            found += portal_role.missing_rights(client_of(cluster), needed_rights(cluster))
        except (PyMongoError, ClusterUnavailable, UnknownCluster) as error:
            log.warning("database.rights_unknown", cluster=cluster, error=str(error))
    return found


def open_client(uri: str, **options: Any) -> MongoClient:
    """A client with the same options as those for organizations' documents."""
    given = {name.casefold() for name, _ in _options_of(uri)}
    monitors = {name: value for name, value in _MONITORS.items() if name.casefold() not in given}
    return MongoClient(portable_uri(uri), **{**client_options(), **monitors, **options})


def reason_of(error: PyMongoError) -> str:
    """A few words on why a cluster can't be used, which name no host."""
    if diagnosis.refuses_credentials(error):
        return "it refuses the portal’s user"
    if isinstance(error, ConfigurationError):
        return "its servers can’t be found"
    return _SILENCE


class _Link(CommandListener):
    """This process's client of a cluster as it is registered, and what was seen of the cluster
    through it."""

    def __init__(self, name: str, uri: str, registered_at: datetime) -> None:
        self.name, self._registration = name, (uri, registered_at)
        # The driver reads them once.
        self._files_written_at = _files_written_at(uri)
        self.client: MongoClient = open_client(uri, event_listeners=[self])
        self._made_at = time.monotonic()
        self._probing = Lock()
        self._running: dict[int, float] = {}
        self._answered_at: float | None = None
        self._failed = self._down = False
        self._probe_at = 0.0
        self._reason = _SILENCE

    @property
    def answers(self) -> bool:
        """True where nothing tells that the cluster doesn't answer any more."""
        if self._answered_at is None or self._down or self._failed:
            return False
        waiting = min(tuple(self._running.values()), default=None)
        since = None if waiting is None else max(waiting, self._answered_at)
        silent = since is not None and time.monotonic() - since > _SILENT_SECONDS
        return not silent and self.client.topology_description.has_writable_server()

    def check(self) -> None:
        """Return if the cluster answers. Raises ClusterUnavailable."""
        if self.answers:
            return
        # The first to come finds out; while it is known to be down nobody waits for that.
        if not self._probing.acquire(timeout=0 if self._down else PROBE_SECONDS):
            raise self.unavailable()
        try:
            if not self.answers:
                self._probe()
        finally:
            self._probing.release()

    def unavailable(self) -> ClusterUnavailable:
        """The error for whoever needs the cluster."""
        return ClusterUnavailable(self.name, self._reason)

    def is_of(self, uri: str, registered_at: datetime) -> bool:
        """Tell whether it was made for this registration: one that was removed and added again is
        another, of which it isn't known that it is down. So is one that is down, and whose files
        of certificates were renewed since."""
        if self._down and self._files_written_at != _files_written_at(uri):
            return False
        return self._registration == (uri, registered_at)

    def is_idle(self, seconds: float) -> bool:
        """Tell whether no command runs, and none did for so long."""
        last = max(self._made_at, self._answered_at or 0.0)
        return not self._running and time.monotonic() - last > seconds

    def _probe(self) -> None:
        if self._down and not self._may_be_back:
            raise self.unavailable()
        try:
            with pymongo.timeout(PROBE_SECONDS):
                self.client.admin.command("ping")
        except PyMongoError as error:
            self._reason = reason_of(error)
            if not self._down:
                reason = diagnosis.explain(error, self.client.topology_description, self.name)
                log.warning("cluster.unavailable", cluster=self.name, error=reason)
            self._down, self._probe_at = True, time.monotonic() + _RETRY_SECONDS
            raise self.unavailable() from error
        if self._down:
            log.info("cluster.available", cluster=self.name)
        self._down = False

    @property
    def _may_be_back(self) -> bool:
        seen = self.client.topology_description
        # Behind an SRV record there are no servers, and no monitors, until DNS tells them.
        worth_it = seen.has_writable_server() or not seen.server_descriptions()
        return worth_it and time.monotonic() > self._probe_at

    def started(self, event: CommandStartedEvent) -> None:
        self._running[event.request_id] = time.monotonic()

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._running.pop(event.request_id, None)
        self._answered_at, self._failed = time.monotonic(), False

    def failed(self, event: CommandFailedEvent) -> None:
        self._running.pop(event.request_id, None)
        if "code" in event.failure:  # an answer all the same
            self._answered_at = time.monotonic()
        else:
            self._failed = True


class _Registry:
    """The registry as this process knows it, and its links to clusters."""

    def __init__(self) -> None:
        self._reading, self._linking = Lock(), Lock()
        self._rows: dict[str, Cluster] = {}
        self._read_at: float | None = None
        self._links: dict[str, _Link] = {}
        self._retired: list[_Link] = []

    def rows(self, newer_than: float = REGISTRY_SECONDS) -> dict[str, Cluster]:
        """The records by name. While one thread reads them, others take what is known."""
        if self._is_old(newer_than) and self._reading.acquire(blocking=self._read_at is None):
            try:
                if self._is_old(newer_than):
                    self._rows = {row.name: row for row in Cluster.objects}
                    self._read_at = time.monotonic()
                    self._retire()
            finally:
                self._reading.release()
        return self._rows

    def row(self, name: str) -> Cluster:
        """The record of a cluster that isn't the first. Raises UnknownCluster."""
        found = self.rows().get(name) or self.rows(_UNKNOWN_SECONDS).get(name)
        if found is None or found.uri is None:
            raise UnknownCluster(name)
        return found

    def link_to(self, name: str) -> _Link:
        """The link to a cluster. Raises UnknownCluster, ClusterLost, ClusterUnavailable."""
        row = self.row(name)
        if row.lost_at:
            raise ClusterLost(name, row.lost_at)
        uri = _unsealed(row)
        link = self._links.get(name)
        if link is None or not link.is_of(uri, row.added_at):
            with self._linking:
                link = self._links.get(name)
                if link is None or not link.is_of(uri, row.added_at):
                    link = self._replace(name, _make_link(name, uri, row.added_at))
        return link

    def link_made(self, name: str) -> _Link | None:
        """The link to a cluster, if it was used."""
        return self._links.get(name)

    def forget(self) -> None:
        """Read the records at their next use."""
        self._read_at = None

    def _replace(self, name: str, link: _Link) -> _Link:
        if former := self._links.get(name):
            self._retired.append(former)
        self._links[name] = link
        return link

    def _is_old(self, seconds: float) -> bool:
        return self._read_at is None or time.monotonic() - self._read_at > seconds

    def _retire(self) -> None:
        """Close the clients of former URIs and clusters, once nothing uses them any more."""
        with self._linking:
            for name in self._links.keys() - self._rows.keys():
                self._retired.append(self._links.pop(name))
            over = [link for link in self._retired if link.is_idle(_RETIRED_SECONDS)]
            self._retired = [link for link in self._retired if link not in over]
        with pymongo.timeout(_CLOSING_SECONDS):
            for link in over:
                link.client.close()


_registry = _Registry()


def _make_link(name: str, uri: str, registered_at: datetime) -> _Link:
    try:
        return _Link(name, uri, registered_at)
    except UNUSABLE_URI as error:
        log.warning("cluster.unavailable", cluster=name, error=str(error))
        raise ClusterUriUnusable(name) from error


def _options_of(uri: str) -> list[tuple[str, str]]:
    """The names and values in a URI's query: the driver takes & and ; between them."""
    options = (one.partition("=") for one in re.split("[&;]", uri.partition("?")[2]))
    return [(name, value) for name, _, value in options]


def _files_written_at(uri: str) -> list[int | None]:
    """The times of the files that a URI names; ``None`` for one that isn't there."""
    return [_written_at(unquote(path)) for name, path in _options_of(uri) if _FILES.fullmatch(name)]


def _written_at(path: str) -> int | None:
    try:
        return Path(path).stat().st_mtime_ns
    except (OSError, ValueError):
        return None


def _unsealed(row: Cluster) -> str:
    uri = sealing.unseal(row.uri)
    if uri is None:
        raise ClusterUriSealed(row.name)
    return uri


def _known(row: Cluster) -> KnownCluster:
    closed = row.lost_at or row.removing_since
    return KnownCluster(
        name=row.name,
        added_at=row.added_at,
        region=row.region,
        weight=row.weight,
        lost_at=row.lost_at,
        open=not closed and row.weight > 0,
        credentials_uri=row.credentials_uri,
    )
