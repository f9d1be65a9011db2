"""The services as commands: ``flask lifecycle run``, ``flask mail list``, ``flask audit verify``,
``flask keys``, ``flask doctor``.

A command needs the portal's settings. Beside a ``make run`` with a MongoDB of its own it takes
those that the supervisor left in ``instance/``.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

import click
import structlog
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from portal.cli.audit import audit
from portal.cli.doctor import examine_installation
from portal.cli.keys import keys
from portal.cli.lifecycle import lifecycle
from portal.cli.mail import mail


def init_app(app: Flask) -> None:
    """Give ``flask`` the portal's commands."""
    app.cli.add_command(lifecycle)
    app.cli.add_command(mail)
    app.cli.add_command(audit)
    app.cli.add_command(keys)
    app.cli.add_command(examine_installation)
