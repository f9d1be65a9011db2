"""Process supervision: no process outlives the one that started it."""

import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel send this process SIGTERM when its parent dies (prctl(2)); Linux only.

    ``parent`` is its pid from before the fork. Elsewhere this does nothing, since there is no
    embedded server to leave behind.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died in between
        os.kill(os.getpid(), signal.SIGTERM)


def still_runs(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a child has not ended; safe where a signal's handler may raise.

    ``poll`` takes a lock before the ``try`` that gives it back: an exception in between would
    leave it taken, and ``wait`` hang for ever. So that isn't asked where the system can be; then
    ``wait`` is still to be called for the status.
    """
    if process.returncode is not None:
        return False
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
