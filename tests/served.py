"""gunicorn, in a process that was forked with all that it and the portal import."""

import os
import sys

from gunicorn.app import wsgiapp

import portal.app.parts
import portal.cli.running
import portal.serving.worker  # noqa: F401


def serve(listener, stderr, folder, environment, arguments):
    """Do as ``python -m gunicorn`` does in this folder and environment."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if stderr is not None:
        os.dup2(stderr.number, sys.stderr.fileno())
    sys.argv = ["gunicorn", "--bind", f"fd://{listener.number}", *arguments]
    wsgiapp.run(prog="gunicorn")
