"""Reading the directory, and what a handle knows of its organization."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import pymongo
from bson import ObjectId
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.collection import Collection
from pymongo.write_concern import WriteConcern

from .. import limits
from ..budgets import BUDGETS
from ..directory import (
    MAIN,
    ORGANIZATIONS,
    POOLS,
    SLUGS,
    Entries,
    Entry,
    Located,
    Misses,
    PoolEntry,
    follow,
)
from ..errors import (
    DirectoryMissing,
    DirectorySetBack,
    Moving,
    NotReady,
    NotResolved,
    Restricted,
    StateError,
    Unknown,
    UnknownPool,
)
from ..fence import UNAUTHORIZED, is_refused, pauses, polls
from ..placements import DATABASE
from ..reporting import Reporting
from ..runtime import (
    Flights,
    Read,
    Result,
    Scoped,
    remaining,
    renew_after_fork,
    sleep,
)
from .connections import Clusters, Connection
from .metering import Metering
from .reports import Reports

_REFRESHED_AT_ONCE = 1000
_CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.STANDARD
)


class Directory:
    """The directory in the database ``master``, and what it answered lately. Thread-safe.

    Those who ask for the same at the same time share one read, and those who wait for the same
    organization to be at its new place share its reads.
    """

    def __init__(
        self,
        clusters: Clusters,
        master: str,
        max_entries: int,
        moving_seconds: float,
        limit_seconds: float,
    ) -> None:
        self.clusters = clusters
        self.reporting = Reporting(clusters)
        self.metering = Metering(
            self.reporting.reporter.meter, self.reporting.book, self._budgets, limit_seconds
        )
        self._master = master
        self._moving_seconds = moving_seconds
        self._entries = Entries(max_entries)
        self._misses = Misses()
        self._flights = Scoped(Flights)
        self._reports = Reports(clusters)
        self._seen = False
        renew_after_fork(self._entries)

    def locate(self, organization_id: ObjectId) -> Located:
        """The organization's place, as far as known. Waits CREATION_SECONDS for one that is being
        created, and ``moving_seconds`` for one that is between two places. Raises StateError."""
        known = self._entries.get(organization_id)
        if known is not None:
            return known
        self._pace()
        moved_by = time.monotonic() + self._moving_seconds
        deadline = time.monotonic() + limits.CREATION_SECONDS
        for pause_seconds in pauses():
            try:
                entry, pool = self._read(organization_id)
                return self._entries.get(organization_id) or Located.of(entry, pool)
            except NotReady:
                if time.monotonic() > deadline:
                    raise
            except Moving as moving:
                self._wait(moving, moved_by)
            sleep(pause_seconds)
        raise AssertionError("there are always more pauses")

    def follow(self, used: Located, found: str | None) -> Located:
        """The place to go on at, after the server ``found`` the collection under another name than
        ``used``. Reads the directory, unless it was read since, and waits ``moving_seconds`` for an
        organization that is between two places. Raises StateError."""
        moved_by = time.monotonic() + self._moving_seconds
        while True:
            try:
                return self._follow(used, found)
            except Moving as moving:
                self._wait(moving, moved_by)

    def _follow(self, used: Located, found: str | None) -> Located:
        known = self._entries.get(used.entry.id)
        if known is not None and not known.is_at(used) and used.doubted is None:
            return known
        if used.pool is not None and not self._is_recorded(used.pool.number, found):
            self._read_pool(used.pool.number, used.entry.id)
        entry, pool = self._read(used.entry.id, found)
        known = self._entries.get(used.entry.id)
        if known is None:
            return follow(entry, used, found, pool)
        if known.entry.order > entry.order and known.is_at(used):
            raise DirectorySetBack(entry.id)
        return self._entries.move(follow(known.entry, used, found, known.pool))

    def renew(self, known: Located) -> Located:
        """The place as the directory tells it now. Raises StateError."""
        entry, pool = self._read(known.entry.id)
        return self._entries.get(entry.id) or Located.of(entry, pool)

    def _wait(self, moving: Moving, deadline: float) -> None:
        """Wait until the directory says something else of an organization that is ``moving``.
        Raises that at the deadline."""

        def poll() -> None:
            for pause_seconds in polls():
                sleep(pause_seconds)
                entry, _ = self._read(moving.organization)
                if entry.order != moving.version:
                    return

        seconds, callers = deadline - time.monotonic(), remaining()
        if seconds <= 0:
            raise moving
        try:
            with pymongo.timeout(seconds):
                self._share(("moving", moving.organization), poll)
        except PyMongoError as error:
            if not error.timeout or (callers is not None and callers < seconds):
                raise
            raise moving from error

    def refresh(self, known: Sequence[Located]) -> list[Located]:
        """These places as the directory tells them now; unchanged where their organization can't be
        reached at the moment. One read for many, and one more for each that has changed."""
        current = []
        for first in range(0, len(known), _REFRESHED_AT_ONCE):
            some = known[first : first + _REFRESHED_AT_ONCE]
            wanted = {"_id": {"$in": [each.entry.id for each in some]}}
            orders = {
                each["_id"]: (each["epoch"], each["version"])
                for each in self._view(ORGANIZATIONS).find(wanted, {"epoch": 1, "version": 1})
            }
            for each in some:
                changed = orders.get(each.entry.id, each.entry.order) != each.entry.order
                current.append(self._refreshed(each) if changed else each)
        return current

    def _refreshed(self, known: Located) -> Located:
        entry, pool = self._read(known.entry.id)
        try:
            return Located.of(entry, pool)
        except (Moving, Restricted):
            return replace(known, entry=entry)
        except StateError:
            return known

    def known(self, organization_id: ObjectId) -> Located | None:
        """The place of the organization when it was last read."""
        return self._entries.get(organization_id)

    def known_by_slug(self, slug: str) -> Located | None:
        """The place of the organization that had the slug when it was last read, if the server
        rejects it where another one has it since."""
        return self._entries.of_slug(slug)

    def id_of(self, slug: str, used: Located | None = None) -> ObjectId:
        """The id of the organization with this slug, current or old. Read after ``used`` was
        rejected. Raises Unknown."""
        checked = None if used is None else self._entries.checked(slug, used)
        if checked is not None:
            return checked

        def read() -> ObjectId | None:
            found = self._find(SLUGS, slug)
            return None if found is None else found["organization"]

        if not self._entries.has_slug(slug):
            self._pace()
        found = self._share(("slug", slug), read)
        if found is None:
            self._misses.add()
            raise Unknown(slug)
        if used is not None:
            self._entries.check_slug(slug, used, found)
        return found

    def _read(
        self, organization_id: ObjectId, found: str | None = None
    ) -> tuple[Entry, PoolEntry | None]:
        def read() -> tuple[Entry, PoolEntry | None] | None:
            while True:
                pools = self._entries.pools  # known before the organization is read
                document = self._find(ORGANIZATIONS, organization_id)
                if document is None:
                    return None
                entry = Entry.from_document(document)
                pool = None if entry.pool is None else pools.get(entry.pool)
                if entry.pool is None or pool is not None:
                    break
                self._read_pool(entry.pool, organization_id)
            # Before the read counts as done: whoever comes later finds it, or reads anew.
            self._entries.accept(entry, pool, found)
            # An older portal's directory doesn't say what the tenant database is.
            home = entry.home or (entry.database if entry.strategy != DATABASE else "")
            if home:
                self.reporting.home = home
                self._reports.send(home)
            return entry, pool

        answer = self._share(("organization", organization_id), read)
        if answer is None:
            self._entries.forget(organization_id)
            self._misses.add()
            raise Unknown(organization_id)
        return answer

    def _pace(self) -> None:
        """Wait while names and ids that nobody has were asked for too often."""
        if pause_seconds := self._misses.pause_seconds:
            left = remaining()
            sleep(pause_seconds if left is None else min(pause_seconds, max(left, 0)))

    def _read_pool(self, number: int, organization_id: ObjectId) -> None:
        """Read a pool's answer. Raises UnknownPool, and NotReady while it is being created."""

        def read() -> dict[str, Any] | None:
            document = self._find(POOLS, number)
            if document is not None and document.get("uuid") is not None:
                self._entries.accept_pool(PoolEntry.from_document(document))
            return document

        document = self._share(("pool", number), read)
        if document is None:
            raise UnknownPool(number)
        if document.get("uuid") is None:
            raise NotReady(organization_id)

    def _is_recorded(self, number: int, found: str | None) -> bool:
        pool = self._entries.pools.get(number)
        return pool is not None and found in pool.names

    def _share(self, key: tuple[str, Any], read: Read[Result]) -> Result:
        return self._flights.get().share(key, read)

    def _find(self, view: str, document_id: Any) -> dict[str, Any] | None:
        main = self.clusters.connection(MAIN)
        try:
            with main.client.start_session(causal_consistency=True) as session:
                # A new primary may not know yet what the one before it answered as committed.
                if read_at := self._entries.read_at(main.uri):
                    session.advance_operation_time(read_at)
                wanted = {"_id": document_id}
                found = self._view(view, main).find_one(wanted, session=session)
                self._entries.advance(main.uri, session.operation_time)
        except OperationFailure as error:
            if is_refused(error) and main.is_replaced():
                return self._find(view, document_id)
            if error.code == UNAUTHORIZED:
                raise DirectoryMissing(self._master) from error
            raise
        if found is None and not self._seen:
            self._check_exists()
        self._seen = True
        return found

    def _check_exists(self) -> None:
        """Raise DirectoryMissing where the answer is empty since there is no directory."""
        database = self.clusters.connection(MAIN).database(self._master)
        wanted = {"name": ORGANIZATIONS}
        listed = database.command(
            {
                "listCollections": 1,
                "filter": wanted,
                "nameOnly": True,
                "authorizedCollections": True,
            }
        )
        if not listed["cursor"]["firstBatch"]:
            raise DirectoryMissing(self._master)

    def _budgets(self) -> Collection | None:
        home = self.reporting.home
        if not home:
            return None
        return (
            self.clusters.connection(MAIN)
            .database(home)
            .get_collection(BUDGETS, write_concern=WriteConcern(1))
        )

    def _view(self, name: str, main: Connection | None = None) -> Collection:
        database = (main or self.clusters.connection(MAIN)).database(self._master)
        return database.get_collection(
            name,
            codec_options=_CODEC_OPTIONS,
            read_concern=ReadConcern("majority"),
            read_preference=pymongo.ReadPreference.PRIMARY,
        )


