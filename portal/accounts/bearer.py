"""A program's way in: a signed token that carries a session's random id.

Made and checked by the functions that make the browser's cookie; neither passes for the other,
by the token's kind and by the session's.
"""

import structlog

from portal import clock
from portal.accounts import sessions, tokens
from portal.accounts.documents import PROGRAM
from portal.accounts.sessions import Principal
from portal.accounts.tokens import InvalidToken

log = structlog.get_logger()

KIND = "bearer"


def token_of(principal: Principal) -> str:
    """The token by which a program is ``principal``, for as long as its session lasts."""
    return tokens.issue(
        KIND,
        {"sid": principal.session_id},
        issued_at=clock.now(),
        expires_at=principal.session_expires_at,
    )


def principal_of(authorization: str) -> Principal | None:
    """Who sent this ``Authorization`` header; ``None`` unless it has a live session's token."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        session_id = tokens.read(KIND, token.strip()).get("sid")
    except InvalidToken as error:
        log.info("session.token_refused", reason=str(error))
        return None
    return sessions.principal_of(session_id, PROGRAM) if isinstance(session_id, str) else None
