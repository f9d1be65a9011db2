"""Processes that end, or stop, at a point of their way through a lifecycle operation.

A point is before or after a step of a plan, or before or after a command to MongoDB. What points
there are is seen by letting a process live; so a new step, or another command, is tried by itself.
"""

import inspect
import os
import signal
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps

import pymongo

from portal import logs, settings
from portal.app import create_app
from portal.app.parts import DOCUMENTS, JOB_KINDS, MAIL_KINDS
from portal.database import connection
from portal.errors import PortalError
from portal.jobs import running
from portal.mail import outbox
from portal.organizations.lifecycle import engine, moves
from portal.organizations.lifecycle.plans import PLANS
from portal.organizations.moving.parts import PORTAL_PARTS
from tests.forking import processes
from tests.processes import is_stopped, wait_until

# What PyMongo sends by itself.
_OF_THE_DRIVER = ("hello", "ping", "endSessions", "killCursors", "saslStart", "saslContinue")
_OF_STEPS = ("before ", "within ", "after ")


@dataclass(frozen=True)
class Life:
    """What became of a process: the points it passed, and what its deed raised."""

    points: tuple[str, ...]
    raised: str | None

    @property
    def steps(self):
        """The points between steps alone."""
        return [point for point in self.points if point.startswith(_OF_STEPS)]


def live(active, deed, *arguments, end=None):
    """Do the deed in a process with the settings ``active``, which ends at the point ``end``."""
    process, told = _start(active, deed, arguments, {end: signal.SIGKILL})
    try:
        return _life(told)
    finally:
        process.join()


@contextmanager
def asleep(active, deed, *arguments, point, end=None):
    """A process that was stopped at a ``point``, and goes on when the block ends, perhaps to its
    ``end``; the list has its life then."""
    fates = {end: signal.SIGKILL, point: signal.SIGSTOP}
    with _stopped(active, deed, arguments, fates, f"it never came to {point}") as lives:
        yield lives


@contextmanager
def asleep_by_itself(active, deed, *arguments):
    """A process that stops itself in what it does, and goes on when the block ends."""
    with _stopped(active, deed, arguments, {}, "it never stopped"):
        yield


@contextmanager
def _stopped(active, deed, arguments, fates, otherwise):
    process, told = _start(active, deed, arguments, fates)
    try:
        wait_until(lambda: is_stopped(process.pid) or not process.is_alive())
        assert process.is_alive(), otherwise
        yield (lives := [])
    finally:
        if process.is_alive():
            os.kill(process.pid, signal.SIGCONT)
            lives.append(_life(told))
        process.join()


def _start(active, deed, arguments, fates):
    told, telling = processes.Pipe(duplex=False)
    process = processes.Process(target=_live, args=(active, telling, deed, arguments, fates))
    process.start()
    telling.close()
    return process, told


def _life(told):
    points, raised = [], None
    with told:
        while True:
            try:
                what, text = told.recv()
            except EOFError:
                return Life(tuple(points), raised)
            if what == "point":
                points.append(text)
            else:
                raised = text


def _live(active, telling, deed, arguments, fates):
    way = _Way(telling, fates)
    engine.install(PLANS)
    moves.install(PORTAL_PARTS)
    outbox.install(MAIL_KINDS)
    running.install(JOB_KINDS)
    _watch_steps(way)
    pymongo.monitoring.register(_Commands(way))
    settings.activate(active)
    logs.configure()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    connection.connect(active, DOCUMENTS, overdue=())
    try:
        deed(*arguments)
    except PortalError as error:
        telling.send(("raised", type(error).__name__))
    except Exception as error:
        telling.send(("raised", repr(error)))
        raise


def _watch_steps(way):
    # Strategies have ways in common.
    for steps in {id(each): each for plan in PLANS for each in plan.ways.values()}.values():
        for direction in ("forward", "back"):
            # They are frozen, and were imported by name; this process is nobody else's.
            watched = tuple(_watched(step, way) for step in getattr(steps, direction))
            object.__setattr__(steps, direction, watched)


def work_on(active, deed, *arguments, fates):
    """Do the deed in this process, which sends itself a signal at the first point between steps
    that has one in ``fates``."""
    create_app(active)
    _watch_steps(_Way(None, fates))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    deed(*arguments)


class _Way:
    """Tells each point that is passed, and sends this process the signal that awaits it there."""

    def __init__(self, telling, fates):
        self.telling, self.fates = telling, fates
        self.passed = Counter()

    def pass_by(self, point):
        self.passed[point] += 1
        point = f"{point} #{self.passed[point]}"
        if self.telling:
            self.telling.send(("point", point))
        if point in self.fates:
            # To this thread: sent to the process, the signal may reach it when it has gone on.
            signal.pthread_kill(threading.get_ident(), self.fates[point])


class _Commands(pymongo.monitoring.CommandListener):
    def __init__(self, way):
        self.way = way

    def started(self, event):
        self._tell(event, "to be sent")

    def succeeded(self, event):
        self._tell(event, "answered")

    def failed(self, event):
        self._tell(event, "answered")

    def _tell(self, event, what):
        if event.command_name not in _OF_THE_DRIVER:
            self.way.pass_by(f"{event.command_name} {what}")


def _watched(step, way):
    name = step.__name__

    @wraps(step)
    def plain(organization):
        way.pass_by(f"before {name}")
        result = step(organization)
        way.pass_by(f"after {name}")
        return result

    @wraps(step)
    def in_parts(organization):
        way.pass_by(f"before {name}")
        parts = step(organization)
        while True:
            try:
                part = next(parts)
            except StopIteration as end:
                way.pass_by(f"after {name}")
                return end.value
            way.pass_by(f"within {name}")
            yield part

    return in_parts if inspect.isgeneratorfunction(step) else plain
