"""Formats of values on pages."""

import math
import re
from datetime import date, datetime, timedelta, tzinfo
from functools import cache, lru_cache

import humanize
from flask import Flask, Response, g
from flask_login import current_user
from heroicons.jinja import heroicon_mini
from markupsafe import Markup

from portal import bidi, clock, settings

# What HTML forbids, as UTF-8: control characters and noncharacters.
_FORBIDDEN = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xef\xb7[\x90-\xaf]|\xef\xbf[\xbe\xbf]"
    rb"|[\xf0-\xf4][\x8f\x9f\xaf\xbf]\xbf[\xbe\xbf]"
)
# A page without any of these has none of them; looking for them takes a tenth of the time.
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_ENDINGS = (b"\xef\xb7", b"\xbf\xbe", b"\xbf\xbf")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def init_app(app: Flask) -> None:
    """Register the formats as filters, and icons; replace characters that HTML forbids, since pages
    show user input."""
    app.after_request(_keep_valid)
    formats = (
        ago,
        exact,
        stamp,
        machine,
        day,
        moment,
        moment_exact,
        moment_day,
        plain_day,
        days_until,
        share_left,
        seconds,
        size,
        bidi.bdi,
        bidi.isolated,
    )
    app.jinja_env.filters.update({one.__name__: one for one in formats})
    app.jinja_env.tests["future"] = is_future
    app.jinja_env.filters["count"] = humanize.intcomma
    app.jinja_env.globals.update(icon_svg=icon_svg, page_zone=page_zone)
    app.context_processor(_from_settings)


def _keep_valid(response: Response) -> Response:
    if response.mimetype == "text/html":
        page = response.get_data()
        if _may_be_forbidden(page):
            response.set_data(_FORBIDDEN.sub(_REPLACEMENT, page))
    return response


def is_valid_in_html(text: str) -> bool:
    """Tell whether a page can carry the text as it is."""
    try:
        return _FORBIDDEN.search(text.encode()) is None
    except UnicodeEncodeError:
        return False


def _from_settings() -> dict[str, str]:
    active = settings.current()
    return {
        "portal_name": active.name,
        "public_url": active.public_url,
        "sign_up": active.signup,
    }


def _may_be_forbidden(page: bytes) -> bool:
    return (
        len(page.translate(None, _CONTROLS)) < len(page)
        or any(ending in page for ending in _ENDINGS)
        or _C1.search(page) is not None
    )


@cache
def icon_svg(name: str) -> Markup:
    """An icon as inline SVG, hidden from assistive technology."""
    return Markup(heroicon_mini(name, size=16, **{"class": "icon"}))  # noqa: S704 (the package draws it)


def ago(time: datetime) -> str:
    """“4 minutes ago”."""
    since = clock.now() - time
    length = abs(since)
    # From a day on words don't depend on seconds: so those of a list were made before.
    told = timedelta(length.days, 0 if length.days else length.seconds)
    return _ago(told if since.days >= 0 else -told)


@lru_cache(maxsize=2048)
def _ago(since: timedelta) -> str:
    words = humanize.naturaltime(since)
    return "just now" if words == "now" else words


def machine(time: datetime) -> str:
    """For HTML's ``datetime`` attribute: to the millisecond."""
    return time.isoformat(timespec="milliseconds")


def exact(time: datetime) -> str:
    """To the second, with its zone."""
    local = _local(time)
    return f"{local:%-d %B %Y, %H:%M:%S} {local.tzname()}"


def stamp(time: datetime) -> str:
    """“23 Dec 2026 14:05:09”."""
    return f"{_local(time):%-d %b %Y %H:%M:%S}"


def day(time: date) -> str:
    """“23 December 2026”: of a moment, the day in the reader's time zone."""
    local = _local(time) if isinstance(time, datetime) else time
    return f"{local:%-d %B %Y}"


def plain_day(time: datetime) -> str:
    """Its day in the zone of the page, in words that no script can change: without one the day is
    in UTC, and says so."""
    return day(time) if page_zone() else f"{day(time)} (UTC)"


def moment(time: datetime) -> Markup:
    """The time as ``<time>``: “4 minutes ago”."""
    return _element(time, ago(time))


def moment_exact(time: datetime) -> Markup:
    """The time as ``<time>``: “23 Dec 2026 14:05:09”."""
    return _element(time, stamp(time), " data-exact")


def moment_day(time: datetime) -> Markup:
    """The day of the time as ``<time>``: “23 December 2026”."""
    return _element(time, day(time), " data-day")


def days_until(time: datetime) -> int:
    """The number of days left, rounded up; 0 when the time is past."""
    return max(0, math.ceil((time - clock.now()) / timedelta(days=1)))


def is_future(time: datetime | None) -> bool:
    """Tell whether there is a time, and it is yet to come."""
    return time is not None and time > clock.now()


def share_left(until: datetime, begun: datetime, width: int) -> int:
    """The part of ``width`` that is left of the time from ``begun`` to ``until``."""
    share = (until - clock.now()) / (until - begun) if until > begun else 0
    return round(width * min(max(share, 0), 1))


def seconds(time: timedelta) -> str:
    """“0.4 s”, “3 minutes”."""
    short = time < timedelta(seconds=60)
    return f"{time.total_seconds():.1f} s" if short else humanize.naturaldelta(time)


def page_zone() -> str:
    """The time zone of the page, if any: of its filters, else the reader's. Without one times are
    in UTC, and a script converts them to the browser's."""
    return g.get("page_zone") or getattr(current_user, "time_zone", "")


def _element(time: datetime, words: str, kind: str = "") -> Markup:
    """The element, of which a list has hundreds; scripts have the words of its ``kind`` follow the
    browser's zone."""
    return Markup(  # noqa: S704 (nobody types any of it)
        f'<time datetime="{machine(time)}" title="{exact(time)}"{kind}>{words}</time>'
    )


def _local(time: datetime) -> datetime:
    zone: tzinfo | None = g.get("zone")
    if zone is None:
        zone = g.zone = clock.zone_of(page_zone())  # once for all times of the page
    return time.astimezone(zone)


def size(size_bytes: int) -> str:
    """“312 MB”."""
    return humanize.naturalsize(size_bytes, format="%.3g")