class Place(Protocol):
    """An organization, as its handle's operations see it."""

    @property
    def codec_options(self) -> CodecOptions:
        """The options of its cluster's client."""

    @property
    def id(self) -> ObjectId:
        """The organization's id. Raises NotResolved."""

    def resolve(self) -> ObjectId:
        """The organization's id, read if need be. Raises Unknown."""

    def known(self) -> Located | None:
        """The place to try first, if it is known without waiting."""

    def locate(self) -> Located:
        """The place to try first."""

    def follow(self, used: Located, found: str | None) -> Located:
        """The place to go on at, after the server rejected ``used``."""

    def renew(self, located: Located) -> Located:
        """The place to write at, read anew where documents could only be read when it was read."""

    def check_writable(self, located: Located) -> None:
        """Raise the reason why documents may only be read there."""

    def confirm(self, used: Located) -> None:
        """Note that a command was executed there."""

    def connection(self, located: Located) -> Connection:
        """The connection to the place's cluster."""

    @property
    def metering(self) -> Metering:
        """The counts and limits of what is done there."""


class Listed:
    """An organization in the directory, known by its slug until it is resolved, then by its id.

    What was known of a slug before this handle was made isn't trusted until a command was executed
    there: another organization may have the slug since. Where no name tells that, the slug is read
    once by each handle.
    """

    def __init__(self, directory: Directory, id: ObjectId | None = None, slug: str = "") -> None:
        self.directory = directory
        self._slug = slug
        self._bound: dict[str, ObjectId] = {} if id is None else {"id": id}

    @property
    def codec_options(self) -> CodecOptions:
        return self.directory.clusters.connection(MAIN).client.codec_options

    @property
    def id(self) -> ObjectId:
        """The organization's id. Raises NotResolved."""
        try:
            return self._bound["id"]
        except KeyError:
            raise NotResolved(self._slug) from None

    def resolve(self) -> ObjectId:
        """The organization's id, read from the directory if need be. Raises Unknown."""
        if "id" not in self._bound:
            self._bind(self.directory.id_of(self._slug))
        return self._bound["id"]

    def known(self) -> Located | None:
        bound = self._bound.get("id")
        if bound is None:
            return self.directory.known_by_slug(self._slug)
        return self.directory.known(bound)

    def locate(self) -> Located:
        if known := self.known():
            return known
        main = self.directory.clusters.connection(MAIN)
        with pymongo.timeout(min(limits.OPERATION_SECONDS, main.seconds)):
            return self.directory.locate(self.resolve())

    def follow(self, used: Located, found: str | None) -> Located:
        if "id" not in self._bound:
            self._bind(self.directory.id_of(self._slug, used))
        if self._bound["id"] != used.entry.id:
            return self.directory.locate(self._bound["id"])
        return self.directory.follow(used, found)

    def renew(self, located: Located) -> Located:
        # Nothing rejects who only reads, so what is known may be old.
        return self.directory.renew(located) if located.entry.read_only else located

    def check_writable(self, located: Located) -> None:
        located.entry.check_writable()

    def confirm(self, used: Located) -> None:
        if "id" not in self._bound:
            self._bind(used.entry.id)

    def connection(self, located: Located) -> Connection:
        return self.directory.clusters.connection(located.entry.cluster)

    @property
    def metering(self) -> Metering:
        return self.directory.metering

    def __repr__(self) -> str:
        return str(self._bound.get("id", repr(self._slug)))

    def _bind(self, organization_id: ObjectId) -> None:
        self._bound.setdefault("id", organization_id)  # atomic: the first of two threads binds
