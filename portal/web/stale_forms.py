"""Forms whose CSRF token is not the session's: sent after somebody logged in or out, long after
they were opened, or without the cookie. They are shown again, filled in, and never carried out.

The view runs as for GET, which by itself changes nothing, while ``Form`` reads what was typed and
calls no service.
"""

from urllib.parse import urlsplit

from flask import current_app, flash, g, redirect, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.web.errors import NoCookie
from portal.web.requests import answers_get, same_site_path

# Views without GET that render their form, and change something through it alone.
_RENDER_THEIR_FORM = (
    "invitations.invite",
    "structure.create_index",
    "structure.put_into_force",
    "transfer.choose_reading",
)
_STALE = (
    "This form is no longer valid, since it was opened long ago or before you logged in or out: "
    "nothing was changed, so check it and send it again."
)


def show_again() -> ResponseReturnValue | None:
    """The page with the stale form of this request, filled in but for passwords, or where its view
    leads a reader; the log-in page where that is needed. ``None`` for a form without a token, of
    another site or a script, or whose page is unknown."""
    if not request.form.get("csrf_token") or _is_foreign() or not _is_navigation():
        return None
    if _has_page() or request.endpoint in _RENDER_THEIR_FORM:
        return _dispatch_as_get()
    if not current_user.is_authenticated:
        return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
    page = _referring_page()
    if page is None:
        return None
    explain()
    return redirect(page, 303)


def is_stale() -> bool:
    """Tell whether the form of this request is shown again instead of being carried out."""
    return g.get("stale_form", False)


def explain() -> None:
    """Tell on the next page why the form was not carried out."""
    flash(_STALE if cookie_came() else NoCookie().words, "attention")


def cookie_came() -> bool:
    """Tell whether the browser sent a cookie of the portal's session, whatever is in it."""
    return current_app.config["SESSION_COOKIE_NAME"] in request.cookies


def page_of_form() -> str | None:
    """The path, with its query, of the page that the sent form is on, if that is known."""
    if _has_page():
        return request.full_path.rstrip("?")
    return _referring_page() or (request.path if answers_get(request.path) else None)


def _has_page() -> bool:
    rule = request.url_rule
    return rule is not None and "GET" in (rule.methods or ())


def _dispatch_as_get() -> ResponseReturnValue:
    g.stale_form = True
    sent = request.method
    request.method = "GET"
    try:
        return current_app.dispatch_request()
    finally:
        request.method = sent


def _is_foreign() -> bool:
    """Tell whether the browser says that another site sent the form. Without a log-in that would
    fill our form with the other site's values."""
    site = request.headers.get("Sec-Fetch-Site")  # not sent over plain HTTP
    if site:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


def _is_navigation() -> bool:
    return request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def _referring_page() -> str | None:
    referrer = urlsplit(request.referrer or "")
    if referrer.netloc != request.host or not answers_get(referrer.path):
        return None
    query = f"?{referrer.query}" if referrer.query else ""
    return same_site_path(f"{referrer.path}{query}", "") or None
