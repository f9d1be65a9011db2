"""The browser's two cookies: Flask's session as a signed token, and the browser's id.

Logged in the session's carries its random id, whose record on the server can be revoked: every copy
of the cookie ends with it. Anonymous it carries the CSRF token and flashes, nothing else. The
browser's id recognizes the browser, whoever logs in there. It authenticates nobody.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from flask import (
    Flask,
    Request,
    Response,
    after_this_request,
    flash,
    g,
    redirect,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user
from flask_wtf.csrf import generate_csrf
from itsdangerous import BadSignature

from portal import clock, settings
from portal.documents.sessions import Browser
from portal.identity.authentication.authenticate import authenticate
from portal.identity.sessions import browsers, sessions, tokens
from portal.identity.sessions.principals import (
    AccountPrincipal,
    PendingLogIn,
    Principal,
    SupportPrincipal,
)
from portal.identity.sessions.tokens import InvalidToken
from portal.settings import Settings
from portal.web import stale_forms
from portal.web.errors import DuplicateRequest
from portal.web.forms import see_other
from portal.web.idempotency import find_record
from portal.web.requests import SAFE, idempotency_key, is_api, request_context, same_site_path

log = structlog.get_logger()

KIND = "session"
_ANONYMOUS_LIFE = timedelta(hours=12)
_EXPIRES, _PENDING = "expires", "pending"
_LOG_IN = "authentication.log_in"
_ENDED = (
    "Your session had ended when you sent the form, so nothing was changed: log in, and you come "
    "back to it."
)
_BROWSER_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class _TokenSerializer:
    """Serializes Flask's cookie session as a token, in place of itsdangerous' format."""

    def dumps(self, data: dict[str, Any]) -> str:
        now = clock.now()
        expires = data.get(_EXPIRES)
        expires_at = datetime.fromtimestamp(expires, UTC) if expires else now + _ANONYMOUS_LIFE
        return tokens.issue(KIND, {"data": data}, issued_at=now, expires_at=expires_at)

    def loads(self, token: str, max_age: int | None = None) -> dict[str, Any]:
        try:
            return tokens.verify(KIND, token)["data"]
        except (InvalidToken, KeyError) as error:
            log.info("session.cookie_refused", reason=str(error))
            raise BadSignature(str(error)) from error


class _TokenSessionInterface(SecureCookieSessionInterface):
    """The cookie session of pages; the API neither reads nor writes cookies."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return self.session_class() if is_api() else super().open_session(app, request)

    def get_signing_serializer(self, app: Flask) -> _TokenSerializer:  # type: ignore[override]
        return _TokenSerializer()


class _LoginManager(LoginManager):
    """Flask-Login without its remember cookie, which would take the request loader's place."""

    def _load_user_from_remember_cookie(self, cookie: str) -> Principal | None:
        return self._load_user_from_request(request)


def init_app(app: Flask, active: Settings) -> None:
    """Give ``app`` the token cookie, Flask-Login ``authenticate``, and each browser an id, the
    ``browser_id`` of its requests; a program has none."""
    app.session_interface = _TokenSessionInterface()
    app.config.update(
        SESSION_COOKIE_NAME=_cookie_name(active, "session"),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=active.https,
        PERMANENT_SESSION_LIFETIME=sessions.LONGEST_LIFE,
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.before_request(_recognize_browser)
    login_manager = _LoginManager()
    # Flask-Login's context processor would look the session up for every template, that of an
    # unavailable database included. A global proxy does so where a template uses it.
    login_manager.init_app(app, add_context_processor=False)
    app.jinja_env.globals["current_user"] = current_user
    login_manager.session_protection = None  # the record decides, not a fingerprint of the browser
    login_manager.request_loader(authenticate)
    login_manager.unauthorized_handler(_redirect_to_log_in)


def enter(principal: AccountPrincipal | SupportPrincipal | PendingLogIn) -> None:
    """Log the browser of this request in, under a cookie that shares nothing with the old one, and
    revoke its old session. The cookie of a pending log-in opens only the second step's page."""
    if current_user.is_authenticated:
        sessions.revoke_replaced_session(current_user, request_context())
    session.clear()
    # The new session's CSRF token, now: two pages opened at once would make two.
    g.pop("csrf_token", None)
    generate_csrf()
    if isinstance(principal, PendingLogIn):
        session[_PENDING] = principal.session_id
        return
    session.permanent = True
    session[_EXPIRES] = int(principal.session_expires_at.timestamp())
    login_user(principal)
    structlog.contextvars.bind_contextvars(**principal.log_context)
    after_this_request(_keep_browser_id)


def pending_id() -> str | None:
    """The id of the pending log-in of this request's browser, if it has one."""
    return session.get(_PENDING)


def leave() -> None:
    """Clear the cookie."""
    session.clear()


def _redirect_to_log_in() -> ResponseReturnValue:
    """Redirect to the log-in page, and from there to the wanted page; a sent form is not carried
    out then, only its page is shown. Raises DuplicateRequest where it was carried out before."""
    if request.endpoint == "authentication.log_out":  # logged out already, in another tab
        return redirect(same_site_path(request.args.get("next", ""), url_for(_LOG_IN)), 303)
    if request.method in SAFE and not stale_forms.is_stale():
        return see_other(_LOG_IN, next=request.full_path.rstrip("?"))
    if find_record(idempotency_key()):
        raise DuplicateRequest
    flash(_ENDED, "attention")
    return see_other(_LOG_IN, next=stale_forms.page_of_form())


def _recognize_browser() -> None:
    if is_api():
        return
    sent = request.cookies.get(_cookie_name(settings.current(), "browser"), "")
    g.browser = sent if _BROWSER_ID.fullmatch(sent) else browsers.new_id()


def _keep_browser_id(response: Response) -> Response:
    """Have the browser keep its id for as long as it is known."""
    active = settings.current()
    response.set_cookie(
        _cookie_name(active, "browser"),
        g.browser,
        max_age=Browser.KEPT,
        httponly=True,
        secure=active.https,
        samesite="Lax",
    )
    return response


def _cookie_name(active: Settings, kind: str) -> str:
    if active.https:
        return f"__Host-portal_{kind}"
    # Browsers share cookies across ports, so two portals on localhost need different names.
    return f"portal_{kind}_{active.installation_id}".rstrip("_")
