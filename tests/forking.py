"""Processes forked from one that has imported everything and connected to nothing: to import the
portal is most of the work of a process that lives for one test."""

import multiprocessing
import os
import subprocess
from multiprocessing.reduction import DupFd

processes = multiprocessing.get_context("forkserver")
# With pytest there, too, a child finds its parent's main module imported.
processes.set_forkserver_preload(
    ["pytest", "tests.faults.doomed", "tests.faults.scenarios", "tests.served"]
)


class Forked:
    """A process as ``subprocess.Popen`` has it, in a session of its own."""

    def __init__(self, target, *arguments):
        self._process = processes.Process(target=_in_own_session, args=(target, *arguments))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def terminate(self):
        self._process.terminate()

    def wait(self, seconds=None):
        self._process.join(seconds)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, seconds)
        return self.returncode


class Descriptor:
    """A file descriptor, handed over to a process that is forked."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return _received, (DupFd(self.number),)


def _received(handed_over):
    return Descriptor(handed_over.detach())


def _in_own_session(target, *arguments):
    os.setsid()
    target(*arguments)
