"""Signed tokens (JWT): made and checked here, for cookies and programs alike."""

import base64
import hashlib
import hmac
from datetime import datetime
from functools import cache
from typing import Any

import jwt

from portal import settings


class InvalidToken(Exception):
    """A token that is not ours, not of this kind, expired, or not valid yet."""


def issue(kind: str, claims: dict[str, Any], *, issued_at: datetime, expires_at: datetime) -> str:
    """Sign ``claims`` with the current secret; ``kind`` goes into the header as ``typ``."""
    secret = settings.current().jwt_secret
    return jwt.encode(
        {**claims, "iat": int(issued_at.timestamp()), "exp": int(expires_at.timestamp())},
        secret,
        algorithm=settings.current().jwt_algorithm,
        headers={"typ": kind, "kid": key_id(secret)},
    )


def read(kind: str, token: str) -> dict[str, Any]:
    """The claims of a token of this ``kind``, signed with the current or a former secret.

    Raises InvalidToken. The algorithm is ours, never the header's; a token of another kind
    never passes (RFC 8725, sections 3.1 and 3.11).
    """
    try:
        header = jwt.get_unverified_header(token)
        secret = _secrets_by_key_id().get(header.get("kid", ""))
        if secret is None or header.get("typ") != kind:
            raise InvalidToken(f"not a {kind} token of this portal")
        return jwt.decode(
            token,
            secret,
            algorithms=[settings.current().jwt_algorithm],
            options={"require": ["iat", "exp"]},
        )
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise InvalidToken(str(error)) from error


@cache
def key_id(secret: str) -> str:
    """What names a secret without telling it."""
    digest = hmac.digest(secret.encode(), b"key id", hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:6]).decode()


def _secrets_by_key_id() -> dict[str, str]:
    known = (settings.current().jwt_secret, *settings.current().jwt_secret_fallbacks)
    return {key_id(secret): secret for secret in known}
