"""An application's reports of what organizations use, and what it hears of changed limits.

Both go by a client of their own with one connection, from the reporter's thread: so it is the same
for both forms of the library, and no operation waits for it.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import pymongo
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, OperationFailure
from pymongo.write_concern import WriteConcern

from .arguments import client_defaults
from .directory import MAIN
from .fence import is_refused
from .quotas import LIMITS, REFRESH_SECONDS, LimitBook
from .reports import reports_of
from .runtime import renew_after_fork
from .usage import USAGE, Reporter

_SECONDS = 5

log = logging.getLogger(__name__)


class _Clusters(Protocol):
    @property
    def main_uri(self) -> str: ...

    @property
    def client_options(self) -> dict[str, Any]: ...

    def ask_again(self, cluster: str, refused: str) -> bool: ...


class Reporting:
    """The reporter of a process, and the limits that it knows. ``home`` is the tenant database of
    the first cluster, once that is known."""

    def __init__(self, clusters: _Clusters) -> None:
        self.book = LimitBook()
        self.home = ""
        # An application's listeners hear of what it does itself.
        others = {"event_listeners": [], "maxPoolSize": 1, "minPoolSize": 0, "tz_aware": True}
        self._clusters, self._options = clusters, {**clusters.client_options, **others}
        self._inherited: list[Any] = []
        self._made: tuple[str, MongoClient[dict[str, Any]]] | None = None
        self.reporter = Reporter(self._deliver, "library", self._refresh, REFRESH_SECONDS)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make a client anew in a child."""
        self._inherited.append(self._made)  # kept, so that nothing closes the parent's sockets
        self._made = None

    def close(self) -> None:
        """Report what is left, and close the client. The next use begins anew."""
        self.reporter.close()
        made, self._made = self._made, None
        if made is not None:
            made[1].close()

    def _deliver(self, batch: Mapping[str, Any]) -> None:
        try:
            self._insert(batch)
        except OperationFailure as error:
            # Of a process that does nothing else, or ends, nobody else hears of other credentials.
            if not is_refused(error) or not self._is_replaced():
                raise
            self._insert(batch)

    def _insert(self, batch: Mapping[str, Any]) -> None:
        reports = self._client()[reports_of(self._known_home())].get_collection(
            USAGE, write_concern=WriteConcern("majority")
        )
        with pymongo.timeout(_SECONDS):
            reports.insert_one(dict(batch))

    def _refresh(self) -> None:
        changed = self._client()[self._known_home()][LIMITS]
        with pymongo.timeout(_SECONDS):
            if not self.book.begun:
                newest = changed.find_one(sort=[("changed_at", -1)])
                self.book.begin(newest, datetime.now(UTC))
            self.book.accept(changed.find(self.book.unread))

    def _known_home(self) -> str:
        if not self.home:
            raise ConfigurationError("no organization was read yet")
        return self.home

    def _is_replaced(self) -> bool:
        made = self._made
        if made is None:
            return False
        try:
            return self._clusters.ask_again(MAIN, made[0])
        except Exception as error:  # the application's own function
            log.warning("the function that returns a URI failed: %r", error)
            return False

    def _client(self) -> MongoClient[dict[str, Any]]:
        uri = self._clusters.main_uri
        if self._made is None or self._made[0] != uri:
            if self._made is not None:  # this thread alone uses it
                self._made[1].close()
            self._made = uri, MongoClient(uri, **{**client_defaults(uri), **self._options})
        return self._made[1]
