"""Errors of the database, and their words."""

from dataclasses import dataclass
from datetime import datetime

from portal.errors import Unavailable

_MOST_RIGHTS = 3


class UnsuitableServer(Exception):
    """A MongoDB server that the portal can't run on; the message says why."""


class DatabaseUnavailable(Unavailable):
    """MongoDB can't be used right now."""

    code = "database_unavailable"
    title = "The portal can’t reach its database"
    message = (
        "The database does not answer. Nothing is known to be lost. Try again in a few seconds."
    )


@dataclass
class RightMissing(DatabaseUnavailable):
    """MongoDB doesn't allow the portal's user a command; ``rights`` are those it lacks of its role,
    as far as they are known."""

    command: str
    rights: tuple[str, ...] = ()

    title = "The portal may not do this in its database"
    message = (
        "MongoDB doesn’t allow the portal {command}, which this needs{lacking}. Trying again won’t "
        "help: ask whoever runs the portal to grant it."
    )

    @property
    def lacking(self) -> str:
        """The first few rights, for people."""
        if not self.rights:
            return ""
        told, more = "; ".join(self.rights[:_MOST_RIGHTS]), len(self.rights) - _MOST_RIGHTS
        return f": it lacks {told}{f', and {more} more' if more > 0 else ''}"


@dataclass
class UnknownCluster(Unavailable):
    """This portal has no cluster of this name."""

    cluster: str

    code = "unknown_cluster"
    title = "This organization’s documents can’t be reached"
    message = (
        "They are in the cluster {cluster}, which this portal doesn’t know. Nothing was changed. "
        "Contact whoever runs the portal."
    )

    def __str__(self) -> str:
        return f"no cluster is called {self.cluster!r}"


@dataclass
class ClusterUnavailable(Unavailable):
    """The cluster with an organization's documents can't be used right now."""

    cluster: str
    reason: str

    code = "cluster_unavailable"
    title = "This organization’s documents can’t be reached"
    message = (
        "They are in the cluster {cluster}, and {reason}. Nothing is known to be lost, and other "
        "clusters go on. Try again in a few seconds; if this persists, contact whoever runs the "
        "portal."
    )

    def __str__(self) -> str:
        return f"the cluster {self.cluster} can't be used: {self.reason}"


@dataclass
class ClusterUriUnusable(ClusterUnavailable):
    """No client can be made of the cluster's URI."""

    reason: str = "the portal can’t use its URI"


@dataclass
class ClusterUriSealed(ClusterUnavailable):
    """The cluster's URI can't be unsealed."""

    reason: str = "its URI was sealed under another SECRET_KEY"


class ClusterLost(ClusterUnavailable):
    """The cluster with an organization's documents was given up."""

    code = "cluster_lost"
    title = "This organization’s documents are lost"
    message = (
        "They were in the cluster {cluster}, which {reason}. What the portal itself knows of the "
        "organization is kept. Contact whoever runs the portal."
    )

    def __init__(self, cluster: str, lost_at: datetime) -> None:
        super().__init__(cluster, f"was given up as lost on {lost_at:%Y-%m-%d}")


@dataclass
class ClusterClosed(Unavailable):
    """The cluster takes no new organizations, or isn't in the region of this one."""

    cluster: str

    code = "cluster_closed"
    title = "There is no room for the organization right now"
    message = (
        "The cluster {cluster} takes no more organizations, or none of this region. Nothing was "
        "changed. Try again: then another one is chosen."
    )

    def __str__(self) -> str:
        return f"the cluster {self.cluster} takes no more organizations"


@dataclass
class MigrationRunning(Unavailable):
    """Another portal is migrating master data to this version's shape."""

    number: int

    code = "migration_running"
    title = "The portal is being updated"
    message = (
        "A new version of the portal is starting. Nothing was changed. Try again in a few seconds."
    )

    def __str__(self) -> str:
        return f"migration {self.number} of master data is running"


class DatabaseNotPrepared(Unavailable):
    """This process is still migrating master data or creating indexes."""

    code = "not_ready"
    title = "The portal is starting"
    message = "The portal is starting. Nothing was changed. Try again in a few seconds."

    def __str__(self) -> str:
        return "master data and indexes are being prepared"


@dataclass
class MigrationFailed(Unavailable):
    """A migration of master data failed; the log has the reason."""

    number: int
    migration: str

    code = "migration_failed"
    title = "The portal is being updated"
    message = (
        "A new version of the portal could not start yet, and tries again. Nothing was "
        "changed. If this persists, contact whoever runs the portal."
    )

    def __str__(self) -> str:
        return f"migration {self.number} of master data failed ({self.migration}); the log says why"
