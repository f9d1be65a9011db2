"""Heartbeats: what each process of the portal tells of itself, so that the others notice one that
was killed, or whose background loops do nothing."""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from portal import clock
from portal.database import connection
from portal.database.background import LOOPS, Loop, start_loop
from portal.documents.processes import Process

log = structlog.get_logger()

BEAT_SECONDS = 10
_END_SECONDS = 1


class Heart:
    """The heart of a process: it tells of the process, which is of a ``version`` of the portal,
    and of its ``traffic`` since the last beat."""

    def __init__(self, version: str, traffic: Callable[[], dict[str, Any]]) -> None:
        self._version, self._traffic = version, traffic
        self._id: ObjectId | None = None
        self._born: dict[str, Any] = {}
        self._beating = threading.Lock()

    def start(self) -> None:
        """Beat every BEAT_SECONDS; call it after the fork."""
        self.wake()
        start_loop("heartbeat", self.beat, pause_seconds=BEAT_SECONDS)

    def wake(self) -> None:
        """Become the heart of this process."""
        self._id = ObjectId()
        self._born = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": self._version,
            "started_at": clock.now(),
        }

    def beat(self) -> None:
        """Tell of this process, unless it ends."""
        loops = [_told(loop) for loop in LOOPS.copy()]
        told = {**self._born, "traffic": self._traffic(), "loops": loops}
        change = {**{name: {"$literal": value} for name, value in told.items()}, "beat_at": "$$NOW"}
        with self._beating:
            if self._id:
                this = {"_id": self._id}
                Process._get_collection().update_one(this, [{"$set": change}], upsert=True)

    def end(self) -> None:
        """Say that this process ends as it should."""
        ending, self._id = self._id, None
        # A beat that waits for the database would be waited for as long.
        if not self._beating.acquire(timeout=_END_SECONDS):
            return
        try:
            with pymongo.timeout(_END_SECONDS):
                Process.objects(id=ending).delete()
        except PyMongoError as error:  # then it counts as killed
            log.warning("heartbeat.not_ended", error=connection.explain(error))
        finally:
            self._beating.release()


def _told(loop: Loop) -> dict[str, Any]:
    now, begun, failing = time.monotonic(), loop.begun_at, loop.failing_since
    told = {
        "name": loop.name,
        "long_turns": loop.long_turns or None,
        "running_seconds": None if begun is None else now - begun,
        "failing_seconds": None if failing is None else now - failing,
        "error": loop.error,
        "ended": loop.ended or None,
    }
    return {name: value for name, value in told.items() if value is not None}
