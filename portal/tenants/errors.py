"""Errors of the library. All others that it raises are PyMongo's, as PyMongo raises them."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(eq=False)
class TenantError(Exception):
    """The base of the library's errors. ``str()`` says what to do where there is something."""

    words: ClassVar[str]

    def __str__(self) -> str:
        return self.words.format_map(vars(self))


@dataclass(eq=False)
class NeedsOwnPlacement(TenantError):
    """An operation that an organization in a shared collection doesn't have. Nothing was sent."""

    words = (
        "{what} needs a collection of its own, and this organization shares one with others: "
        "whoever runs the portal can place it so"
    )
    what: str


@dataclass(eq=False)
class QueryRefused(TenantError):
    """A filter, update, projection or pipeline that could reach beyond its collection, or run
    code. Nothing was sent."""

    words = "{reason}"
    reason: str


@dataclass(eq=False)
class NotOffered(TenantError, AttributeError):
    """A name of PyMongo's that tenants don't have."""

    words = "{method} isn't offered for a tenant: {instead}"
    method: str
    instead: str


@dataclass(eq=False)
class PartialWrite(TenantError):
    """A write of many documents stopped after ``done``, which are kept; ``__cause__`` is why.

    If that is an unavailable MongoDB, the next one may have been written too.
    """

    words = "stopped after {done} were written, which are kept"
    done: int


@dataclass(eq=False)
class CursorLost(TenantError):
    """The collection was renamed, or moved, while a result was read, or a read of it was broken
    off; and its order doesn't tell where to go on. ``read`` documents were returned. Sorted by
    ``_id`` alone, a result goes on."""

    words = "renamed, moved or broken off after {read} were read: read again, or sort by _id alone"
    read: int


@dataclass(eq=False)
class StateError(TenantError):
    """The base of errors about the state of an organization. Nothing was written by the command
    that raised it."""

    organization: Any
    words = "{organization}"


class Unknown(StateError):
    """No organization has this id or slug, as far as the directory knows now."""

    words = "no organization {organization} is in the directory"


class Trashed(StateError):
    """The organization is in the trash, or on its way there. It may be restored."""

    words = "organization {organization} is in the trash: restore it in the portal"


class Purged(StateError):
    """The organization's documents were deleted for good, or are being deleted."""

    words = "organization {organization} was deleted for good"


@dataclass(eq=False)
class Restricted(StateError):
    """The base of errors about an organization that whoever runs the portal has suspended. Members
    read in the portal why, and whom to write to."""

    kind: ClassVar[str]
    words = "organization {organization} is suspended"


class ReadOnly(Restricted):
    """Documents can be read, and nothing else."""

    kind = "read-only"
    words = "organization {organization} is suspended: its documents can be read, not changed"


class Locked(Restricted):
    """Documents can be neither read nor changed."""

    kind = "locked"
    words = "organization {organization} is suspended: its documents can't be reached"


class Hidden(Restricted):
    """Documents can be neither read nor changed, and to its members it is as if there were no such
    organization."""

    kind = "hidden"
    words = "organization {organization} is suspended: to its members it isn't there"


class NotReady(StateError):
    """The organization's collection is still being created."""

    words = "organization {organization} is being created: try again in a few seconds"


@dataclass(eq=False)
class Moving(StateError):
    """The organization's documents are just being moved, and weren't at their new place within
    ``moving_seconds``. ``version`` is the directory's, of its entry that says so."""

    words = (
        "organization {organization} is being moved: nothing was done, try again in a few seconds"
    )
    version: tuple[int, int]


@dataclass(eq=False)
class LimitExceeded(StateError):
    """A limit of the organization refused the operation, of which nothing was done.

    ``limit`` is ``documents`` or ``bytes`` where no more may be kept, of which ``used`` are:
    reading and deleting go on. Of ``operations`` per second, it may be tried again after
    ``retry_after_seconds``.
    """

    words = (
        "organization {organization} has reached its limit of {allowed} {limit}: nothing was done"
    )
    limit: str
    allowed: int
    used: int | None = None
    retry_after_seconds: float | None = None


class CollectionMissing(StateError):
    """The organization's collection is gone from the database; the portal's doctor says more."""

    words = "the collection of organization {organization} is gone: run flask doctor"


@dataclass(eq=False)
class UnknownPool(TenantError):
    """The collection that an organization shares isn't in the directory."""

    words = "pool {pool} isn't in the directory: run flask doctor"
    pool: int


@dataclass(eq=False)
class Misplaced(StateError):
    """The organization's collection has a name that the directory doesn't record."""

    words = "organization {organization} is at {found}, recorded is {recorded}: run flask doctor"
    found: str
    recorded: str


@dataclass(eq=False)
class UnknownState(StateError):
    """The organization has a state that a newer portal has made."""

    words = "organization {organization} is {state!r}, unknown here: update portal-tenants"
    state: str


@dataclass(eq=False)
class UnknownStrategy(StateError):
    """The organization's documents are kept in a way that a newer portal has made."""

    words = "organization {organization} is kept by {strategy!r}: update portal-tenants"
    strategy: str


@dataclass(eq=False)
class UnknownCluster(TenantError):
    """An organization's documents are in a cluster that no URI was given for."""

    words = "no URI is given for the cluster {cluster!r}: give Tenants a mapping with it"
    cluster: str


@dataclass(eq=False)
class DirectoryMissing(TenantError):
    """The database has no directory that this MongoDB user may read."""

    words = (
        "the database {database!r} has no directory for this user: check that the URI is one that "
        "flask applications printed, and that the portal has been started since its last update; "
        "flask doctor --repair gives users of an earlier version the rights that they lack"
    )
    database: str


@dataclass(eq=False)
class DirectorySetBack(StateError):
    """The directory's answer is older than one that it gave before: master data was restored."""

    words = (
        "the directory tells of organization {organization} as it was before: after restoring "
        "master data run flask doctor --adopt-restored"
    )


@dataclass(eq=False)
class NotResolved(TenantError, TypeError):
    """A handle made by a slug that has not been resolved yet has no id, so it can't be pickled."""

    words = "tenants[{slug!r}] has no id before its first use: call its resolve() first"
    slug: str


@dataclass(eq=False)
class ChangesLost(TenantError):
    """The organization has moved, and a change stream can't tell all of its changes from before
    that to after it. The stream is closed; its ``resume_token`` still holds for others."""

    words = (
        "the changes of organization {organization}, which has moved, can't be followed: {reason}; "
        "read its documents, and watch again"
    )
    organization: Any
    reason: str


@dataclass(eq=False)
class ChangeTooLarge(TenantError):
    """A change takes more than 16 MB with what the server adds to it, as where an ``_id`` has more
    than 3 MB. The stream is closed: no stream tells this change, nor goes on by a token from before
    it."""

    words = (
        "a change is larger than the 16 MB that a stream tells: read the documents, and watch "
        "again from now on"
    )


@dataclass(eq=False)
class TooManyStreams(TenantError):
    """The limit of open change streams that Tenants was given is reached."""

    words = "{limit} change streams are open: close one, raise max_streams, or use Tenants.watch"
    limit: int
