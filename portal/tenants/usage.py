"""Use of organizations, counted where their commands are sent, and reported in batches.

A batch has an ``_id`` made once, of a random name of the process and a number without gaps. So one
that is sent twice is there once, and one that got lost is missed by its number. What is counted is
kept until it was acknowledged, at most for PENDING_BATCHES; a process that is killed loses what it
counted in the last REPORT_SECONDS.
"""

import atexit
import logging
import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from .runtime import renew_after_fork

log = logging.getLogger(__name__)

USAGE = "usage"
"""The collection of batches, in the database of reports."""

REPORT_SECONDS = 10
IDLE_SECONDS = 30
"""The longest time without a batch, so that a process that was killed is missed."""

SLOW_SECONDS = 0.1
"""From when on a command is slow: what the server's own log calls so."""

PENDING_BATCHES = 60
_MAX_ROWS = 2000
_SAMPLED = 8
# What a list of fewer than ten documents has beside them, in a document of its own.
_LIST_BYTES, _ITEM_BYTES = 12, 3
_STATEMENTS = ("documents", "updates")


class Counted:
    """The counts of one organization since the last report; ``levels`` are how much is kept,
    as last measured for its limits, beside what is allowed."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "cluster",
        "commands",
        "levels",
        "operations",
        "refused",
        "seconds",
        "slow",
        "waited_seconds",
    )

    def __init__(self) -> None:
        self.cluster = ""
        self.operations = self.commands = self.bytes_in = self.bytes_out = 0
        self.slow = self.refused = 0
        self.seconds = self.waited_seconds = 0.0
        self.levels: dict[str, tuple[int, int]] = {}

    def row(self, organization: ObjectId) -> dict[str, Any]:
        """The row of a batch, without what is nothing."""
        counts = {
            "operations": self.operations,
            "commands": self.commands,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "slow": self.slow,
            "milliseconds": round(self.seconds * 1000),
            "waited": round(self.waited_seconds * 1000),
            "refused": self.refused,
        }
        row: dict[str, Any] = {name: value for name, value in counts.items() if value}
        if self.levels:
            row["levels"] = {name: list(level) for name, level in self.levels.items()}
        return {"organization": organization, "cluster": self.cluster, **row}


class Meter:
    """Counts by organization. Thread-safe."""

    def __init__(self, counting: Callable[[], None] = lambda: None) -> None:
        self._counting = counting
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a child: what the parent counted, that reports."""
        self._lock = threading.Lock()
        self._counts: dict[ObjectId, Counted] = {}
        self._began = False

    def command(
        self, organization: ObjectId, cluster: str, bytes_in: int, bytes_out: int, seconds: float
    ) -> None:
        """Count a command."""
        with self._lock:
            counted = self._of(organization)
            counted.cluster = cluster
            counted.commands += 1
            counted.bytes_in += bytes_in
            counted.bytes_out += bytes_out
            counted.seconds += seconds
            if seconds >= SLOW_SECONDS:
                counted.slow += 1

    def read(self, organization: ObjectId, bytes_out: int) -> None:
        """Count what a command read that was counted."""
        with self._lock:
            self._of(organization).bytes_out += bytes_out

    def operations(self, organization: ObjectId, count: int) -> None:
        """Count operations."""
        with self._lock:
            self._of(organization).operations += count
        if not self._began:
            self._began = True
            self._counting()

    def waited(self, organization: ObjectId, seconds: float) -> None:
        """Count time that an operation waited for a limit."""
        with self._lock:
            self._of(organization).waited_seconds += seconds

    def refused(self, organization: ObjectId) -> None:
        """Count an operation that a limit refused."""
        with self._lock:
            self._of(organization).refused += 1

    def level(self, organization: ObjectId, kind: str, used: int, allowed: int) -> None:
        """Note how much of what is allowed is kept."""
        with self._lock:
            self._of(organization).levels[kind] = used, allowed

    def take(self) -> dict[ObjectId, Counted]:
        """Take what was counted since the last call."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def _of(self, organization: ObjectId) -> Counted:
        counted = self._counts.get(organization)
        if counted is None:
            counted = self._counts[organization] = Counted()
        return counted


class Reporter:
    """Reports what a meter counts, from a thread of its own that begins with the first count; and
    calls ``refresh`` between reports. Nobody waits for it, and no operation fails by it.

    ``deliver`` inserts one batch. It may raise PyMongoError: then the batch is kept, and sent
    again. An ``unattended`` one reports only when it is told to.
    """

    def __init__(
        self,
        deliver: Callable[[Mapping[str, Any]], None],
        source: str,
        refresh: Callable[[], None] = lambda: None,
        refresh_seconds: float = REPORT_SECONDS,
        *,
        unattended: bool = False,
    ) -> None:
        self.meter = Meter() if unattended else Meter(self.start)
        self._deliver, self._source = deliver, source
        self._refresh, self._refresh_seconds = refresh, refresh_seconds
        self.after_fork()
        renew_after_fork(self)
        if not unattended:
            atexit.register(_close, weakref.ref(self))

    def after_fork(self) -> None:
        """Be another process in a child."""
        self._process = secrets.token_hex(8)
        self._number = 0
        self._since = self._sent = datetime.now(UTC)
        self._pending: deque[dict[str, Any]] = deque()
        self._flushing = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def flush(self, *, last: bool = False) -> None:
        """Report all that was counted until now; ``last`` says that no more will come."""
        with self._flushing:
            self._gather(last)
            while waiting := len(self._pending):
                try:
                    self._deliver(self._pending[0])
                except DuplicateKeyError:  # its answer was lost
                    pass
                except PyMongoError as error:
                    log.warning("%d reports of use are kept for later: %s", waiting, error)
                    return
                self._pending.popleft()

    def close(self) -> None:
        """End the thread, and report what is left."""
        thread = self._thread
        if thread is None and not self._number:
            return
        self._over.set()
        if thread is not None:
            thread.join(REPORT_SECONDS)
        self.flush(last=True)
        self.after_fork()
        self.meter.after_fork()

    def refresh(self) -> None:
        """Do what is done between reports."""
        try:
            self._refresh()
        except PyMongoError as error:  # it is asked again
            log.warning("limits can't be read: %s", error)

    def start(self) -> None:
        """Begin to report."""
        with self._flushing:
            if self._thread is None:
                self._since = self._sent = datetime.now(UTC)
                arguments = (weakref.ref(self), self._over, self._refresh_seconds)
                name = f"{self._source}-usage"
                self._thread = threading.Thread(target=_run, args=arguments, name=name, daemon=True)
                self._thread.start()

    def _gather(self, last: bool) -> None:
        """Make batches of what was counted."""
        taken, until = self.meter.take(), datetime.now(UTC)
        rows = [counted.row(organization) for organization, counted in taken.items()]
        heard = (until - self._sent).total_seconds() < IDLE_SECONDS and not last
        if not rows and (heard or not self._number):
            return
        parts = [rows[first : first + _MAX_ROWS] for first in range(0, len(rows), _MAX_ROWS)]
        for part in parts or [[]]:
            self._number += 1
            self._pending.append(
                {
                    "_id": f"{self._process}:{self._number}",
                    "process": self._process,
                    "number": self._number,
                    "source": self._source,
                    "pid": os.getpid(),
                    "since": self._since,
                    "until": until,
                    "rows": part,
                }
            )
        self._pending[-1]["last"] = last
        self._since = self._sent = until
        while len(self._pending) > PENDING_BATCHES:
            self._pending.popleft()  # whoever rolls up misses its number


def _run(reporter: "weakref.ref[Reporter]", over: threading.Event, refresh_seconds: float) -> None:
    """Refresh and report until the reporter is closed, or nobody has it any more."""
    passed_seconds = 0.0
    while not over.wait(refresh_seconds):
        found = reporter()
        if found is None:
            return
        found.refresh()
        passed_seconds += refresh_seconds
        if passed_seconds >= REPORT_SECONDS:
            passed_seconds = 0.0
            found.flush()
        del found


def _close(reporter: "weakref.ref[Reporter]") -> None:
    found = reporter()
    if found is not None:
        found.close()


def statements_of(fields: Mapping[str, Any]) -> int:
    """The number of statements of a command that writes; 1 for any other."""
    for name in ("documents", "updates", "deletes"):
        if (statements := fields.get(name)) is not None:
            return len(statements)
    return 1


def written_bytes(fields: Mapping[str, Any], codec_options: CodecOptions) -> int:
    """The size of what a command writes: documents, or updates."""
    for name in _STATEMENTS:
        statements = fields.get(name)
        if statements is not None:
            known = getattr(statements, "size_bytes", 0)
            return known or sum(_size(each, codec_options) for each in statements)
    update = fields.get("update")
    if update is None:
        return 0
    return len(bson.encode({"": update}, codec_options=codec_options))


def read_bytes(documents: Sequence[Any], codec_options: CodecOptions) -> int:
    """The size of what was read: of many documents that are decoded an estimate, by eight of
    them."""
    if not documents:
        return 0
    if isinstance(documents[0], RawBSONDocument):
        return sum(len(each.raw) for each in documents)
    sample = documents[:: -(-len(documents) // _SAMPLED)]
    try:
        listed = len(bson.encode({"": sample}, codec_options=codec_options))
    except (BSONError, TypeError, ValueError, OverflowError):
        return 0  # decoders without encoders: no read fails since its size can't be told
    size = listed - _LIST_BYTES - _ITEM_BYTES * len(sample)
    return size * len(documents) // len(sample)


def _size(statement: Any, codec_options: CodecOptions) -> int:
    if isinstance(statement, RawBSONDocument):
        return len(statement.raw)
    return len(bson.encode(statement, codec_options=codec_options))
