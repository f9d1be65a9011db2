"""How values are written on pages."""

import math
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import humanize
from flask import Flask, Response
from flask_login import current_user
from heroicons.jinja import heroicon_mini
from markupsafe import Markup

from portal import clock

# What no HTML document may have in it, as UTF-8: control characters and noncharacters.
_FORBIDDEN = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xef\xb7[\x90-\xaf]|\xef\xbf[\xbe\xbf]"
    rb"|[\xf0-\xf4][\x8f\x9f\xaf\xbf]\xbf[\xbe\xbf]"
)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def init_app(app: Flask) -> None:
    """Give the templates the formats as filters, and icons; keep out of pages what HTML forbids,
    for they show what somebody typed."""
    app.after_request(_keep_valid)
    app.jinja_env.filters.update(
        ago=ago,
        exact=exact,
        stamp=stamp,
        machine=machine,
        day=day,
        days_until=days_until,
        size=size,
        count=humanize.intcomma,
    )
    app.jinja_env.globals["icon_svg"] = icon_svg


def _keep_valid(response: Response) -> Response:
    if response.mimetype == "text/html":
        page = response.get_data()
        if _FORBIDDEN.search(page):
            response.set_data(_FORBIDDEN.sub(_REPLACEMENT, page))
    return response


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
    local = _local(time)
    return f"{local:%-d %B %Y, %H:%M:%S} {local.tzname()}"


def stamp(time: datetime) -> str:
    """“23 Dec 2026 14:05:09”."""
    return f"{_local(time):%-d %b %Y %H:%M:%S}"


def day(time: date) -> str:
    """“23 December 2026”: of a moment the day that the reader has then."""
    local = _local(time) if isinstance(time, datetime) else time
    return f"{local:%-d %B %Y}"


def days_until(time: datetime) -> int:
    """How many days are left, one that has begun among them; none when it is over."""
    return max(0, math.ceil((time - clock.now()) / timedelta(days=1)))


def _local(time: datetime) -> datetime:
    """In the zone that the reader chose, else UTC, which a script makes the browser's."""
    return time.astimezone(_zone(getattr(current_user, "time_zone", "")))


@cache
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except ZoneInfoNotFoundError:  # known where it was chosen, and not to this server
        return UTC


def size(size_bytes: int) -> str:
    """“312 MB”."""
    return humanize.naturalsize(size_bytes, format="%.3g")
