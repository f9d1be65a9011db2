"""How values are written on pages."""

from datetime import datetime
from functools import cache

import humanize
from flask import Flask
from heroicons.jinja import heroicon_mini
from markupsafe import Markup

from portal import clock


def init_app(app: Flask) -> None:
    """Give the templates the formats as filters, and icons."""
    app.jinja_env.filters.update(
        ago=ago,
        exact=exact,
        machine=machine,
        day=day,
        size=size,
        count=humanize.intcomma,
    )
    app.jinja_env.globals["icon_svg"] = icon_svg


@cache
def icon_svg(name: str) -> Markup:
    """An icon as inline SVG that means nothing by itself. Drawn once: it never changes."""
    return Markup(heroicon_mini(name, size=16, **{"class": "icon"}))  # noqa: S704 (the package draws it)


def ago(time: datetime) -> str:
    """“4 minutes ago”."""
    words = humanize.naturaltime(time, when=clock.now())
    return "just now" if words == "now" else words


def machine(time: datetime) -> str:
    """As HTML's ``datetime`` attribute wants it: to the millisecond."""
    return time.isoformat(timespec="milliseconds")


def exact(time: datetime) -> str:
    """To the second, with its zone."""
    return f"{time:%-d %B %Y, %H:%M:%S} UTC"


def day(time: datetime) -> str:
    """“23 December 2026”."""
    return f"{time:%-d %B %Y}"


def size(size_bytes: int) -> str:
    """“312 MB”."""
    return humanize.naturalsize(size_bytes, format="%.3g")
