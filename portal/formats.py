"""How values are written on pages."""

from datetime import datetime

import humanize
from flask import Flask

from portal import clock


def init_app(app: Flask) -> None:
    """Make the formats filters of the templates."""
    app.jinja_env.filters.update(
        ago=ago,
        exact=exact,
        day=day,
        size=size,
        count=humanize.intcomma,
    )


def ago(time: datetime) -> str:
    """“4 minutes ago”."""
    words = humanize.naturaltime(time, when=clock.now())
    return "just now" if words == "now" else words


def exact(time: datetime) -> str:
    """To the second, with its zone."""
    return f"{time:%-d %B %Y, %H:%M:%S} UTC"


def day(time: datetime) -> str:
    """“23 December 2026”."""
    return f"{time:%-d %B %Y}"


def size(size_bytes: int) -> str:
    """“312 MB”."""
    return humanize.naturalsize(size_bytes, format="%.3g")
