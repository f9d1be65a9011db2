"""The request at hand: what is refused before anything looks at it, its id, its time limit, and
where it comes from."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import pymongo
import structlog
from flask import Flask, abort, g, request
from flask_login import current_user

from portal.audit.documents import Origin
from portal.security import HEADERS

REQUEST_SECONDS = 4
LARGEST_BODY_BYTES = 64 * 1024

_LABEL = r"[A-Za-z0-9_-]{1,63}"
_HOST = re.compile(rf"(\[[0-9A-Fa-f:.]{{2,45}}\]|{_LABEL}(\.{_LABEL}){{0,20}})(:\d{{1,5}})?")

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def init_app(app: Flask) -> None:
    """Give each request an id, a time limit for all it does with MongoDB, and a size limit; refuse
    what is no request of a browser."""
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.wsgi_app = _guarded(app.wsgi_app)  # type: ignore[method-assign, assignment]
    app.before_request(_name_request)
    app.before_request(_check_body)


def origin() -> Origin:
    """Who sends this request, and from where, for the audit trail."""
    known = current_user.is_authenticated
    return Origin(
        account=current_user.account_id if known else None,
        email=current_user.email if known else None,
        address=request.remote_addr,
        request_id=g.request_id,
    )


def user_agent() -> str:
    """The browser's own words, without what could break a line."""
    return "".join(c for c in request.headers.get("User-Agent", "") if c.isprintable())


def same_site_path(target: str, otherwise: str) -> str:
    """``target`` if it is a path within the site, else ``otherwise``.

    Browsers read ``//host``, ``/\\host`` and control characters in between as another site.
    """
    plain = target.startswith("/") and target.isprintable() and "\\" not in target
    return target if plain and not target.startswith("//") else otherwise


def _check_body() -> None:
    """Refuse a body that is no whole form: nothing but that is ever read."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        abort(411)  # its end can't be known before it is read
    if request.mimetype not in ("", "application/x-www-form-urlencoded"):
        abort(415)
    if len(request.get_data()) != (request.content_length or 0):
        abort(400)  # the sender went away in the middle


def _guarded(wsgi_app: WsgiApp) -> WsgiApp:
    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _HOST.fullmatch(environ.get("HTTP_HOST", "")):
            # Flask could not even find out what was asked for.
            start_response("400 Bad Request", [("Content-Type", "text/plain"), *HEADERS.items()])
            return [b"The Host header names no host.\n"]
        # Only timeoutMS and pymongo.timeout bound a server that hangs; the other time limits of
        # the driver let a request wait for 14 s.
        with pymongo.timeout(REQUEST_SECONDS):
            return wsgi_app(environ, start_response)

    return guarded


def _name_request() -> None:
    g.request_id = secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
