"""Who sends a request: a browser by its one cookie, or a program by its bearer token or key.

The cookie is Flask's session as a signed token.
Logged in it carries the session's random id; the record behind it can be ended, so a copy of
the cookie dies with it. Anonymous it carries the CSRF token and flashes, nothing else.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from flask import Flask, Request, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user
from flask_wtf.csrf import generate_csrf
from itsdangerous import BadSignature

from portal import clock
from portal.identity.authentication import bearer
from portal.identity.sessions import browser_cookie, sessions, tokens
from portal.identity.sessions.principals import AccountPrincipal, PendingLogIn
from portal.identity.sessions.tokens import InvalidToken
from portal.settings import Settings
from portal.web.requests import is_api, request_context

log = structlog.get_logger()

KIND = "session"
_ANONYMOUS_LIFE = timedelta(hours=12)
_EXPIRES, _PENDING = "expires", "pending"


class _TokenSerializer:
    """What Flask's cookie session signs with: a token instead of itsdangerous' format."""

    def dumps(self, data: dict[str, Any]) -> str:
        now = clock.now()
        expires = data.get(_EXPIRES)
        expires_at = datetime.fromtimestamp(expires, UTC) if expires else now + _ANONYMOUS_LIFE
        return tokens.issue(KIND, {"data": data}, issued_at=now, expires_at=expires_at)

    def loads(self, token: str, max_age: int | None = None) -> dict[str, Any]:
        try:
            return tokens.read(KIND, token)["data"]
        except (InvalidToken, KeyError) as error:
            log.info("session.cookie_refused", reason=str(error))
            raise BadSignature(str(error)) from error


class _TokenSessionInterface(SecureCookieSessionInterface):
    """For pages; a program's cookies are neither read nor written."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return self.session_class() if is_api() else super().open_session(app, request)

    def get_signing_serializer(self, app: Flask) -> Any:
        return _TokenSerializer()


class _LoginManager(LoginManager):
    """Flask-Login without its cookie that remembers: our session's is the only one."""

    def _load_user_from_remember_cookie(self, cookie: str) -> Any:
        return _program()


def init_app(app: Flask, settings: Settings) -> None:
    """Give ``app`` the token cookie, and Flask-Login the server's session behind it."""
    app.session_interface = _TokenSessionInterface()
    app.config.update(
        SESSION_COOKIE_NAME=_cookie_name(settings),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.https,
        PERMANENT_SESSION_LIFETIME=sessions.LONGEST_LIFE,
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    login_manager = _LoginManager()
    # Flask-Login's context processor would look the session up for every template, the one that
    # says that the database is away too. A global proxy does it where a template asks.
    login_manager.init_app(app, add_context_processor=False)
    app.jinja_env.globals["current_user"] = current_user
    login_manager.session_protection = None  # the record decides, not a fingerprint of the browser
    login_manager.user_loader(_browser)
    login_manager.request_loader(lambda request: _program())
    login_manager.unauthorized_handler(_ask_to_log_in)


def enter(principal: AccountPrincipal | PendingLogIn) -> None:
    """Log the browser of this request in, under a cookie that shares nothing with the old one;
    a session that it had ends. Where the log-in waits for a second factor, the cookie opens
    nothing but the page that asks for it."""
    if current_user.is_authenticated:
        sessions.revoke_replaced_session(current_user, request_context())
    session.clear()
    # A form token of the new session, now: two pages that are opened at once would make two.
    g.pop("csrf_token", None)
    generate_csrf()
    if isinstance(principal, PendingLogIn):
        session[_PENDING] = principal.session_id
        return
    session.permanent = True
    session[_EXPIRES] = int(principal.session_expires_at.timestamp())
    login_user(_known(principal))
    browser_cookie.keep()


def pending_id() -> str | None:
    """The id of the log-in that the browser of this request has to finish, if there is one."""
    return session.get(_PENDING)


def leave() -> None:
    """Forget everything that the cookie carries."""
    session.clear()


def _browser(session_id: str) -> AccountPrincipal | None:
    return _known(sessions.principal_of(session_id))


def _program() -> Any:
    """A person by a token, an organization's key or a provisioning key; pages meet none of them."""
    if not is_api():
        return None
    return _known(bearer.principal_of(request.headers.get("Authorization", "")))


def _known(principal: Any) -> Any:
    if principal:
        structlog.contextvars.bind_contextvars(**principal.log_context)
    return principal


def _ask_to_log_in() -> ResponseReturnValue:
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("authentication.log_in", next=wanted), 303)


def _cookie_name(settings: Settings) -> str:
    if settings.https:
        return "__Host-portal_session"
    # Browsers share cookies across ports, so two portals on localhost need two names.
    return f"portal_session_{settings.installation_id}".rstrip("_")
