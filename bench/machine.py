"""The machine and the versions that were measured."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from portal import __version__, clock
from portal.web.static_files import TOP

_PACKAGES = ("PyMongo", "Flask", "gunicorn")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The machine, the versions, and the day of a run."""

    date: str
    commit: str
    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    load: float  # processes that wanted a core during the minute before
    versions: dict[str, str]

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each."""
        return [
            ("date", self.date),
            ("commit", self.commit),
            ("CPU", self.cpu),
            ("cores", str(self.cores)),
            ("memory", f"{self.memory_bytes / 2**30:.1f} GiB"),
            ("kernel", self.kernel),
            ("load average before", f"{self.load:.2f}"),
            *self.versions.items(),
        ]


def look(mongod: str) -> Surroundings:
    """The machine and versions now, with a mongod of this version."""
    return Surroundings(
        date=clock.now().date().isoformat(),
        commit=_commit(),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        kernel=f"{platform.system()} {platform.release().partition('-')[0]}",
        load=os.getloadavg()[0],
        versions={
            "portal": __version__,
            "Python": platform.python_version(),
            "mongod": mongod,
            **{package: version(package) for package in _PACKAGES},
        },
    )


def _commit() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}, and changes since" if _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str:
    """The output of git; nothing where there is no git or no repository."""
    try:
        told = subprocess.run(
            ["git", *arguments], cwd=TOP, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()


def _cpu() -> str:
    """The model, where the kernel names one."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
