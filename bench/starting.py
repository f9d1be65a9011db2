"""The time until ``make run`` answers, once it is installed."""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from portal.web.static_files import BUILT, TOP
from tests import clones

_READY = "Portal: "
_NOT_READY = "not ready"
_STOP_SECONDS = 40  # it gives gunicorn 20


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """The time from the supervisor's start to /readyz 200, in a clone without data and again."""
    first, later = [], []
    for _ in range(scale.repeats):
        with _clone() as clone:
            first.append(_seconds_to_ready(clone, environment))
            later.append(_seconds_to_ready(clone, environment))
    whole = statistics.median(first)
    return [
        Figure("to /readyz 200, first start", whole, "s"),
        Figure("to /readyz 200, later start", statistics.median(later), "s", whole, "first start"),
    ]


@contextmanager
def _clone() -> Iterator[Path]:
    """A clone whose static files are gathered, as make does before it starts the supervisor."""
    with tempfile.TemporaryDirectory() as folder:
        clone = clones.a_clone(Path(folder))
        gathered = clone / BUILT.relative_to(TOP)
        gathered.parent.mkdir()
        gathered.symlink_to(BUILT)
        yield clone


def _seconds_to_ready(clone: Path, environment: Environment) -> float:
    begin = time.perf_counter()
    command = [sys.executable, "-m", "portal.serving.supervisor"]
    with subprocess.Popen(
        command, cwd=clone, env=clones.environment(), stderr=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stderr
        ready = False
        for line in supervisor.stderr:
            environment.log.write(line)
            if _READY in line:
                ready = _NOT_READY not in line
                break
        taken = time.perf_counter() - begin
        supervisor.send_signal(signal.SIGTERM)
        try:
            environment.log.write(supervisor.communicate(timeout=_STOP_SECONDS)[1])
        except subprocess.TimeoutExpired:
            supervisor.kill()  # all that it started ends with it
            raise
        finally:
            environment.log.flush()
    if not ready:
        raise RuntimeError("the portal did not get ready")
    return taken
