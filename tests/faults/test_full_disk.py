"""The disk is full: the server ends itself, and goes on where there is space again."""

import os
import resource
import subprocess
import time
from contextlib import contextmanager

import pytest

from portal.serving.mongod import find_mongod
from tests.faults.servers import OneMember
from tests.faults.storm import storm

SMALL_MEGABYTES = 512


@pytest.fixture
def mongod_that_is_told(tmp_path, monkeypatch):
    """A write beyond its limit fails; without more it would be killed by SIGXFSZ."""
    program = tmp_path / "bin" / "mongod"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {find_mongod()} \"$@\"\n")
    program.chmod(0o700)
    # Else it ends since it can't write its log.
    (tmp_path / "mongod.log").symlink_to(os.devnull)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


@contextmanager
def no_file_may_grow(server):
    """As if there were no space left: to a server a write that fails is one that fails, with EFBIG
    as with ENOSPC. Everybody may do this to a process of theirs, while few may mount a small disk.
    """
    resource.prlimit(server.running.process.pid, resource.RLIMIT_FSIZE, (4096, -1))
    yield


@pytest.fixture
def small_disk(tmp_path):
    """A small file system for the server's data; that takes the right to mount one."""
    data = tmp_path / "data"
    data.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MEGABYTES}m,mode=700", "tmpfs", data]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, f"make faults must be run by who may mount: {made.stderr}"
    yield data
    subprocess.run(["umount", "--lazy", data], check=True)


@contextmanager
def filled(folder):
    """No space left on the file system of the folder, for as long as the block lasts."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        fill(file)
    yield
    filler.unlink()


def fill(file):
    while True:
        file.write(bytes(1 << 16))


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.usefixtures("mongod_that_is_told")
def test_a_server_that_ends_since_it_can_t_write_loses_nothing(tmp_path, figure):
    server = OneMember(tmp_path)
    try:
        check_storm(server, no_file_may_grow(server), figure, in_haste=True)
    finally:
        server.end()


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_full_disk_loses_nothing(tmp_path, small_disk, figure):
    server = OneMember(tmp_path)
    try:
        check_storm(server, filled(small_disk), figure)
    finally:
        server.end()


def check_storm(server, full, figure, **options):
    with storm(server, figure, **options) as crowd:
        crowd.get_going()
        with full:
            begin = time.monotonic()
            server.running.process.wait(60)
            figure(f"the server ended by itself after {time.monotonic() - begin:.1f} s")
            crowd.wait_for_503()
        server.start_again()
        crowd.downtime_since(time.monotonic())
