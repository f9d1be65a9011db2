"""A mongod that may open few files."""

import os
import stat
from contextlib import contextmanager
from unittest.mock import patch

from portal.serving import mongod


@contextmanager
def with_file_limit(folder, limit, databases=("master_test", "tenant_test")):
    """One on the data in ``folder`` whose process may open no more files than the ``limit``."""
    binary = mongod.find_mongod()
    limited = folder / "bin" / "mongod"
    limited.parent.mkdir(parents=True, exist_ok=True)
    limited.write_text(f'#!/bin/sh\nulimit -n {limit}\nexec {binary} "$@"\n')
    limited.chmod(limited.stat().st_mode | stat.S_IXUSR)
    path = f"{limited.parent}{os.pathsep}{os.environ['PATH']}"
    with patch.dict(os.environ, PATH=path):
        running = mongod.start(folder, "0123456789abcdef0123", databases=databases)
    try:
        yield running
    finally:
        running.stop()
