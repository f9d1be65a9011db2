"""The memory that the processes hold."""

import tempfile
from pathlib import Path

from bench.environment import Environment
from bench.report import Figure
from bench.scale import Scale
from bench.usage import resident_mb, worker_of
from bench.visits import OrganizationPage
from portal.serving import mongod


def measure(environment: Environment, scale: Scale) -> list[Figure]:
    """Resident memory of a worker and of mongod after the parts before, and of an idle mongod."""
    OrganizationPage(environment.portal, "Memory").visit(5 * scale.rounds)
    with tempfile.TemporaryDirectory() as folder:
        empty = mongod.start(Path(folder), "idle")
        try:
            idle = resident_mb(empty.process.pid)
        finally:
            empty.stop()
    used = resident_mb(environment.server.running.process.pid)
    return [
        Figure(
            "worker after the parts of this run", resident_mb(worker_of(environment.portal)), "MB"
        ),
        Figure("mongod, idle", idle, "MB"),
        Figure("mongod after the parts of this run", used, "MB", idle, "idle"),
    ]
