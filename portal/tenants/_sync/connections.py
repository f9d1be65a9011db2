"""Connections to clusters: one client for each, and sessions that number single writes.

**Why a write is executed once.** A single write is a command with a session and a transaction
number (``txnNumber``), by which the server remembers it: a repeated command with the same number
gets the result of the first, also after a rename, and on another primary. So sending it again is
always safe. PyMongo numbers only its own methods, which can't carry a fence; so the library numbers
its writes itself, in sessions that it keeps apart: PyMongo gets none of them back, since it would
number its own writes in them, and the server refuses a number that isn't higher than the last.
"""

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock, Semaphore
from typing import Any

from bson import Int64
from pymongo import MongoClient
from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.database import Database

from .. import limits
from ..arguments import client_defaults
from ..directory import MAIN
from ..errors import TooManyStreams, UnknownCluster
from ..runtime import (
    Flights,
    Read,
    Scoped,
    close_behind,
    in_thread,
    renew_after_fork,
)

Uri = str | Callable[[], str]
"""A cluster's URI, or what returns it."""

# Between two questions whether there is another URI, since a right may just be missing.
_ASKED_SECONDS = 1

# Higher than the numbers that PyMongo gave in a session that the library takes from its pool.
_numbers = itertools.count(2**40)


class Connection:
    """A client of one cluster, for all of its organizations. Thread-safe."""

    def __init__(
        self,
        client: MongoClient,
        uri: str = "",
        replace: Read[bool] | None = None,
    ) -> None:
        self.client = client
        self.seconds = client.options.timeout or math.inf
        """The time of an operation by the URI's ``timeoutMS``."""
        self.uri = uri
        self._replace = replace
        self._databases: dict[str, Database] = {}
        self._sessions: deque[tuple[ClientSession, float]] = deque()
        renew_after_fork(self)

    def database(self, name: str) -> Database:
        """The database of this name."""
        found = self._databases.get(name)
        if found is None:
            found = self._databases[name] = self.client[name]
        return found

    def is_replaced(self) -> bool:
        """Tell whether there are other credentials than those of this one, which the server
        refused."""
        return self._replace is not None and self._replace()

    def take_session(self) -> ClientSession:
        """A session for one numbered write at a time."""
        while self._sessions:
            try:
                session, used = self._sessions.pop()
            except IndexError:  # another thread took it
                break
            if time.monotonic() - used < limits.SESSION_SECONDS:
                return session
        return self.client.start_session(causal_consistency=False)

    def return_session(self, session: ClientSession) -> None:
        """Give a session back after the reply to its write was received."""
        self._sessions.append((session, time.monotonic()))

    def after_fork(self) -> None:
        """Begin anew in a child: writes of two processes in one session would replace each other's
        numbers."""
        self._sessions = deque()


def next_number() -> Int64:
    """The number of a write in a session that was taken before."""
    return Int64(next(_numbers))


class Clusters:
    """Clusters by name, each with its URI, or what returns it: that is asked at once, and again
    where the server refuses the user. Thread-safe.

    A client is made at first use: in each process one, and for ``AsyncTenants`` in each event loop.
    """

    def __init__(
        self, uris: Mapping[str, Uri], max_streams: int, client_options: dict[str, Any]
    ) -> None:
        self._sources = {name: uri for name, uri in uris.items() if callable(uri)}
        self._uris = {name: uri() if callable(uri) else uri for name, uri in uris.items()}
        self._asked: dict[str, float] = {}
        self._flights = Scoped(Flights)
        self._options = {"uuidRepresentation": "standard", "connect": False, **client_options}
        self._scope = Scoped(dict)
        self._stream_scope = Scoped(dict)
        self._max_streams = max_streams
        self.after_fork()
        renew_after_fork(self)
        if MAIN not in self._uris:
            raise UnknownCluster(MAIN)

    @property
    def names(self) -> list[str]:
        """The names of the clusters that have a URI."""
        return sorted(self._uris)

    def connection(self, cluster: str) -> Connection:
        """The connection to a cluster. Raises UnknownCluster."""
        made, uri = self._scope.get(), self._uri(cluster)
        found = made.get(cluster)
        if found is None or found.uri != uri:
            with self._lock:
                found = made.get(cluster)
                if found is None or found.uri != uri:
                    if found is not None:  # it ends with the last operation that uses it
                        close_behind(found, found.client)
                    replace = partial(self._is_replaced, cluster, uri)
                    found = made[cluster] = Connection(self._client(uri), uri, replace)
        return found

    @property
    def main_uri(self) -> str:
        """The URI of the cluster that has the directory."""
        return self._uri(MAIN)

    @property
    def client_options(self) -> dict[str, Any]:
        """The options of clients."""
        return self._options

    def replace_uri(self, cluster: str, uri: str) -> None:
        """Use another URI from the next operation on; those that run end on the one they have."""
        self._uris[cluster] = uri

    def ask_again(self, cluster: str, refused: str) -> bool:
        """Tell whether a cluster has another URI than the one that was refused, after its source
        was asked. That may block."""
        if self._uris[cluster] == refused and cluster in self._sources and self._may_ask(cluster):
            uri = self._sources[cluster]()
            if uri == refused:
                self._asked[cluster] = time.monotonic()
            elif self._uris[cluster] == refused:  # nobody replaced it meanwhile
                self.replace_uri(cluster, uri)
        return self._uris[cluster] != refused

    def stream_connection(self, cluster: str) -> Connection:
        """The connection for change streams alone, so that no other operation waits for them."""
        made, uri = self._stream_scope.get(), self._uri(cluster)
        with self._lock:
            found = made.get(cluster)
            if found is None or found.uri != uri:
                if found is not None:  # it ends with the last stream on it
                    close_behind(found, found.client)
                client = self._client(uri, maxPoolSize=self._max_streams, minPoolSize=0)
                found = made[cluster] = Connection(client, uri)
        return found

    def take_stream(self) -> Semaphore:
        """A slot, to be released at a stream's end. Raises TooManyStreams."""
        slots = self._slots
        if not slots.acquire(blocking=False):
            raise TooManyStreams(self._max_streams)
        return slots

    def after_fork(self) -> None:
        """Begin anew in a child, which has none of the parent's streams."""
        self._lock = Lock()
        self._slots = Semaphore(self._max_streams)

    def close(self) -> None:
        """Close all clients of this process, or event loop. The next use makes new ones."""
        connections, streams = self._scope.pop() or {}, self._stream_scope.pop() or {}
        for connection in (*connections.values(), *streams.values()):
            connection.client.close()

    def _is_replaced(self, cluster: str, refused: str) -> bool:
        """Ask again in a thread, once for all that wait."""

        def ask() -> None:
            in_thread(partial(self.ask_again, cluster, refused))

        if cluster in self._sources:
            self._flights.get().share(cluster, ask)
        return self._uris[cluster] != refused

    def _may_ask(self, cluster: str) -> bool:
        return time.monotonic() - self._asked.get(cluster, -math.inf) >= _ASKED_SECONDS

    def _uri(self, cluster: str) -> str:
        try:
            return self._uris[cluster]
        except KeyError:
            raise UnknownCluster(cluster) from None

    def _client(self, uri: str, **options: Any) -> MongoClient:
        return MongoClient(uri, **{**client_defaults(uri), **self._options, **options})
