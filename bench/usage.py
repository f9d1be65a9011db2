"""Use of resources by a process, from Linux."""

import os
from pathlib import Path

from tests.processes import PortalProcess, wait_until


def worker_of(running: PortalProcess) -> int:
    """The process id of the only worker."""
    master = running.process.pid
    children = Path(f"/proc/{master}/task/{master}/children")
    [worker] = wait_until(lambda: [int(pid) for pid in children.read_text().split()])
    return worker


def cpu_seconds(pid: int) -> float:
    """The seconds that the threads of a process were on a core, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def forget_peak(pid: int) -> float:
    """Have the peak of a process's memory be what it has now; that."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return resident_mb(pid)


def peak_mb(pid: int) -> float:
    """The most memory that a process had since its peak was forgotten."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024 / 1e6
