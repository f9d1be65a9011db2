"""From a request to its principal.

Pages authenticate by the session cookie, ``/org``, ``/auth`` and ``/admin`` by the bearer
credential, never the other way round. That is a token, which carries a session's random id, or an
API key. One module signs cookies and tokens; their kinds, and those of their sessions, keep each
from passing for the other. An API key is known by its prefix, which no token has.
"""

import structlog
from flask import Request, session

from portal import clock
from portal.documents.sessions import SessionKind
from portal.identity.api_keys import credentials
from portal.identity.sessions import sessions, tokens
from portal.identity.sessions.principals import AccountPrincipal, Principal
from portal.identity.sessions.tokens import InvalidToken
from portal.web.requests import is_api

log = structlog.get_logger()

_KIND = "bearer"
_SESSION_ID = "_user_id"  # where Flask-Login's login_user keeps it


def authenticate(request: Request) -> Principal | None:
    """The principal of the request at hand; ``None`` without a live session or a valid API key."""
    if is_api():
        principal = _by_bearer(request.headers.get("Authorization", ""))
    else:
        principal = _by_session(session.get(_SESSION_ID), SessionKind.BROWSER)
    if principal:
        structlog.contextvars.bind_contextvars(**principal.log_context)
    return principal


def issue_bearer_token(principal: AccountPrincipal) -> str:
    """A token that authenticates a program as ``principal`` until its session expires."""
    return tokens.issue(
        _KIND,
        {"sid": principal.session_id},
        issued_at=clock.now(),
        expires_at=principal.session_expires_at,
    )


def _by_bearer(authorization: str) -> Principal | None:
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    credential = credential.strip()
    if credential.startswith(credentials.ORGANIZATION_PREFIX):
        return credentials.organization_key_of(credential)
    if credential.startswith(credentials.PROVISIONING_PREFIX):
        return credentials.provisioner_of(credential)
    return _by_token(credential)


def _by_token(token: str) -> AccountPrincipal | None:
    try:
        session_id = tokens.verify(_KIND, token).get("sid")
    except InvalidToken as error:
        log.info("session.token_refused", reason=str(error))
        return None
    return _by_session(session_id, SessionKind.PROGRAM)


def _by_session(session_id: object, kind: SessionKind) -> AccountPrincipal | None:
    return sessions.find_principal(session_id, kind) if isinstance(session_id, str) else None
