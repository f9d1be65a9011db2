"""The cookie that recognizes a browser, whoever logs in there. It authenticates nobody."""

import re

from flask import Flask, Response, after_this_request, current_app, g, request

from portal.documents.sessions import Browser
from portal.identity.sessions import browsers
from portal.settings import Settings
from portal.web.requests import is_api

_NAME = "BROWSER_COOKIE_NAME"
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def init_app(app: Flask, settings: Settings) -> None:
    """Give each browser an id, the ``browser_id`` of its requests; a program has none."""
    app.config[_NAME] = _cookie_name(settings)
    app.before_request(_recognize)


def keep() -> None:
    """Have the browser of this request keep its id for as long as it is known."""
    after_this_request(_set_cookie)


def _recognize() -> None:
    if is_api():
        return
    sent = request.cookies.get(current_app.config[_NAME], "")
    g.browser = sent if _ID.fullmatch(sent) else browsers.new_id()


def _set_cookie(response: Response) -> Response:
    config = current_app.config
    response.set_cookie(
        config[_NAME],
        g.browser,
        max_age=Browser.KEPT,
        httponly=True,
        secure=config["SESSION_COOKIE_SECURE"],
        samesite="Lax",
    )
    return response


def _cookie_name(settings: Settings) -> str:
    if settings.https:
        return "__Host-portal_browser"
    # Like the session's: browsers share cookies across ports.
    return f"portal_browser_{settings.installation_id}".rstrip("_")
