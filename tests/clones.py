"""Other clones of the project, each with data of its own."""

import os
from pathlib import Path

TOP = Path(__file__).parent.parent
PARTS = (
    "portal",
    "templates",
    "static",
    "wsgi.py",
    "gunicorn.conf.py",
    "Makefile",
    "requirements.txt",
    ".venv",
)


def a_clone(folder, *more):
    """Another clone of the project in ``folder``, without data; with ``more`` than a fresh one."""
    for part in (*PARTS, *more):
        (folder / part).symlink_to(TOP / part)
    return folder


def environment(**changes):
    """The variables of this process but for those that tell a portal or make what to do."""
    ours = (
        "MONGO_URI",
        "JWT_SECRET",
        "SECRET_KEY",
        "PUBLIC_URL",
        "PORT",
        "BIND",
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
    )
    return {name: value for name, value in os.environ.items() if name not in ours} | changes
