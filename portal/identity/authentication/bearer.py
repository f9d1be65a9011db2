"""A program's way in: a signed token that carries a session's random id, or a key.

The token is made and checked by the functions that make the browser's cookie; neither passes for
the other, by the token's kind and by the session's. Keys are told by how they begin, which no
token does, and are looked up where they are made.
"""

from collections.abc import Callable
from typing import Any

import structlog

from portal import clock
from portal.documents.sessions import SessionKind
from portal.identity.api_keys.credentials import (
    PREFIX,
    PROVISIONING_PREFIX,
    organization_key_of,
    provisioner_of,
)
from portal.identity.sessions import sessions, tokens
from portal.identity.sessions.principals import AccountPrincipal
from portal.identity.sessions.tokens import InvalidToken

log = structlog.get_logger()

KIND = "bearer"
_KEYS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    (PREFIX, organization_key_of),
    (PROVISIONING_PREFIX, provisioner_of),
)


def token_of(principal: AccountPrincipal) -> str:
    """The token by which a program is ``principal``, for as long as its session lasts."""
    return tokens.issue(
        KIND,
        {"sid": principal.session_id},
        issued_at=clock.now(),
        expires_at=principal.session_expires_at,
    )


def principal_of(authorization: str) -> Any:
    """Who sent this ``Authorization`` header; ``None`` unless it has a live session's token or a
    key that works."""
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    credential = credential.strip()
    for prefix, look_up in _KEYS:
        if credential.startswith(prefix):
            return look_up(credential)
    return _by_token(credential)


def _by_token(token: str) -> AccountPrincipal | None:
    try:
        session_id = tokens.read(KIND, token).get("sid")
    except InvalidToken as error:
        log.info("session.token_refused", reason=str(error))
        return None
    return (
        sessions.principal_of(session_id, SessionKind.PROGRAM)
        if isinstance(session_id, str)
        else None
    )
