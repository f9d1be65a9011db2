"""From a request to its principal.

Pages authenticate by the session cookie, ``/org``, ``/auth`` and ``/admin`` by the bearer
credential, never the other way round. That is a token, which carries a session's random id, or an
API key. One module signs cookies and tokens; their kinds, and those of their sessions, keep each
from passing for the other. An API key is known by its prefix, which no token has.
"""

from typing import Any

import structlog
from flask import Request, g, session

from portal import clock
from portal.documents.sessions import SessionKind
from portal.identity.api_keys import credentials
from portal.identity.sessions import sessions, tokens
from portal.identity.sessions.principals import AccountPrincipal, Principal, SupportPrincipal
from portal.identity.sessions.sessions import ReadAlong
from portal.identity.sessions.tokens import InvalidToken
from portal.web.acting_operator import ActingOperator, note_operator
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
    if isinstance(principal, SupportPrincipal):
        note_operator(ActingOperator(principal.person_id, principal.grant_id))
    if principal:
        structlog.contextvars.bind_contextvars(**principal.log_context)
    return principal


def read_along(stages: list[dict[str, Any]]) -> ReadAlong:
    """Have the ``stages`` read with the session of the request at hand, in one command. Nothing is
    found where that was read before, and for API keys."""
    g.read_along = ReadAlong(stages)
    return g.read_along


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
    if credential.startswith(credentials.OPERATOR_PREFIX):
        return credentials.operator_key_of(credential)
    return _by_token(credential)


def _by_token(token: str) -> AccountPrincipal | SupportPrincipal | None:
    try:
        session_id = tokens.verify(_KIND, token).get("sid")
    except InvalidToken as error:
        log.info("session.token_refused", reason=str(error))
        return None
    return _by_session(session_id, SessionKind.PROGRAM)


def _by_session(
    session_id: object, kind: SessionKind
) -> AccountPrincipal | SupportPrincipal | None:
    if not isinstance(session_id, str):
        return None
    return sessions.find_principal(session_id, kind, g.get("read_along"))
