"""What the portal knows of the request at hand: its id, its time limit, where it comes from."""

import secrets
from collections.abc import Callable, Iterable
from typing import Any

import pymongo
import structlog
from flask import Flask, g, request
from flask_login import current_user

from portal.audit.documents import Origin

REQUEST_SECONDS = 4
LARGEST_BODY_BYTES = 64 * 1024

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def init_app(app: Flask) -> None:
    """Give each request an id, a time limit for all it does with MongoDB, and a size limit."""
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY_BYTES
    app.wsgi_app = _with_time_limit(app.wsgi_app)  # type: ignore[method-assign, assignment]
    app.before_request(_name_request)


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


def _with_time_limit(wsgi_app: WsgiApp) -> WsgiApp:
    def limited(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # Only timeoutMS and pymongo.timeout bound a server that hangs; the other time limits of
        # the driver let a request wait for 14 s.
        with pymongo.timeout(REQUEST_SECONDS):
            return wsgi_app(environ, start_response)

    return limited


def _name_request() -> None:
    g.request_id = secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
