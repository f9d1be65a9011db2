"""gunicorn and ``flask``, in a process that was forked with all that they and the portal import."""

import os
import sys

from flask import Flask, cli
from gunicorn.app import wsgiapp

import portal.app.parts
import portal.cli.running
import portal.serving.worker  # noqa: F401
from portal.database import connection


def serve(listener, stderr, folder, environment, arguments, jinja_options):
    """Do as ``python -m gunicorn`` does in this folder and environment, but for templates that are
    compiled already."""
    _become(folder, environment, {2: stderr})
    Flask.jinja_options = jinja_options
    sys.argv = ["gunicorn", "--bind", f"fd://{listener.number}", *arguments]
    wsgiapp.run(prog="gunicorn")


def run_flask(stdout, stderr, folder, environment, arguments, timeout_seconds):
    """Do as ``python -m flask`` does there, but for how long MongoDB is waited for."""
    _become(folder, environment, {1: stdout, 2: stderr})
    connection.CLIENT_TIMEOUT_SECONDS = timeout_seconds or connection.CLIENT_TIMEOUT_SECONDS
    sys.argv = ["flask", *arguments]
    cli.main()


def _become(folder, environment, streams):
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, descriptor in streams.items():
        if descriptor is not None:
            os.dup2(descriptor.number, number)
